//! Each class of answer: whom it concerns, and when he is asked again.

use std::time::Duration;

use promoter_connector::model::feed::StartFrom;
use promoter_connector::retry::RetrySettings;

use super::world::{App, Call, NO_DATA, Reply, STOPPED, World, calm, errcode, json, order};

fn app(id: &str, promoters: &[&str]) -> App {
    let every_minute = Some(order(60, 60, 600, StartFrom::Now));
    let retry =
        RetrySettings { initial: Duration::from_millis(200), max: Duration::from_secs(5), attempts: 3, jitter: 0.0 };
    App {
        id: id.into(),
        promoters: promoters.iter().map(|id| (*id).to_owned()).collect(),
        touches: every_minute,
        refunds: every_minute,
        in_flight: 4,
        retry,
        ..App::new(0)
    }
}

/// Runs the promoters of one app for `seconds`.
async fn world(promoters: &[&str], seconds: u64, answers: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> World {
    let world = World::with_latency(Duration::ZERO, answers);
    world.live(&[app("wx1", promoters)], seconds).await;
    world
}

#[tokio::test(start_paused = true)]
async fn an_app_with_wrong_credentials_is_probed_now_and_then_and_holds_up_no_other() {
    let world =
        World::with_latency(Duration::ZERO, |call| if call.whom == "wxBad" { errcode(40125) } else { calm(call) });
    world.live(&[app("wxBad", &["a", "b", "c"]), app("wxGood", &["d"])], 3000).await;
    let asked = world.count("stable_token", "wxBad");
    assert!((10..=14).contains(&asked), "{asked} token calls in ten pauses of {STOPPED:?}");
    assert_eq!(world.count("getrelation", "a"), 0);
    assert!((49..=52).contains(&world.count("getrelation", "d")));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_served_again_goes_on_with_all_its_promoters() {
    let world =
        world(
            &["a", "b", "c"],
            1000,
            |call| {
                if call.is_for_token() && call.at < 400.0 { errcode(40164) } else { calm(call) }
            },
        )
        .await;
    for promoter in ["a", "b", "c"] {
        assert!(world.count("getrelation", promoter) >= 6, "{promoter}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_stops_its_interface_only_and_is_probed() {
    let world =
        world(&["a", "b", "c"], 3000, |call| if call.path.ends_with("getorder") { errcode(45009) } else { calm(call) })
            .await;
    let orders = world.orders().len();
    assert!((10..=14).contains(&orders), "{orders} probes in ten pauses");
    assert!(world.count("getrelation", "a") >= 49);
}

#[tokio::test(start_paused = true)]
async fn too_fast_stops_its_interface_for_a_minute() {
    let world = world(&["a"], 600, |call| {
        if call.path.ends_with("getrelation") && call.at < 10.0 { errcode(45011) } else { calm(call) }
    })
    .await;
    let at: Vec<_> = world.touches().iter().take(3).map(|call| call.at as u64).collect();
    assert_eq!(at, [0, 60, 120]);
}

#[tokio::test(start_paused = true)]
async fn a_promoter_that_has_not_authorised_is_looked_at_slowly_and_the_others_as_usual() {
    let world = world(&["a", "b"], 1800, |call| if call.whom == "a" { errcode(103014) } else { calm(call) }).await;
    assert_eq!(world.count("getrelation", "a"), 2);
    assert!(world.count("getrelation", "b") >= 29);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_after_its_rejection_stops_the_app_at_the_third_fetch() {
    let world =
        world(&["a", "b", "c"], 290, |call| if call.is_for_token() { calm(call) } else { errcode(40001) }).await;
    let asked = world.calls("").iter().filter(|call| call.path.starts_with("/promoter/")).count();
    assert!((3..=8).contains(&asked), "{asked} calls with a rejected token");
}

#[tokio::test(start_paused = true)]
async fn a_pull_without_end_fails_and_holds_up_nobody() {
    let row = r#"{"openid":"u","create_time":1700000000}"#;
    let answers = move |call: &Call| match call.whom.as_str() {
        "a" => json(format!(r#"{{"relation_list":[{row}],"order_list":[],"total_cnt":1000,"start_id":"same"}}"#)),
        _ => calm(call),
    };
    let world = World::with_latency(Duration::from_millis(1), answers);
    world.live(&[app("wx1", &["a", "b"])], 600).await;
    // Two pages each time: the second one shows that the start_id repeats.
    assert!((18..=24).contains(&world.count("getrelation", "a")));
    assert!(world.count("getrelation", "b") >= 9);
}

#[tokio::test(start_paused = true)]
async fn one_feed_is_never_polled_twice_at_once() {
    let answers = |call: &Call| if call.is_for_token() { calm(call) } else { json(NO_DATA) };
    let world = World::with_latency(Duration::from_secs(200), answers);
    world.live(&[app("wx1", &["a"])], 1000).await;
    let at: Vec<_> = world.touches().iter().map(|call| call.at).collect();
    assert!(at.len() >= 3 && at.windows(2).all(|pair| pair[1] - pair[0] >= 259.9), "{at:?}");
}
