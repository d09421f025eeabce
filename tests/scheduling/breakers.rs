//! What opens a breaker, who is let through, and when it closes: also while calls are in flight.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use promoter_connector::model::feed::StartFrom;

use super::world::{
    App, Call, NO_DATA, Reply, STOPPED, World, between, calm, errcode, json, longest_gap, order, token_named,
    usual_orders, usual_refunds, usual_touches,
};

/// When a promoter's refunds are asked for the fifth time, in a calm world.
async fn fifth_refunds(app: &App) -> f64 {
    let world = World::new(calm);
    world.live(std::slice::from_ref(app), 100_000).await;
    let refunds = |call: &Call| call.body["status"].as_i64() == Some(2) && call.whom == "p000";
    world.orders().into_iter().filter(refunds).nth(4).unwrap().at
}

#[tokio::test(start_paused = true)]
async fn an_undecided_probe_of_an_app_is_repeated_after_the_apps_own_pause() {
    let touches = Some(order(70, 70, 600, StartFrom::Now));
    let app = App { touches, refunds: Some(usual_refunds()), ..App::new(1) };
    let bad = fifth_refunds(&app).await;
    let world = World::new(move |call| {
        let since = call.at - bad;
        let is_data = call.path.starts_with("/promoter/");
        match since {
            _ if is_data && (-5.0..100.0).contains(&since) => errcode(40164),
            _ if call.path.ends_with("getorder") && (100.0..600.0).contains(&since) => errcode(-1),
            _ => calm(call),
        }
    });
    world.live(&[app], bad as u64 + 30_000).await;
    let gap = longest_gap(&world.touches());
    let pause = STOPPED.as_secs_f64();
    assert!((pause..2.0 * pause + 70.0).contains(&gap), "{gap} s without touches");
}

#[tokio::test(start_paused = true)]
async fn an_undecided_probe_of_an_interface_is_repeated_after_the_interfaces_own_pause() {
    for busy in [40.0, 20.0] {
        let (touches, orders, refunds) = (Some(usual_touches()), Some(usual_orders()), Some(usual_refunds()));
        let app = App { touches, orders, refunds, ..App::new(20) };
        let bad = fifth_refunds(&app).await;
        let world = World::new(move |call| {
            let since = call.at - bad;
            match since {
                _ if !call.path.ends_with("getorder") => calm(call),
                _ if (-0.01..1.0).contains(&since) => errcode(45011),
                _ if (1.0..60.0 + busy).contains(&since) => errcode(-1),
                _ => calm(call),
            }
        });
        world.live(&[app], bad as u64 + 30_000).await;
        let orders: Vec<_> = world.orders().into_iter().filter(Call::asks_for_a_day).collect();
        // The usual pause of quiet promoters, and two of the breaker's.
        let gap = longest_gap(&orders);
        assert!(gap <= 900.0 + 2.0 * 60.0 + 5.0, "{gap} s without orders");
    }
}

const LATENCY: f64 = 2.0;

