//! What the answers tell of the upstream's clock.

use super::*;

#[tokio::test(start_paused = true)]
async fn now_is_the_earlier_of_both_clocks() {
    for (ahead, counted) in [(-100, -100), (100, 0)] {
        let upstream = Upstream::new([Step::Dated { ahead, slow: 0 }], []);
        let client = Client::new(settings(), upstream.clone());
        let local = || upstream.now().as_seconds();
        assert_eq!(client.now(), local());
        assert_eq!(client.page(&touches(), &CancellationToken::new()).await.unwrap().clock_skew_seconds, counted);
        assert_eq!((client.now(), client.upstream_skew_seconds()), (local().plus(counted), Some(ahead)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_still_holds_nothing_back_for_long() {
    let still = (0..50).map(|turn| Step::Dated { ahead: -10 * turn, slow: 0 });
    let upstream = Upstream::new(still, []);
    let client = Client::new(settings(), upstream.clone());
    let mut skews = Vec::new();
    for _ in 0..50 {
        skews.push(client.page(&touches(), &CancellationToken::new()).await.unwrap().clock_skew_seconds);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(skews[..4], [0, -10, -20, -30]);
    assert_eq!(skews[37..], [0; 13]);
    assert_eq!((client.now(), client.upstream_skew_seconds()), (upstream.now().as_seconds(), None));
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
    let in_two_days = row(START.0 + 2 * 24 * 3600);
    for (ahead, readable) in [(0, false), (3 * 24 * 3600, true)] {
        let client = Client::new(settings(), Upstream::new([Step::Dated { ahead, slow: 0 }, ok(&in_two_days)], []));
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

/// The first cursor is set to "now" right after this.
#[tokio::test(start_paused = true)]
async fn an_app_whose_token_comes_from_elsewhere_hears_the_upstream_s_clock_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "T").unwrap();
    for (source, tokens) in [
        (TokenSource::File(path), vec![Step::DatedRefusal { ahead: -3600 }]),
        (TokenSource::File("/nonexistent/token".into()), vec![Step::DatedRefusal { ahead: -3600 }]),
        (
            TokenSource::Url("http://tokens.local/wx1".to_owned().into()),
            vec![ok("T"), Step::DatedRefusal { ahead: -3600 }],
        ),
    ] {
        let upstream = Upstream::new([], tokens);
        let client = Client::new(ClientSettings { token_source: source, ..settings() }, upstream.clone());
        let _ = client.warm_up().await;
        assert_eq!(client.now(), upstream.now().as_seconds().minus(3600));
        let sent = upstream.0.sent.lock().unwrap();
        let heard = sent.last().unwrap();
        assert_eq!(
            (heard.base_url.as_str(), heard.path, heard.body.as_str()),
            ("http://a", "/cgi-bin/stable_token", "{}")
        );
    }
}

/// Nobody is polled before, so a host that is well again is heard as soon as `retry.max` lets be.
#[tokio::test(start_paused = true)]
async fn the_clock_is_asked_for_as_often_as_retries_may_be_and_each_half_minute_at_least() {
    for (retry_max, longest) in [(2, 2), (3600, 30)] {
        let unanswered = (0..30).map(|_| Step::Fails(TransportError::Timeout));
        let upstream = Upstream::new([], unanswered.chain([Step::DatedRefusal { ahead: 0 }]));
        let mut asking = ClientSettings { token_source: TokenSource::File("/token".into()), ..settings() };
        asking.retry.max = Duration::from_secs(retry_max);
        Client::new(asking, upstream.clone()).await_clock(|_| {}).await;
        let sent = upstream.0.sent.lock().unwrap();
        let pauses: Vec<_> = sent.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        assert_eq!(pauses.len(), 30);
        // Each call takes some milliseconds itself.
        assert!(pauses.iter().all(|pause| pause.as_secs() <= longest), "{pauses:?}");
        assert!(pauses.iter().max() > Some(&Duration::from_secs(longest / 2)), "{pauses:?}");
    }
}
