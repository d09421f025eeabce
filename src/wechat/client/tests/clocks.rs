//! What the answers tell of the upstream's clock.

use super::*;

#[tokio::test(start_paused = true)]
async fn now_is_the_earlier_of_both_clocks() {
    let upstream = Upstream::new([Step::Dated { ahead: -100, slow: 0 }, Step::Dated { ahead: 100, slow: 0 }], []);
    let client = Client::new(settings(), upstream.clone());
    let cancel = CancellationToken::new();
    let local = || upstream.now().as_seconds();
    assert_eq!(client.now(), local());
    assert_eq!(client.page(&touches(), &cancel).await.unwrap().clock_skew_seconds, -100);
    assert_eq!(client.now(), local().minus(100));
    assert_eq!(client.page(&touches(), &cancel).await.unwrap().clock_skew_seconds, 0);
    assert_eq!(client.now(), local());
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_proxy_is_not_the_upstream_s() {
    let upstream = Upstream::new([Step::DatedByProxy { ahead: -100_000 }], []);
    let client = Client::new(settings(), upstream.clone());
    client.page(&touches(), &CancellationToken::new()).await.unwrap();
    assert_eq!(client.now(), upstream.now().as_seconds());
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_does_not_set_the_clock_back() {
    let upstream = Upstream::new([Step::Dated { ahead: 0, slow: 10 }], []);
    let client = Client::new(settings(), upstream.clone());
    let answer = client.page(&touches(), &CancellationToken::new()).await.unwrap();
    assert_eq!(answer.clock_skew_seconds, -10);
    assert_eq!(client.now(), upstream.now().as_seconds());
}

#[tokio::test(start_paused = true)]
async fn a_row_is_ahead_only_of_the_later_clock() {
    let row = |time: i64| format!(r#"{{"relation_list":[{{"openid":"u","create_time":{time}}}]}}"#);
    let upstream = Upstream::new([], []);
    let client = Client::new(settings(), upstream.clone());
    let in_two_days = row(START.0 + 2 * 24 * 3600);
    for (ahead, readable) in [(0, false), (3 * 24 * 3600, true)] {
        upstream.0.data.lock().unwrap().extend([Step::Dated { ahead, slow: 0 }, ok(&in_two_days)]);
        client.page(&touches(), &CancellationToken::new()).await.unwrap();
        let answer = client.page(&touches(), &CancellationToken::new()).await.unwrap();
        assert_eq!(answer.page.rows[0].content.is_ok(), readable);
    }
}

#[tokio::test(start_paused = true)]
async fn warming_up_fetches_the_token_and_learns_the_clock() {
    let upstream = Upstream::new([], []);
    let client = Client::new(settings(), upstream.clone());
    client.warm_up().await.unwrap();
    client.warm_up().await.unwrap();
    assert_eq!((upstream.token_calls(), upstream.tokens_sent().len()), (1, 0));
    let refused = Client::new(settings(), Upstream::new([], [code(40125)]));
    assert_eq!(refused.warm_up().await.unwrap_err().reaction, Reaction::StopApp(StopReason::Credentials));
}
