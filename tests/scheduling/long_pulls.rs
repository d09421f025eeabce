//! Pulls of many pages: few at once, and none of them begins again because it was interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use promoter_connector::model::feed::{Interface, StartFrom};

use super::world::{App, Call, NO_DATA, Reply, START, World, between, calm, days_ago, errcode, json, order};

/// Of each promoter's history of orders.
const PAGES: u32 = 30;

fn page(call: &Call) -> u32 {
    call.body["start_id"].as_str().map_or(0, |page| page.parse().unwrap())
}

/// A history of orders of [`PAGES`] pages, and days without any.
fn history(call: &Call) -> Reply {
    if !call.path.ends_with("getorder") || call.asks_for_a_day() {
        return calm(call);
    }
    let (page, whom, paid) = (page(call), &call.whom, START - 35 * 86_400);
    if page + 1 == PAGES {
        return json(NO_DATA);
    }
    let row = format!(
        r#"{{"openid":"u","mch_id":"m","trade_no":"{whom}-{page}","status":1,"paid_amount":1,"paid_time":{paid}}}"#
    );
    json(format!(r#"{{"order_list":[{row}],"total_cnt":1000,"start_id":"{}","errcode":0}}"#, page + 1))
}

fn history_of(promoters: usize, in_flight: usize) -> App {
    let from = order(60, 900, 12 * 3600, days_ago(40));
    // Each by itself: in a backfill that goes on together they would be asked for days.
    App { orders: Some(from), in_flight, ..App::new(promoters) }
}

/// Whose last page was asked for, and how often each promoter's pages were.
fn read(world: &World) -> (usize, BTreeMap<(String, u32), usize>) {
    let mut pages = BTreeMap::new();
    for call in world.orders().into_iter().filter(|call| !call.asks_for_a_day()) {
        *pages.entry((call.whom.clone(), page(&call))).or_default() += 1;
    }
    let ends: BTreeSet<_> = pages.keys().filter(|(_, page)| page + 1 == PAGES).map(|(whom, _)| whom).collect();
    (ends.len(), pages)
}

#[tokio::test(start_paused = true)]
async fn pulls_that_the_days_end_interrupts_go_on_the_next_day() {
    for in_flight in [1, 8] {
        let world = World::new(history);
        // Forty backlogs are 1200 calls; what is left of 200 a day goes to the days' orders.
        world.live(&[history_of(40, in_flight).per_day(Interface::GetOrder, 200)], 20 * 86_400).await;
        let (ends, pages) = read(&world);
        assert_eq!(ends, 40, "of 40 backlogs, {in_flight} calls in flight");
        // Beyond a bound, those that wait with their first page read it once more.
        let again = pages.iter().filter(|((_, page), count)| *page > 0 && **count > 1).count();
        assert_eq!(again, 0, "pages that were read again, {in_flight} calls in flight");
    }
}

#[tokio::test(start_paused = true)]
async fn pulls_that_are_too_fast_go_on_behind_the_open_breaker() {
    for in_flight in [1, 16] {
        let minute = Mutex::new((0, 0));
        let world = World::new(move |call| {
            if call.path.ends_with("getorder") {
                let mut minute = minute.lock().unwrap();
                let now = (call.at / 60.0) as u64;
                *minute = if minute.0 == now { (now, minute.1 + 1) } else { (now, 1) };
                if minute.1 > 100 {
                    return errcode(45011);
                }
            }
            history(call)
        });
        world.live(&[history_of(60, in_flight).per_minute(Interface::GetOrder, 5000)], 3600).await;
        let (ends, pages) = read(&world);
        assert_eq!(ends, 60, "of 60 backlogs, {in_flight} calls in flight");
        // A page that is refused is asked for once more.
        let calls: usize = pages.values().sum();
        assert!(calls < 60 * PAGES as usize * 11 / 10, "{calls} calls for 1800 pages, {in_flight} calls in flight");
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_long_pulls_are_read_at_once() {
    let latency = Duration::from_millis(500);
    let world = World::with_latency(latency, history);
    let touches = order(60, 60, 600, StartFrom::Now);
    world.live(&[App { touches: Some(touches), ..history_of(100, 16) }], 300).await;
    let further = |call: &Call| page(call) > 0;
    let further: Vec<_> = world.orders().into_iter().filter(further).collect();
    // One that begins as another ends is not beside it, however the times are rounded.
    let beside = latency.as_secs_f64() - 0.001;
    let at_once = further.iter().map(|call| between(&further, call.at, call.at + beside)).max();
    assert_eq!(at_once, Some(4), "a quarter of the calls in flight");
}
