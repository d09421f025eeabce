//! Budgets, places and turns: nobody waits for what another one waits for, and nobody is forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use promoter_connector::commit::testing::fault_script::{FaultScript, ScriptedFault};
use promoter_connector::model::feed::{Interface, StartFrom};
use tokio_util::sync::CancellationToken;

use super::world::{
    App, BOUNDS, Call, QUEUE_BYTES, Reply, World, between, calm, days_ago, json, longest_gap, order, usual_orders,
    usual_refunds, usual_touches,
};

const HOUR: f64 = 3600.0;
/// Beijing's.
const MIDNIGHT: f64 = 64_000.0;

fn touches_every_minute(promoters: usize) -> App {
    App { touches: Some(order(60, 60, 600, StartFrom::Now)), ..App::new(promoters) }
}

/// The token's source is away for so many hours. Gives the touches calls of that day.
async fn day_without_token_until(hours: f64, per_day: u32, away: fn() -> Reply) -> Vec<Call> {
    let is_away = move |call: &Call| call.is_for_token() && call.at < hours * HOUR;
    let world = World::new(move |call| if is_away(call) { away() } else { calm(call) });
    let app = touches_every_minute(10).per_day(Interface::GetRelation, per_day);
    world.live(&[app], MIDNIGHT as u64).await;
    world.touches()
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_never_made_are_not_counted() {
    // What ten promoters need in a day is 14,400 calls.
    let calls = day_without_token_until(4.0, 20_000, || Reply::Status(503, None)).await;
    assert!(calls[0].at < 4.0 * HOUR + 60.0, "the first is made at {} s", calls[0].at);
    assert!(calls.len() > 8000, "{} calls are made in the rest of the day", calls.len());
    let calls = day_without_token_until(6.0, 14_400, || Reply::Refused).await;
    let last = calls.last().unwrap().at;
    assert!(last > MIDNIGHT - 120.0, "the last is made at {last} s");
}

#[tokio::test(start_paused = true)]
async fn orders_with_a_small_budget_do_not_hold_up_touches() {
    for (orders, per_minute) in [(None, 5000), (Some(usual_orders()), 5000), (Some(usual_orders()), 30)] {
        let app = App { orders, ..touches_every_minute(200) };
        let app = app.per_minute(Interface::GetOrder, per_minute).per_minute(Interface::GetRelation, 5000);
        let world = World::new(calm);
        world.live(&[app], 3600).await;
        let touches = world.touches().len();
        assert!(touches > 11_500, "{touches} of 12000 touches polls beside {per_minute} orders polls a minute");
    }
}

#[tokio::test(start_paused = true)]
async fn orders_that_hang_do_not_hold_up_touches() {
    let hangs = |call: &Call| call.path.ends_with("getorder") && call.at > 600.0;
    let world = World::new(move |call| if hangs(call) { Reply::Hangs } else { calm(call) });
    world.live(&[App { orders: Some(usual_orders()), ..touches_every_minute(1000) }], 3000).await;
    let a_minute = between(&world.touches(), 1200.0, 3000.0) / 30;
    assert!(a_minute > 950, "{a_minute} of 1000 touches polls a minute");
}

#[tokio::test(start_paused = true)]
async fn promoters_whose_orders_are_always_slow_leave_places_to_the_others() {
    // Slower than the time limit, for one in ten of the promoters.
    let slow = |call: &Call| call.whom.ends_with('7') && call.path.ends_with("getorder");
    let world = World::new(move |call| if slow(call) { Reply::Hangs } else { calm(call) });
    let orders = Some(order(60, 60, 12 * 3600, StartFrom::Now));
    world.live(&[App { orders, ..App::new(300) }], 3600).await;
    let polls = between(&world.orders().into_iter().filter(|call| !slow(call)).collect::<Vec<_>>(), 600.0, 3600.0);
    assert!(polls > 270 * 45, "{polls} of 13500 orders polls of those who answer");
}

#[tokio::test(start_paused = true)]
async fn both_interfaces_spend_their_budgets_where_both_are_too_small() {
    for with_orders in [false, true] {
        let app = App {
            touches: Some(usual_touches()),
            orders: with_orders.then(usual_orders),
            refunds: with_orders.then(usual_refunds),
            ..App::new(1000)
        };
        let app = app.per_minute(Interface::GetOrder, 50).per_minute(Interface::GetRelation, 50);
        // Ten of them have something new each minute.
        let world = World::new(|call| if call.whom.as_str() < "p010" { busy(call) } else { calm(call) });
        world.live(&[app], 2 * 3600).await;
        let (touches, orders) = (world.touches().len(), world.orders().len());
        assert!(touches > 115 * 49, "{touches} touches polls in two hours, of 50 a minute");
        assert!(!with_orders || orders > 115 * 49, "{orders} orders polls in two hours, of 50 a minute");
    }
}

/// Something new every half minute.
fn busy(call: &Call) -> Reply {
    if !call.path.ends_with("getrelation") {
        return calm(call);
    }
    let (begin, end) = (call.body["begin_time"].as_i64().unwrap(), call.body["end_time"].as_i64().unwrap());
    let row = |time: i64| format!(r#"{{"openid":"u","create_time":{time},"path":"a","scene":1007}}"#);
    let rows: Vec<_> = (begin / 30 + 1..=end / 30).map(|half| row(half * 30)).collect();
    json(format!(r#"{{"relation_list":[{}],"total_cnt":{},"errcode":0}}"#, rows.join(","), rows.len()))
}

#[tokio::test(start_paused = true)]
async fn restarts_starve_nobody_though_the_budget_is_for_a_third() {
    let app = App { touches: Some(usual_touches()), ..App::new(300) }.per_minute(Interface::GetRelation, 20);
    let world = World::new(calm);
    for _ in 0..48 {
        world.live(std::slice::from_ref(&app), 600).await;
    }
    let calls = world.touches();
    let whom: BTreeSet<_> = calls.iter().map(|call| &call.whom).collect();
    assert_eq!(whom.len(), 300);
    // In eight hours 9600 calls are made, so each of 300 may have one every quarter of an hour.
    let waits = whom
        .iter()
        .map(|whom| longest_gap(&calls.iter().filter(|call| call.whom == **whom).cloned().collect::<Vec<_>>()));
    let longest = waits.fold(0.0, f64::max);
    assert!(longest < 3.0 * HOUR, "somebody waits for {longest} s");
}

/// A full page of rows, each with much that is passed over.
fn heavy(call: &Call) -> Reply {
    if !call.path.ends_with("getrelation") {
        return calm(call);
    }
    let begin = call.body["begin_time"].as_i64().unwrap() + 60;
    let row =
        |number: i64| format!(r#"{{"openid":"u{number}","create_time":{begin},"x":"{}"}}"#, "x".repeat(ROW_BYTES));
    let rows: Vec<_> = (0..ROWS).map(row).collect();
    json(format!(r#"{{"relation_list":[{}],"total_cnt":{ROWS},"errcode":0}}"#, rows.join(",")))
}

const ROWS: i64 = 100;
const ROW_BYTES: usize = 4000;

/// A log that stands still for an hour, once it holds the first cursors.
fn standing() -> FaultScript {
    let mut calls = 0;
    let decide = move || {
        calls += 1;
        (Duration::from_secs(if calls > 2 { 3600 } else { 0 }), ScriptedFault::None)
    };
    FaultScript::new(decide, CancellationToken::new())
}

#[tokio::test(start_paused = true)]
async fn while_the_log_stands_still_no_more_pages_wait_than_calls_may_be_in_flight() {
    let app = App { touches: Some(order(60, 60, 600, days_ago(1))), ..App::new(300) };
    let world = World::new(heavy);
    world.live_with(&[app], 600, standing).await;
    let calls = between(&world.touches(), 0.0, 600.0);
    // The row's bytes are counted twice: as they came, and as what they say.
    let page_bytes = ROWS as usize * 2 * ROW_BYTES;
    let taken = (QUEUE_BYTES + 2 * BOUNDS.bytes_max) / page_bytes + 3;
    assert!(calls <= taken + 48, "{calls} pages are asked for, of which {taken} are taken");
}
