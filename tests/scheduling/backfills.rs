//! Backfills: an app's promoters go through their past together, and nobody waits for one who does not get on, or keeps who is
//! up to date waiting.

use std::time::Duration;

use promoter_connector::model::feed::{Interface, StartFrom};

use super::world::{
    App, Call, NO_DATA, Reply, START, World, between, calm, days_ago, errcode, json, longest_gap, order,
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const SPREAD: i64 = 6 * HOUR;
const DAYS: i64 = 30;
const LATENESS: i64 = 600;
const PAGE_ROWS: usize = 100;

fn app(promoters: usize) -> App {
    App { touches: Some(order(60, 900, LATENESS, days_ago(DAYS))), ..within_spread(promoters) }
}

/// Nobody runs further ahead than [`SPREAD`].
fn within_spread(promoters: usize) -> App {
    App { catch_up_spread: Duration::from_secs(SPREAD.unsigned_abs()), ..App::new(promoters) }
}

/// The same, but each promoter by himself.
fn apart(app: App) -> App {
    App { catch_up_spread: Duration::from_secs(1000 * 86_400), ..app }
}

/// A touch each `every` seconds of the time from `from` to the start.
fn touches_each(every: i64, from: i64, call: &Call) -> Reply {
    let time = |key: &str| call.body[key].as_i64().unwrap();
    let (begin, end) = (time("begin_time").max(from), time("end_time").min(START - 1));
    let row = |number: i64| format!(r#"{{"openid":"u","create_time":{}}}"#, number * every);
    let rows: Vec<_> = ((begin + every - 1) / every..=end.max(0) / every).map(row).collect();
    paged("relation_list", &rows, call)
}

fn paged(list: &str, rows: &[String], call: &Call) -> Reply {
    let page = call.body["start_id"].as_str().map_or(0, |page| page.parse::<usize>().unwrap());
    let rest = rows.get(page * PAGE_ROWS..).unwrap_or_default();
    match rest {
        [] => json(NO_DATA),
        _ if rest.len() <= PAGE_ROWS => {
            json(format!(r#"{{"{list}":[{}],"total_cnt":{},"errcode":0}}"#, rest.join(","), rest.len()))
        }
        _ => {
            let (rows, next) = (rest[..PAGE_ROWS].join(","), page + 1);
            json(format!(r#"{{"{list}":[{rows}],"total_cnt":1000,"start_id":"{next}","errcode":0}}"#))
        }
    }
}

/// Touches each hour of the past; those of p000 come twelve times as often.
fn busy_past(call: &Call) -> Reply {
    match call.path {
        "/promoter/getrelation" if call.whom == "p000" => touches_each(HOUR / 12, START - DAYS * DAY, call),
        "/promoter/getrelation" => touches_each(HOUR, START - DAYS * DAY, call),
        _ => calm(call),
    }
}

/// How far the times of events fall behind the latest one that was published before them, at most.
fn behind(events: &[(String, i64)]) -> i64 {
    let mut latest = i64::MIN;
    let behind = |(_, time): &(String, i64)| {
        latest = latest.max(*time);
        latest - time
    };
    events.iter().map(behind).max().unwrap()
}

/// Without the first two days: who is restored before others has begun by himself by then, and waits for them.
fn together(events: &[(String, i64)]) -> Vec<(String, i64)> {
    events.iter().filter(|(_, time)| *time > START - (DAYS - 2) * DAY).cloned().collect()
}

fn of(events: &[(String, i64)], whom: impl Fn(&str) -> bool) -> Vec<(String, i64)> {
    events.iter().filter(|(promoter, _)| whom(promoter)).cloned().collect()
}

fn hours(days: i64) -> usize {
    usize::try_from(days * 24).unwrap()
}

#[tokio::test(start_paused = true)]
async fn quick_promoters_wait_for_a_slow_one_and_all_of_them_come_to_the_present() {
    let world = World::new(busy_past);
    world.live(&[app(5)], 600).await;
    let events = world.events();
    assert_eq!(events.len(), (12 + 4) * hours(DAYS));
    let behind_others = behind(&together(&events));
    assert!(behind_others <= SPREAD, "an event is {behind_others} s behind another");
    let spreads = usize::try_from(DAYS * DAY / SPREAD).unwrap();
    let calls = world.count("getrelation", "p001");
    assert!((spreads..=3 * spreads).contains(&calls), "{calls} calls for {spreads} spreads");

    let world = World::new(busy_past);
    world.live(&[apart(app(5))], 600).await;
    assert!(behind(&world.events()) > 10 * DAY, "each by itself they are far apart: {}", behind(&world.events()));
}

#[tokio::test(start_paused = true)]
async fn a_parked_promoter_holds_nobody_and_catches_up_when_he_answers() {
    let world = World::new(|call| match call.path {
        "/promoter/getrelation" if call.whom == "p000" && call.at < 500.0 => errcode(40003),
        _ => busy_past(call),
    });
    world.live(&[app(4)], 200).await;
    let events = world.events();
    assert_eq!(events.len(), 3 * hours(DAYS), "the others have come to the present");
    assert!(behind(&together(&events)) <= SPREAD);
    world.live(&[app(4)], 1500).await;
    assert_eq!(world.events().len(), (12 + 3) * hours(DAYS));
}

#[tokio::test(start_paused = true)]
async fn a_promoter_who_fails_holds_the_others_until_he_has_failed_twice() {
    let world = World::new(|call| match call.path {
        "/promoter/getrelation" if call.whom == "p000" => errcode(103_001),
        _ => busy_past(call),
    });
    world.live(&[app(4)], 30).await;
    let at_most = usize::try_from(3 * (SPREAD / HOUR + 1)).unwrap();
    assert!(world.events().len() <= at_most, "{} events, as long as he has failed once", world.events().len());
    assert_eq!(world.count("getrelation", "p000"), 1);
    world.live(&[app(4)], 1200).await;
    let events = world.events();
    assert_eq!(events.len(), 3 * hours(DAYS));
    assert!(behind(&together(&events)) <= SPREAD);
}

#[tokio::test(start_paused = true)]
async fn who_is_up_to_date_is_polled_as_ever_while_others_catch_up() {
    const LONG: i64 = 500;
    let world = World::with_latency(Duration::from_millis(500), |call| match call.path {
        "/promoter/getrelation" if call.whom != "p000" => touches_each(HOUR, START - LONG * DAY, call),
        _ => calm(call),
    });
    let every_minute = |start_from| App { touches: Some(order(60, 60, LATENESS, start_from)), ..within_spread(3) };
    let alone = App { promoters: vec!["p000".into()], ..every_minute(StartFrom::Now) };
    world.live(&[alone], 100).await;
    world.live(&[every_minute(days_ago(LONG))], 900).await;
    let (live, others): (Vec<_>, Vec<_>) = world.touches().into_iter().partition(|call| call.whom == "p000");
    assert!(longest_gap(&live) < 65.0, "{}", longest_gap(&live));
    let is_now = |call: &Call| call.body["end_time"].as_i64().unwrap() >= START + call.at as i64;
    assert!(live.iter().all(is_now), "he is asked to the present");
    assert!(others.iter().rposition(|call| !is_now(call)).is_some_and(|last| others[last].at > 700.0), "still behind");
}

/// Two orders a day of each promoter, at hours of his own, from `from` to the start, listed by Beijing's days.
fn daily_orders(from: i64, call: &Call) -> Reply {
    if !call.path.ends_with("getorder") {
        return calm(call);
    }
    let hour = 2 * call.whom[1..].parse::<i64>().unwrap();
    let day_of = |time: i64| (time + 8 * HOUR).div_euclid(DAY);
    let asked = call.body["date"].as_i64().map(|date| {
        let part = |divisor: i64, range: i64| i8::try_from(date / divisor % range).unwrap();
        let date = jiff::civil::date(i16::try_from(date / 10_000).unwrap(), part(100, 100), part(1, 100));
        day_of(jiff::tz::Offset::constant(8).to_timestamp(date.at(0, 0, 0, 0)).unwrap().as_second())
    });
    let days = asked.map_or(day_of(from)..=day_of(START), |day| day..=day);
    let times = days.flat_map(|day| [0, 9].map(|later| day * DAY - 8 * HOUR + (hour + later) * HOUR));
    let row = |paid: i64| {
        format!(
            r#"{{"openid":"u","mch_id":"m","trade_no":"{}-{paid}","status":1,"paid_amount":1,"paid_time":{paid}}}"#,
            call.whom
        )
    };
    let rows: Vec<_> = times.filter(|time| (from..START).contains(time)).map(row).collect();
    paged("order_list", &rows, call)
}

fn orders_from(days: i64) -> App {
    App { orders: Some(order(60, 900, 12 * HOUR, days_ago(days))), ..within_spread(5) }
}

#[tokio::test(start_paused = true)]
async fn orders_go_on_a_day_when_everybodys_day_before_is_read() {
    let world = World::new(|call| daily_orders(START - 60 * DAY, call));
    world.live(&[orders_from(60)], 900).await;
    let events = world.events();
    assert_eq!(events.len(), 5 * 2 * 60);
    assert!(behind(&events) <= DAY, "an event is {} s behind another", behind(&events));

    let world = World::new(|call| daily_orders(START - 60 * DAY, call));
    world.live(&[apart(orders_from(60))], 900).await;
    assert!(behind(&world.events()) > 10 * DAY, "each by itself they are far apart: {}", behind(&world.events()));
}

#[tokio::test(start_paused = true)]
async fn a_long_past_that_holds_nothing_is_passed_over_in_a_few_calls() {
    let app = App { touches: Some(order(60, 900, LATENESS, days_ago(600))), ..orders_from(600) };
    let world = World::new(|call| match call.path {
        "/promoter/getrelation" => touches_each(HOUR, START - 2 * DAY, call),
        _ => daily_orders(START - 2 * DAY, call),
    });
    world.live(&[app], 50).await;
    let events = world.events();
    for whom in ["p000", "p004"] {
        assert_eq!(of(&events, |promoter| promoter == whom).len(), 48 + 4, "{whom}");
        let (touches, orders) = (world.count("getrelation", whom), world.count("getorder", whom));
        assert!(touches < 40 && orders < 20, "{touches} calls for touches, {orders} for orders");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backfill_takes_at_once_what_is_kept_of_the_day() {
    // The token comes after four hours, in which 2400 calls are earned that nobody makes.
    let is_away = |call: &Call| call.is_for_token() && call.at < 4.0 * HOUR as f64;
    let world = World::new(move |call| if is_away(call) { Reply::Status(503, None) } else { busy_past(call) });
    world.live(&[app(10).per_day(Interface::GetRelation, 14_400)], 4 * HOUR as u64 + 600).await;
    let calls = world.touches();
    let at_once = between(&calls, calls[0].at, calls[0].at + 300.0);
    assert!((600..2400).contains(&at_once), "{at_once} in five minutes, of which ten would be earned in each");
}
