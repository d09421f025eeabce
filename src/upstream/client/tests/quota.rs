//! What the upstream tells of its quota, and what follows from it.

use super::*;
use crate::telemetry::captured::Captured;

const HOUR: Duration = Duration::from_secs(3600);

fn told(limit: u64, used: u64) -> Step {
    ok(&format!(r#"{{"errcode":0,"quota":{{"daily_limit":{limit},"used":{used}}}}}"#))
}

fn client(upstream: &Upstream, per_day: u32) -> Client {
    let budgets = [(Interface::GetRelation, BudgetSettings { per_minute: 0, per_day })].into();
    Client::new(ClientSettings { budgets, ..settings() }, upstream.clone())
}

/// Calls as soon as that may be, for so long. Gives when calls of data were sent.
async fn call_for(client: &Client, upstream: &Upstream, time: Duration) -> Vec<Duration> {
    let calling = async {
        loop {
            client.breakers().ready(Interface::GetRelation, "oP").await;
            // Refused or not.
            let _ = client.page(&touches(), &CancellationToken::new()).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    };
    let both = async { tokio::join!(calling, client.keep_quotas()) };
    assert!(tokio::time::timeout(time, both).await.is_err(), "neither ends");
    upstream.data_calls(|sent| sent.at)
}

fn within(calls: &[Duration], from: Duration, to: Duration) -> usize {
    calls.iter().filter(|at| (from..to).contains(*at)).count()
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_is_asked_for_and_no_call_of_data_tries_before_there_is_some() {
    let spent = (0..6).map(|_| told(1000, 1000));
    let answers = [code(-1)].into_iter().chain(spent).chain([told(2_000_000, 1000)]);
    let upstream = Upstream::new([code(45009)], []).telling(answers);
    let calls = call_for(&client(&upstream, 0), &upstream, 2 * HOUR).await;
    let asked = upstream.quota_calls();
    assert!(asked[1] < Duration::from_secs(1), "as soon as it is refused: {asked:?}");
    assert!((asked[7] - asked[6]).abs_diff(STOPPED) < Duration::from_secs(1), "{asked:?}");
    assert_eq!(within(&calls, Duration::from_secs(1), asked[7]), 0, "{calls:?}");
    assert!(within(&calls, asked[7], asked[7] + Duration::from_secs(120)) > 0, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_stays_spent_is_tried_again_at_midnight() {
    let midnight = Duration::from_secs(Day::in_beijing(START).beijing_end().0.abs_diff(START.0));
    // Once at the start and once for the refusal, and then each five minutes.
    let readings = midnight.as_secs() / STOPPED.as_secs() + 2;
    let spent = (0..readings).map(|_| told(1_000_000, 1_000_000));
    let upstream = Upstream::new([code(45009)], []).telling(spent.chain([told(1_000_000, 0)]));
    let calls = call_for(&client(&upstream, 0), &upstream, midnight + HOUR).await;
    assert_eq!(within(&calls, Duration::from_secs(1), midnight), 0, "{calls:?}");
    assert!(within(&calls, midnight, midnight + HOUR) > 0, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_tells_the_quota_a_call_of_data_tries_after_the_usual_pause() {
    let upstream = Upstream::new([code(45009), code(45009)], []);
    let calls = call_for(&client(&upstream, 0), &upstream, HOUR).await;
    assert!((calls[1] - calls[0]).abs_diff(STOPPED) < Duration::from_secs(61), "{calls:?}");
    assert!(calls.len() > 30, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_told_to_be_spent_holds_nobody_whose_calls_are_answered() {
    let upstream = Upstream::new([], []).telling([told(1_000_000, 1_000_000)]);
    let calls = call_for(&client(&upstream, 0), &upstream, HOUR / 2).await;
    assert!(calls.len() >= 30, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_told_at_the_start_is_spread_over_what_is_left_of_the_day() {
    let left = Day::in_beijing(START).beijing_end().0.abs_diff(START.0);
    let upstream = Upstream::new([], []).telling([told(1_000_000, 1_000_000 - left)]);
    let client = client(&upstream, 0);
    assert_eq!(client.call_rates(Interface::GetRelation).day, None);
    assert!(tokio::time::timeout(Duration::from_secs(1), client.keep_quotas()).await.is_err());
    let rate = client.call_rates(Interface::GetRelation).day.unwrap();
    assert!((0.97..=1.0).contains(&rate), "{rate}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_called_so_far_is_told_a_minute_after_the_start_and_after_the_share_has_grown() {
    let upstream = Upstream::new([], []).telling((0..20).map(|_| told(1_000_000, 100_000)));
    let client = client(&upstream, 0);
    let at_once = || client.call_rates(Interface::GetRelation).day_at_once;
    let both = async {
        tokio::join!(client.keep_quotas(), async {
            tokio::time::sleep(HOUR / 2).await;
            client.set_share(Interface::GetRelation, Share::of_parts(1, 2), 0);
            tokio::time::sleep(HOUR / 4).await;
            assert!((90_000.0..100_000.0).contains(&at_once()), "{}", at_once());
            client.set_share(Interface::GetRelation, Share::ALL, 1);
        })
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), client.keep_quotas()).await.is_err());
    assert!(at_once() < 1000.0, "{}", at_once());
    assert!(tokio::time::timeout(HOUR - Duration::from_secs(60), both).await.is_err());
    assert!((195_000.0..205_000.0).contains(&at_once()), "{}", at_once());
    assert_eq!(upstream.quota_calls().len(), 4, "{:?}", upstream.quota_calls());
}

#[tokio::test(start_paused = true)]
async fn others_who_call_for_the_app_are_told_once_and_left_their_room() {
    let captured = Captured::start();
    // Once more a minute after the start.
    let readings = [0].into_iter().chain(0..20).map(|hour| told(1_000_000, hour * 20_000));
    let upstream = Upstream::new([], []).telling(readings);
    let client = client(&upstream, 0);
    call_for(&client, &upstream, 3 * HOUR + Duration::from_secs(120)).await;
    let [said] = &captured.events("others call for this app, too: what they use is left to them")[..] else {
        panic!("once")
    };
    let others = said["per_day"].as_f64().unwrap() / 24.0;
    assert!((19_500.0..20_000.0).contains(&others), "{others}, of 20,000 an hour less 60 of its own");
    let left = Day::in_beijing(START).beijing_end().0.abs_diff(START.0) as f64 - 10_800.0;
    let rate = client.call_rates(Interface::GetRelation).day.unwrap();
    let expected = 940_000.0 / left - others / 3600.0;
    assert!((rate / expected / 0.98 - 1.0).abs() < 0.02, "{rate} beside {expected}");
}

#[tokio::test(start_paused = true)]
async fn others_who_seem_to_need_everything_do_not_stop_the_calls() {
    // All of the day's quota would be called by others at the pace of the last hour; and then nobody tells any more.
    let upstream = Upstream::new([], []).telling([told(100_000, 0), told(100_000, 90_000)]);
    let client = client(&upstream, 0);
    let calls = call_for(&client, &upstream, 3 * HOUR).await;
    assert!(within(&calls, 2 * HOUR, 3 * HOUR) > 10, "{calls:?}");
    let rate = client.call_rates(Interface::GetRelation).day;
    assert!(rate.is_some_and(|rate| rate > 0.0), "{rate:?}");
}
