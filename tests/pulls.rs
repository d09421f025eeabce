//! Whole pulls on paused time, with an upstream that is a function of the request: what is asked next after each way a
//! pull can end, what is published of odd pages, and that nobody is held up by somebody else's.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "pulls/refunds.rs"]
mod refunds;
#[path = "pulls/smaller_requests.rs"]
mod smaller_requests;
#[path = "pulls/upstream.rs"]
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use promoter_connector::model::fact::{FactContent, OrderStatus};
use promoter_connector::model::feed::{Interface, StartFrom};
use promoter_connector::model::time::{Day, UnixTime};
use promoter_connector::upstream::budget::BudgetSettings;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use upstream::{
    Call, DAY, HOUR, NO_DATA, START, Setup, World, errcode, feed, order, order_page, refund, touch, touch_page,
};

const LATENESS: i64 = 600;
const ORDERS_LATENESS: i64 = 12 * HOUR;

/// Beijing, 2023-11-16 00:00.
const MIDNIGHT: i64 = 1_700_064_000;

fn since(seconds_before: i64) -> StartFrom {
    StartFrom::At(UnixTime(START - seconds_before))
}

fn touches_from(start_from: StartFrom) -> Setup {
    Setup { touches: Some(feed(60, 60, LATENESS, start_from)), ..Setup::default() }
}

fn orders_from(start_from: StartFrom) -> Setup {
    Setup { orders: Some(feed(60, 900, ORDERS_LATENESS, start_from)), ..Setup::default() }
}

/// One order that is listed under `dates` (all dates: in an undated pull, too), from `shown` on.
fn listed(call: &Call, dates: &[i64], shown: i64, paid: i64) -> String {
    let is_listed = call.date().is_none_or(|date| dates.contains(&date));
    order_page(&if is_listed && call.now() >= shown { vec![order("x", 1, paid)] } else { vec![] })
}