/// The first call is refused for being too fast, one of those in flight is busy and would be retried,
/// another one has further pages.
fn too_fast_once() -> impl Fn(&Call) -> Reply {
    let (in_flight, pages) = (AtomicU32::new(0), AtomicU32::new(0));
    move |call| {
        if !call.path.ends_with("getorder") {
            return calm(call);
        }
        let row = r#"{"openid":"u","mch_id":"m","trade_no":"t","status":1,"paid_amount":1,"paid_time":1700000300}"#;
        let page = pages.fetch_add(1, Ordering::Relaxed);
        match in_flight.fetch_add(1, Ordering::Relaxed) {
            0 => errcode(45011),
            1 => errcode(-1),
            2 => json(format!(r#"{{"order_list":[{row}],"total_cnt":1000,"start_id":"{page}","errcode":0}}"#)),
            _ => json(NO_DATA),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_too_fast_nothing_goes_out_whatever_was_in_flight() {
    let world = World::with_latency(Duration::from_secs_f64(LATENCY), too_fast_once());
    let orders = Some(order(60, 60, 12 * 3600, StartFrom::Now));
    world.live(&[App { orders, ..App::new(100) }], 900).await;
    let orders = world.orders();
    let sent = orders[0].at;
    let answered = sent + LATENCY;
    assert!(between(&orders, sent, answered) > 20, "many are in flight");
    assert_eq!(between(&orders, answered + 0.01, answered + 59.9), 0, "calls within the minute");
    assert_eq!(between(&orders, answered + 59.9, answered + 60.0 + LATENCY), 1, "one probe");
    assert!(between(&orders, answered + 60.0 + LATENCY, answered + 70.0) > 40, "then all go on");
}

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_is_asked_now_and_then_and_answers_again_for_all() {
    let world = World::new(|call| if (600.0..4200.0).contains(&call.at) { Reply::Refused } else { calm(call) });
    let every_minute = Some(order(60, 60, 600, StartFrom::Now));
    world.live(&[App { touches: every_minute, ..App::new(200) }], 4500).await;
    let touches = world.touches();
    // One probe every 30 s.
    let asked = between(&touches, 700.0, 4200.0);
    assert!((110..=120).contains(&asked), "{asked} calls of a dead upstream in an hour");
    assert!(between(&touches, 4200.0, 4300.0) >= 200, "all are asked again within a minute or so");
}

#[tokio::test(start_paused = true)]
async fn a_token_source_that_is_dead_is_asked_now_and_then() {
    let world = World::new(|call| if call.at < 3600.0 { Reply::Status(503, None) } else { calm(call) });
    world.live(&[App { touches: Some(usual_touches()), ..App::new(200) }], 3700).await;
    let asked = between(&world.calls("stable_token"), 200.0, 3600.0);
    assert!((110..=120).contains(&asked), "{asked} calls for a token in an hour");
    assert!(world.touches().len() >= 200);
}

#[tokio::test(start_paused = true)]
async fn a_long_pause_that_one_host_asks_for_is_spent_with_the_spare_one() {
    for seconds in [3600, 864_000] {
        let world = World::new(move |call| {
            let is_ill = call.host == "http://first" && !call.is_for_token() && (600.0..601.0).contains(&call.at);
            if is_ill { Reply::Status(503, Some(seconds)) } else { calm(call) }
        });
        let touches = Some(order(60, 60, 600, StartFrom::Now));
        world.live(&[App { touches, spare_urls: vec!["http://spare".into()], ..App::new(20) }], 9000).await;
        let gap = longest_gap(&world.touches());
        assert!(gap <= 61.0, "{gap} s without touches");
        assert!(world.touches().iter().any(|call| call.host == "http://spare"));
    }
}

#[tokio::test(start_paused = true)]
async fn no_pause_that_the_upstream_asks_for_is_longer_than_that_of_a_stopped_app() {
    for seconds in [3600, 864_000] {
        let world = World::new(move |call| {
            let is_ill = !call.is_for_token() && (600.0..601.0).contains(&call.at);
            if is_ill { Reply::Status(503, Some(seconds)) } else { calm(call) }
        });
        world.live(&[App { touches: Some(order(60, 60, 600, StartFrom::Now)), ..App::new(20) }], 9000).await;
        let gap = longest_gap(&world.touches());
        assert!((STOPPED.as_secs_f64()..STOPPED.as_secs_f64() + 61.0).contains(&gap), "{gap} s without touches");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_source_that_is_a_second_late_stops_nobody_however_many_learn_of_it() {
    for promoters in [1, 200] {
        let world = World::new(|call| match call.token.as_deref() {
            None => token_named(if call.at < 601.0 { "T1" } else { "T2" }),
            Some("T1") if call.at >= 600.0 => errcode(40001),
            Some(_) => json(NO_DATA),
        });
        world.live(&[App { touches: Some(order(60, 60, 600, StartFrom::Now)), ..App::new(promoters) }], 3000).await;
        let gap = longest_gap(&world.touches());
        assert!(gap <= 70.0, "{gap} s without touches of {promoters} promoters");
    }
}
