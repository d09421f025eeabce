//! What becomes of an answer: read, refused, asked for again, asked of another host.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_page_is_asked_for_with_the_token_and_read() {
    let upstream = Upstream::new([], []);
    let answer = ask_with(settings(), &upstream).await.unwrap();
    assert_eq!((answer.page.rows.len(), answer.page.start_id.as_deref()), (1, Some("9")));
    let sent = upstream.0.sent.lock().unwrap();
    assert_eq!((sent[0].path, sent[0].base_url.as_str()), ("/cgi-bin/stable_token", "http://a"));
    assert_eq!(
        sent[0].body,
        r#"{"grant_type":"client_credential","appid":"wx1","secret":"app-secret","force_refresh":false}"#
    );
    assert_eq!(sent[1].path, "/promoter/getrelation");
    assert_eq!(sent[1].query, [("access_token", "token-1".to_owned())]);
    assert_eq!(sent[1].body, r#"{"openid":"oP","begin_time":1,"end_time":2}"#);
}

#[tokio::test(start_paused = true)]
async fn no_data_is_an_empty_answer() {
    let answer = ask([ok(NO_DATA)]).await.unwrap();
    assert_eq!(answer.page, RowPage::default());
}

#[tokio::test(start_paused = true)]
async fn every_class_reaches_the_caller_as_its_reaction() {
    let reason = |error: CallError| match error {
        CallError::BreakerOpen { reason, .. } => reason,
        other => panic!("{other}"),
    };
    assert!(matches!(ask([code(103007)]).await, Err(CallError::ParkPromoter(_))));
    assert!(matches!(ask([code(103001)]).await, Err(CallError::RefuseRequest(_))));
    assert!(matches!(ask([code(103009)]).await, Err(CallError::TryLater(_))));
    assert_eq!(reason(ask([code(40125)]).await.unwrap_err()), OpenReason::Stopped(StopReason::Credentials));
    assert_eq!(reason(ask([code(61004)]).await.unwrap_err()), OpenReason::Stopped(StopReason::IpNotAllowed));
    assert_eq!(reason(ask([code(48001)]).await.unwrap_err()), OpenReason::Stopped(StopReason::NotOpened));
    assert!(matches!(reason(ask([code(45009)]).await.unwrap_err()), OpenReason::QuotaSpent { .. }));
    assert_eq!(reason(ask([code(45011)]).await.unwrap_err()), OpenReason::TooFast { retry_after: None });
    assert!(matches!(ask([code(47001)]).await, Err(CallError::ClientFault(_))));
    assert!(matches!(ask([Step::Body(412, String::new())]).await, Err(CallError::ClientFault(_))));
    let error = ask([code(424242)]).await.unwrap_err();
    assert!(matches!(error, CallError::Unforeseen(_)));
    assert_eq!(error.to_string(), "undocumented: errcode 424242: no rid: 1");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_would_come_the_same_again_is_unreadable_at_once() {
    let upstream = Upstream::new([ok(&format!(r#"{{"relation_list":[1{}]}}"#, ",1".repeat(10_000)))], []);
    assert!(matches!(ask_with(settings(), &upstream).await, Err(CallError::Unreadable(_))));
    assert_eq!(upstream.data_calls(|_| ()).len(), 1);
    let too_large = TransportError::TooLarge { limit: 10 };
    assert!(matches!(ask([Step::Fails(too_large)]).await, Err(CallError::Unreadable(_))));
}

#[tokio::test(start_paused = true)]
async fn busy_and_unreadable_answers_are_retried_with_growing_pauses() {
    for step in [|| code(-1), || ok(""), || ok("<html>"), || Step::Body(502, "{}".into()), || ok(&TOUCH[..40])] {
        let upstream = Upstream::new([step(), step()], []);
        assert!(ask_with(settings(), &upstream).await.is_ok());
        let at = upstream.data_calls(|sent| sent.at);
        assert!(at[1] - at[0] >= Duration::from_millis(100), "{at:?}");
        assert!(at[2] - at[1] >= Duration::from_millis(200), "{at:?}");
    }
}

/// Each of these passed for an empty page once, and moved the cursor past facts.
#[tokio::test(start_paused = true)]
async fn what_is_no_answer_of_the_upstream_s_is_asked_again() {
    let wrapped = format!(r#"{{"code":0,"data":{TOUCH}}}"#);
    let bodies = [
        "{}",
        r#"{"code":50013,"message":"rate limited"}"#,
        r#"{"errcode":null}"#,
        &wrapped,
        r#"{"relation_list":{},"total_cnt":0,"errcode":0}"#,
        r#"{"errcode":0,"errmsg":"ok","total_cnt":12}"#,
    ];
    let statuses = [(201, TOUCH), (204, ""), (203, NO_DATA), (403, NO_DATA), (404, REJECTED)];
    for (status, body) in bodies.map(|body| (200, body)).into_iter().chain(statuses) {
        let upstream = Upstream::new([Step::Body(status, body.into())], []);
        let answer = ask_with(settings(), &upstream).await.unwrap();
        assert_eq!((answer.page.rows.len(), upstream.data_calls(|_| ()).len()), (1, 2), "{status} {body}");
        let ever = (0..3).map(|_| Step::Body(status, body.into()));
        assert!(matches!(ask(ever).await, Err(CallError::Exhausted { attempts: 3, .. })), "{status} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_first_page_misses_the_rows_that_it_counts() {
    let empty = || ok(r#"{"errcode":0,"total_cnt":1000,"start_id":"2"}"#);
    let later = RowsRequest { start_id: Some("1".into()), ..touches() };
    let client = Client::new(settings(), Upstream::new([empty(), empty()], []));
    let cancel = CancellationToken::new();
    assert_eq!(client.page(&later, &cancel).await.unwrap().page.total_cnt, Some(1000));
    assert_eq!(client.page(&touches(), &cancel).await.unwrap().page.rows.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_odd_about_rows_is_counted_over_all_pages() {
    let odd = r#"{"relation_list":[{"promoter_openid":"oQ","openid":"u","create_time":1600000000,"scene":[]}]}"#;
    let client = Client::new(settings(), Upstream::new([ok(odd), ok(TOUCH), ok(odd)], []));
    for _ in 0..3 {
        client.page(&touches(), &CancellationToken::new()).await.unwrap();
    }
    let oddities = client.oddities();
    assert_eq!((oddities.other_promoter, Vec::from_iter(oddities.unreadable_fields)), (2, vec![("scene", 2)]));
}

#[tokio::test(start_paused = true)]
async fn retries_are_bounded_and_tell_their_last_cause() {
    let upstream = Upstream::new((0..3).map(|_| Step::Fails(TransportError::Timeout)), []);
    let error = ask_with(settings(), &upstream).await.unwrap_err();
    assert_eq!(error.to_string(), "given up after 3 attempts: no answer within the time limit");
    assert_eq!(upstream.data_calls(|_| ()).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pause_asked_for_is_kept_in_place_of_our_own() {
    let upstream = Upstream::new([Step::RetryAfter(503, 7)], []);
    assert!(ask_with(settings(), &upstream).await.is_ok());
    let at = upstream.data_calls(|sent| sent.at);
    assert_eq!((at[1] - at[0]).as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_the_ceiling_holds_the_interface() {
    for (asked, pause) in [(31, 31), (7200, STOPPED.as_secs())] {
        let upstream = Upstream::new([Step::RetryAfter(429, asked)], []);
        let client = Client::new(settings(), upstream.clone());
        let error = client.page(&touches(), &CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error, CallError::BreakerOpen { reason: OpenReason::RetryAfter(_), .. }), "{error}");
        let began = Instant::now();
        client.breakers().ready(Interface::GetRelation, "oP").await;
        assert_eq!(began.elapsed().as_secs(), pause);
    }
}

#[tokio::test(start_paused = true)]
async fn a_spare_host_is_asked_after_a_failure_and_kept_for_a_while() {
    let upstream = Upstream::new([Step::Fails(TransportError::Timeout)], []);
    let client = Client::new(ClientSettings { spare_urls: vec!["http://b".into()], ..settings() }, upstream.clone());
    let cancel = CancellationToken::new();
    client.page(&touches(), &cancel).await.unwrap();
    client.page(&touches(), &cancel).await.unwrap();
    tokio::time::advance(Duration::from_secs(600)).await;
    client.page(&touches(), &cancel).await.unwrap();
    let hosts = upstream.data_calls(|sent| sent.base_url.clone());
    assert_eq!(hosts, ["http://a", "http://b", "http://b", "http://a"]);
}

#[tokio::test(start_paused = true)]
async fn a_spare_host_whose_answer_can_not_be_read_has_answered_all_the_same() {
    let too_large = TransportError::TooLarge { limit: 10 };
    let upstream = Upstream::new([Step::Fails(TransportError::Timeout), Step::Fails(too_large)], []);
    let client = Client::new(ClientSettings { spare_urls: vec!["http://b".into()], ..settings() }, upstream.clone());
    let cancel = CancellationToken::new();
    assert!(matches!(client.page(&touches(), &cancel).await, Err(CallError::Unreadable(_))));
    client.page(&touches(), &cancel).await.unwrap();
    assert_eq!(upstream.data_calls(|sent| sent.base_url.clone()), ["http://a", "http://b", "http://b"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_asks_for_a_long_pause_is_left_alone_while_a_spare_one_answers() {
    let upstream = Upstream::new([Step::RetryAfter(503, 864_000)], []);
    let client = Client::new(ClientSettings { spare_urls: vec!["http://b".into()], ..settings() }, upstream.clone());
    let cancel = CancellationToken::new();
    for _ in 0..2 {
        client.page(&touches(), &cancel).await.unwrap();
    }
    let hosts = upstream.data_calls(|sent| sent.base_url.clone());
    assert_eq!(hosts, ["http://a", "http://b", "http://b"]);
    assert!(upstream.data_calls(|sent| sent.at)[2] < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_is_asked_by_one_call_at_a_time() {
    let upstream = Upstream::new((0..100_000).map(|_| Step::Fails(TransportError::Timeout)), []);
    let client = Client::new(settings(), upstream.clone());
    assert!(together(&client, 64).await.iter().all(Result::is_err));
    let at_first = upstream.data_calls(|_| ()).len();
    assert!((40..=64).contains(&at_first), "{at_first} calls");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3000) {
        client.breakers().ready(Interface::GetRelation, "oP").await;
        together(&client, 64).await;
    }
    let probes = upstream.data_calls(|_| ()).len() - at_first;
    assert!((99..=101).contains(&probes), "{probes} calls in 100 pauses");
}

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_with_a_spare_host_is_not_dead() {
    let upstream = Upstream::new((0..64).map(|_| Step::Fails(TransportError::Timeout)), []);
    let client = Client::new(ClientSettings { spare_urls: vec!["http://b".into()], ..settings() }, upstream.clone());
    assert!(together(&client, 64).await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_busy_answer_does_not_change_the_host() {
    let upstream = Upstream::new([code(-1)], []);
    ask_with(ClientSettings { spare_urls: vec!["http://b".into()], ..settings() }, &upstream).await.unwrap();
    assert_eq!(upstream.data_calls(|sent| sent.base_url.clone()), ["http://a", "http://a"]);
}