#[tokio::test(start_paused = true)]
async fn an_order_is_published_up_to_its_full_lateness_whichever_days_the_upstream_means() {
    // Hours after the midnight that begins the 16th in Beijing: paid, shown; and the lateness.
    for (lateness, paid, shown) in [(12, 7, 13), (12, 1, 13), (12, 7, 11), (24, 7, 25), (1, 2, 2), (7, 7, 8)] {
        for utc in [true, false] {
            let (paid, shown) = (MIDNIGHT + paid * HOUR, MIDNIGHT + shown * HOUR);
            let day = if utc { Day::in_utc(UnixTime(paid)) } else { Day::in_beijing(UnixTime(paid)) };
            let date = i64::from(day.as_yyyymmdd());
            let orders = Some(feed(60, 900, lateness * HOUR, StartFrom::Now));
            let setup = Setup { orders, ..Setup::default() };
            let world = World::new(move |call| listed(call, &[date], shown, paid));
            world.live(&setup, 4 * DAY).await;
            assert_eq!(world.published(), 1, "lateness {lateness} h, paid {paid}, shown {shown}, UTC {utc}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_beside_the_boundary_of_an_undated_pull_comes_once_whichever_day_lists_it() {
    let boundary = MIDNIGHT - 2 * 24 * HOUR;
    for paid in [boundary - 1, boundary, boundary + 8 * HOUR - 1, boundary - 16 * HOUR] {
        for date in [20_231_113, 20_231_114] {
            let world = World::new(move |call| listed(call, &[date], START, paid));
            world.live(&orders_from(since(40 * DAY)), 3 * DAY).await;
            assert_eq!(world.published(), 1, "paid {paid}, listed under {date}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_under_two_dates_comes_once_in_a_backfill_and_after_a_downtime_over_a_days_close() {
    let paid = MIDNIGHT - 60;
    let world = World::new(move |call| listed(call, &[20_231_115, 20_231_116], paid, paid));
    world.live(&orders_from(StartFrom::Now), DAY).await;
    assert_eq!(world.published(), 1);
    world.downtime(2 * DAY).await;
    world.live(&orders_from(StartFrom::Now), 3 * DAY).await;
    assert_eq!(world.published(), 1);
    let backfill = World::new(move |call| listed(call, &[20_231_113, 20_231_114], START, START - 2 * DAY));
    backfill.live(&orders_from(since(5 * DAY)), 3 * DAY).await;
    assert_eq!(backfill.published(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_order_with_two_times_in_an_undated_pull_is_one_payment() {
    let (paid, refunded) = (START - 5 * DAY, START - HOUR);
    let world = World::new(move |call| match call.date() {
        None => order_page(&[order("x", 1, paid), order("x", 2, refunded)]),
        Some(20_231_115) => order_page(&[order("x", 2, refunded)]),
        Some(_) => NO_DATA.into(),
    });
    world.live(&orders_from(since(40 * DAY)), DAY).await;
    // The refund is history to the first pull, by the payment's time.
    assert_eq!(world.published(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refund_without_its_time_is_published_once_however_late_it_comes_and_when_its_time_is_told() {
    let refunds = Some(feed(3600, 6 * 3600, 7 * DAY, StartFrom::Now));
    let setup = Setup { refunds, ..orders_from(StartFrom::Now) };
    let (paid_a, paid_b, refunded_b) = (START + HOUR, START + 2 * HOUR, START + DAY);
    let world = World::new(move |call| {
        let now = call.now();
        // a: refunded after ten days, its time never told. b: refunded after a day, its time told an hour later.
        let a = if now >= START + 10 * DAY { refund("a", paid_a, 0) } else { order("a", 1, paid_a) };
        let told = if now >= refunded_b + HOUR { refunded_b } else { 0 };
        let b = if now >= refunded_b { refund("b", paid_b, told) } else { order("b", 1, paid_b) };
        let rows = [(paid_a, a), (paid_b, b)].into_iter().filter(|(paid, _)| *paid <= now).map(|(_, row)| row);
        let fits = |row: &String| call.date().map_or(row.contains(r#""status":2"#), |date| date == 20_231_115);
        order_page(&rows.filter(fits).collect::<Vec<_>>())
    });
    world.live(&setup, 20 * DAY).await;
    let durable = world.durable.lock().unwrap();
    let events = durable.events.iter().map(|event| match &event.fact.content {
        FactContent::Order { status, payment, .. } => (payment.trade_no.clone(), *status, payment.refunded_time),
        FactContent::Touch(_) => panic!("no touches are polled"),
    });
    let events: BTreeSet<_> = events.collect();
    let wanted =
        ["a", "b"].map(|trade| [OrderStatus::Paid, OrderStatus::Refunded].map(|s| (trade.to_owned(), s, None)));
    assert_eq!((durable.events.len(), events), (4, wanted.into_iter().flatten().collect()));
}

/// Touches on pages of a thousand.
fn paged(call: &Call, rows: &[String], total_cnt: impl Fn(usize) -> usize, last_start_id: bool) -> String {
    if rows.is_empty() {
        return NO_DATA.into();
    }
    let page = call.start_id().map_or(0, |start_id| start_id.parse().unwrap());
    let on_page: Vec<_> = rows.iter().skip(page * 1000).take(1000).cloned().collect();
    let more = (page + 1) * 1000 < rows.len();
    touch_page(&on_page, (more || last_start_id).then(|| (page + 1).to_string()), Some(total_cnt(on_page.len())))
}

#[tokio::test(start_paused = true)]
async fn whatever_total_cnt_counts_all_rows_are_read_and_the_cursor_goes_on() {
    let begin = START - 5 * DAY;
    for last_start_id in [false, true] {
        let world = World::new(move |call| {
            let rows = (0..1200).map(|n| (begin + 10 + n, format!("u{n}")));
            let fresh = [(START + 600, "fresh".to_owned())];
            let visible = rows.chain(fresh).filter(|(time, _)| *time <= call.now() && call.covers(*time));
            let rows: Vec<_> = visible.map(|(time, user)| touch(&user, time)).collect();
            paged(call, &rows, |_| rows.len(), last_start_id)
        });
        world.live(&touches_from(StartFrom::At(UnixTime(begin))), HOUR).await;
        assert_eq!(world.published(), 1201);
        let (begin_asked, _) = world.calls("getrelation").last().unwrap().window();
        assert!(begin_asked > START, "the cursor stands");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_in_the_middle_that_is_called_full_is_followed() {
    let begin = START - DAY + 10;
    let world = World::new(move |call| match call.start_id().as_deref() {
        _ if !call.covers(begin + 5) => NO_DATA.into(),
        None => {
            let rows: Vec<_> = (0..1000).map(|n| touch(&format!("u{n}"), begin + n)).collect();
            touch_page(&rows, Some("1".into()), Some(1000))
        }
        Some("1") => touch_page(&[], Some("2".into()), Some(1000)),
        Some(_) => touch_page(&[touch("last", begin + 2000)], None, Some(1)),
    });
    world.live(&touches_from(since(DAY)), HOUR).await;
    assert_eq!(world.published(), 1001);
}

#[tokio::test(start_paused = true)]
async fn rows_that_come_in_another_order_with_each_call_are_asked_for_in_windows_of_one_page() {
    let count = std::sync::Mutex::new(0u64);
    let world = World::new(move |call| {
        let mut times: Vec<i64> =
            (0..5000).map(|n| START - 80_000 + n * 10).filter(|time| call.covers(*time)).collect();
        let mut count = count.lock().unwrap();
        *count += 1;
        times.shuffle(&mut ChaCha8Rng::seed_from_u64(*count));
        let rows: Vec<_> = times.iter().map(|time| touch("u", *time)).collect();
        paged(call, &rows, |on_page| on_page, true)
    });
    world.live(&touches_from(since(DAY)), 2 * HOUR).await;
    assert_eq!(world.published(), 5000);
}

#[tokio::test(start_paused = true)]
async fn pages_that_overlap_and_end_elsewhere_each_time_are_read_three_times_and_believed() {
    const ROWS: usize = 20_000;
    let count = std::sync::Mutex::new(0u64);
    let world = World::new(move |call| {
        let rows: Vec<_> = (0..ROWS as i64).map(|n| START - 80_000 + n).filter(|time| call.covers(*time)).collect();
        let mut count = count.lock().unwrap();
        *count += 1;
        let mut random = ChaCha8Rng::seed_from_u64(*count);
        let place: usize = call.start_id().map_or(0, |start_id| start_id.parse().unwrap());
        let begin = if place > 0 && random.random_bool(0.5) { place - 1 } else { place };
        let end = (begin + random.random_range(970..=1000)).min(rows.len());
        let page: Vec<_> = rows[begin.min(end)..end].iter().map(|time| touch("u", *time)).collect();
        match end < rows.len() {
            true => touch_page(&page, Some(end.to_string()), Some(1000)),
            false => touch_page(&page, None, Some(page.len())),
        }
    });
    world.live(&touches_from(since(DAY)), HOUR).await;
    assert_eq!(world.published(), ROWS);
    // An hour of 60 polls, and the day before it in three readings of whatever windows it was cut into.
    let calls = world.calls("getrelation").len();
    assert!(calls < 60 + 3 * 2 * ROWS / 1000 + 30, "{calls} calls");
}

/// Promoters with 30 pages of orders from the time before the start; `refuse` answers in place of a page.
fn backlog(refuse: impl Fn(&Call) -> Option<String> + Send + Sync + 'static) -> World {
    World::new(move |call| {
        if let Some(refused) = refuse(call) {
            return refused;
        }
        let page: usize = call.start_id().map_or(0, |start_id| start_id.parse().unwrap());
        if call.date().is_some() || page == 29 {
            return NO_DATA.into();
        }
        let row = order(&format!("{}-{page}", call.whom), 1, START - 35 * DAY);
        format!(r#"{{"order_list":[{row}],"total_cnt":1000,"start_id":"{}","errcode":0}}"#, page + 1)
    })
}

/// Each page of a backlog that was asked for, and how often.
fn pages_asked(world: &World) -> BTreeMap<(String, Option<String>), usize> {
    let mut pages = BTreeMap::new();
    for call in world.calls("getorder").into_iter().filter(|call| call.date().is_none()) {
        *pages.entry((call.whom.clone(), call.start_id())).or_default() += 1;
    }
    pages
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_the_days_budget_cuts_goes_on_the_next_day_behind_its_last_page() {
    let mut setup = Setup { promoters: 20, in_flight: 2, ..orders_from(since(40 * DAY)) };
    setup.budgets.insert(Interface::GetOrder, BudgetSettings { per_minute: 5000, per_day: 150 });
    let world = backlog(|_| None);
    world.live(&setup, 12 * DAY).await;
    let pages = pages_asked(&world);
    assert_eq!(pages.len(), 20 * 30, "every backlog is read to its end");
    // Only a pull that was interrupted before its last page, which is empty, begins again: nothing behind a start_id that has
    // waited proves no end.
    let calls: usize = pages.values().sum();
    assert!(calls < pages.len() + 3 * 30, "{calls} calls for {} pages", pages.len());
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_is_too_fast_goes_on_after_a_minute_behind_its_last_page() {
    let setup = Setup { promoters: 30, in_flight: 4, ..orders_from(since(40 * DAY)) };
    let minute = std::sync::Mutex::new((0i64, 0u32));
    let world = backlog(move |call| {
        let mut minute = minute.lock().unwrap();
        let now = call.now() / 60;
        *minute = if minute.0 == now { (now, minute.1 + 1) } else { (now, 1) };
        (minute.1 > 100).then(|| errcode(45_011))
    });
    world.live(&setup, HOUR).await;
    let pages = pages_asked(&world);
    assert_eq!(pages.len(), 30 * 30, "every backlog is read to its end");
    // The call that was refused is made again.
    assert!(pages.values().sum::<usize>() < 2 * pages.len(), "{} calls", pages.values().sum::<usize>());
}

#[tokio::test(start_paused = true)]
async fn a_start_id_that_has_grown_too_old_begins_its_pull_again() {
    let was_refused = std::sync::atomic::AtomicBool::new(false);
    let random = std::sync::Mutex::new(ChaCha8Rng::seed_from_u64(1));
    // After that pause no start_id from before it is known any more.
    let epoch = move |call: &Call| i64::from(call.at > 30.0);
    let world = World::new(move |call| {
        let known = call
            .start_id()
            .map(|start_id| start_id.split_once('-').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap());
        if known.as_ref().is_some_and(|(_, page)| page == "5")
            && !was_refused.swap(true, std::sync::atomic::Ordering::Relaxed)
        {
            return errcode(45_011);
        }
        let page = match known {
            Some((of, _)) if of != epoch(call).to_string() => return errcode(40_097),
            Some((_, page)) => page.parse::<i64>().unwrap(),
            None => 0,
        };
        if call.date().is_some() || page == 10 {
            return NO_DATA.into();
        }
        let row = order(&format!("t{page}"), 1, START - 35 * DAY - random.lock().unwrap().random_range(0..1));
        format!(r#"{{"order_list":[{row}],"total_cnt":1000,"start_id":"{}-{}","errcode":0}}"#, epoch(call), page + 1)
    });
    world.live(&orders_from(since(40 * DAY)), HOUR).await;
    assert_eq!(world.published(), 10);
    assert!(world.calls("getorder").iter().any(|call| call.date().is_some()), "the backlog is done");
}
