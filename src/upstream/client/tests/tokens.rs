//! Where tokens come from, how long they are good, and that many callers cost one call.

use super::*;
use crate::secret::Secret;
use crate::upstream::token::TokenUrl;

#[tokio::test(start_paused = true)]
async fn the_classic_token_is_asked_for_in_the_query() {
    let upstream = Upstream::new([], []);
    let classic = ClientSettings { token_source: TokenSource::Classic(SECRET.into()), ..settings() };
    ask_with(classic, &upstream).await.unwrap();
    let sent = upstream.0.sent.lock().unwrap();
    assert_eq!(sent[0].path, "/cgi-bin/token");
    let query: Vec<_> = sent[0].query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(query, [("grant_type", "client_credential"), ("appid", "wx1"), ("secret", SECRET)]);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_refreshed_once() {
    for errcode in [40001, 40014, 42001] {
        let upstream = Upstream::new([code(errcode)], []);
        assert!(ask_with(settings(), &upstream).await.is_ok());
        assert_eq!(upstream.tokens_sent(), ["token-1", "token-2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_rejected_twice_ends_the_call() {
    let upstream = Upstream::new([ok(REJECTED), ok(REJECTED)], []);
    assert!(rejected(&ask_with(settings(), &upstream).await));
    assert_eq!(upstream.tokens_sent(), ["token-1", "token-2"]);
}

fn rejected<P>(result: &Result<P, CallError>) -> bool {
    matches!(result, Err(CallError::BreakerOpen { reason: OpenReason::TokenRejected, .. }))
}

fn same_token() -> Step {
    ok(r#"{"access_token":"same","expires_in":7200}"#)
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_after_its_rejection_is_not_sent_again() {
    let upstream = Upstream::new([ok(REJECTED)], [same_token(), same_token()]);
    assert!(rejected(&ask_with(settings(), &upstream).await));
    assert_eq!(upstream.tokens_sent(), ["same"]);
}

#[tokio::test(start_paused = true)]
async fn many_rejections_of_a_token_that_comes_back_cost_one_refresh() {
    let upstream = Upstream::new((0..50).map(|_| ok(REJECTED)), (0..50).map(|_| same_token()));
    let client = Client::new(settings(), upstream.clone());
    let results = together(&client, 50).await;
    assert!(results.iter().all(rejected));
    assert_eq!(upstream.token_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_came_back_is_not_asked_for_again_at_once() {
    let upstream = Upstream::new((0..5).map(|_| ok(REJECTED)), (0..5).map(|_| same_token()));
    let client = Client::new(settings(), upstream.clone());
    for (advance, token_calls) in [(0, 2), (0, 2), (5, 3)] {
        tokio::time::advance(Duration::from_secs(advance)).await;
        assert!(rejected(&client.page(&touches(), &CancellationToken::new()).await));
        assert_eq!(upstream.token_calls(), token_calls);
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_cost_one_token_call() {
    let upstream = Upstream::new([], []);
    let client = Client::new(settings(), upstream.clone());
    assert!(together(&client, 50).await.iter().all(Result::is_ok));
    assert_eq!((upstream.token_calls(), upstream.tokens_sent().len()), (1, 50));
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_share_the_failure_of_one_token_call() {
    let upstream = Upstream::new([], [code(40013)]);
    let client = Client::new(settings(), upstream.clone());
    let results = together(&client, 50).await;
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Err(CallError::BreakerOpen { reason: OpenReason::Stopped(_), .. })))
    );
    assert_eq!(upstream.token_calls(), 1);
    // The failure is not remembered for those who ask later.
    client.breakers().ready(Interface::GetRelation, "oP").await;
    assert!(client.page(&touches(), &CancellationToken::new()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn fifty_rejections_of_one_token_cost_one_refresh() {
    let upstream = Upstream::new((0..50).map(|_| ok(REJECTED)), []);
    let client = Client::new(ClientSettings { in_flight: 200, ..settings() }, upstream.clone());
    assert!(together(&client, 50).await.iter().all(Result::is_ok));
    assert_eq!(upstream.token_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_rejection_does_not_throw_out_the_successor() {
    let upstream = Upstream::new([], []);
    let client = Client::new(settings(), upstream.clone());
    let get = || client.tokens.get(&*client.transport, &client.clock, "http://a");
    let first = get().await.unwrap();
    client.tokens.reject(&first);
    let second = get().await.unwrap();
    client.tokens.reject(&first);
    assert_eq!(get().await.unwrap(), second);
    assert_eq!(upstream.token_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_refreshed_when_less_than_three_minutes_are_left() {
    let upstream = Upstream::new([], []);
    let client = Client::new(settings(), upstream.clone());
    let cancel = CancellationToken::new();
    for (advance, token_calls) in [(0, 1), (7200 - 180 - 1, 1), (1, 2), (1, 2)] {
        tokio::time::advance(Duration::from_secs(advance)).await;
        client.page(&touches(), &cancel).await.unwrap();
        assert_eq!(upstream.token_calls(), token_calls, "after {advance} more seconds");
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_beyond_the_documented_one_is_not_believed() {
    let upstream = Upstream::new([], [ok(r#"{"access_token":"T","expires_in":7200000}"#)]);
    let client = Client::new(settings(), upstream.clone());
    client.page(&touches(), &CancellationToken::new()).await.unwrap();
    tokio::time::advance(Duration::from_secs(7200 - 180)).await;
    client.page(&touches(), &CancellationToken::new()).await.unwrap();
    assert_eq!(upstream.token_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stable_token_with_its_least_life_is_not_asked_for_on_every_call() {
    let short = |life: u64| ok(&format!(r#"{{"access_token":"T","expires_in":{life}}}"#));
    for (life, kept) in [(300, 119), (180, 4), (0, 4)] {
        let upstream = Upstream::new([], [short(life)]);
        let client = Client::new(settings(), upstream.clone());
        let cancel = CancellationToken::new();
        client.page(&touches(), &cancel).await.unwrap();
        tokio::time::advance(Duration::from_secs(kept)).await;
        client.page(&touches(), &cancel).await.unwrap();
        assert_eq!(upstream.token_calls(), 1, "{life}");
        tokio::time::advance(Duration::from_secs(1)).await;
        client.page(&touches(), &cancel).await.unwrap();
        assert_eq!(upstream.token_calls(), 2, "{life}");
    }
}

#[tokio::test(start_paused = true)]
async fn token_calls_go_through_the_same_table_and_retries() {
    for (tokens, expected) in [
        (vec![code(40164)], "breaker open (ip_not_allowed): errcode 40164: no rid: 1"),
        (vec![code(40001)], "breaker open (credentials): errcode 40001: no rid: 1"),
        (vec![code(45009)], "breaker open (quota_spent): errcode 45009: no rid: 1"),
    ] {
        let upstream = Upstream::new([], tokens);
        assert_eq!(ask_with(settings(), &upstream).await.unwrap_err().to_string(), expected);
        assert_eq!(upstream.tokens_sent().len(), 0);
    }
    let upstream = Upstream::new([], [code(-1), ok("{}")]);
    assert!(ask_with(settings(), &upstream).await.is_ok());
    assert_eq!(upstream.token_calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_comes_from_a_url_as_json_or_alone() {
    for body in ["central\n", r#"{"access_token":"central","expires_in":100}"#] {
        let upstream = Upstream::new([], [ok(body)]);
        let url = TokenSource::Url("http://tokens.local/wx1?key=k".to_owned().into());
        ask_with(ClientSettings { token_source: url, ..settings() }, &upstream).await.unwrap();
        assert_eq!(upstream.tokens_sent(), ["central"]);
        let sent = upstream.0.sent.lock().unwrap();
        assert_eq!((sent[0].base_url.as_str(), sent[0].path), ("http://tokens.local/wx1?key=k", ""));
    }
    let upstream = Upstream::new([], [code(40013)]);
    let url = TokenSource::Url("http://tokens.local/wx1?key=k".to_owned().into());
    let error = ask_with(ClientSettings { token_source: url, ..settings() }, &upstream).await;
    assert!(matches!(error, Err(CallError::BreakerOpen { reason: OpenReason::Stopped(StopReason::Credentials), .. })));
}

#[tokio::test]
async fn a_token_file_is_read_again_when_its_token_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "from-file\n").unwrap();
    let upstream = Upstream::new([], []);
    let file = ClientSettings { token_source: TokenSource::File(path.clone()), ..settings() };
    let client = Client::new(file, upstream.clone());
    let cancel = CancellationToken::new();
    client.page(&touches(), &cancel).await.unwrap();
    std::fs::write(&path, r#"{"access_token":"next","expires_in":7200}"#).unwrap();
    upstream.0.data.lock().unwrap().push_back(ok(REJECTED));
    client.page(&touches(), &cancel).await.unwrap();
    assert_eq!(upstream.tokens_sent(), ["from-file", "from-file", "next"]);
    assert_eq!(upstream.token_calls(), 0);
}

#[tokio::test]
async fn a_token_file_that_is_not_there_says_so() {
    let file = TokenSource::File("/nonexistent/token".into());
    let quick = RetrySettings { attempts: 1, ..settings().retry };
    let upstream = Upstream::new([], []);
    let error = ask_with(ClientSettings { token_source: file, retry: quick, ..settings() }, &upstream).await;
    let shown = error.unwrap_err().to_string();
    assert!(shown.contains("/nonexistent/token") && shown.contains("No such file"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn no_key_that_a_token_server_is_given_is_ever_in_an_error() {
    let source = TokenSource::Url(TokenUrl {
        url: "http://tokens.internal/token?key=S3cr3tK3y&app=wx1".to_owned().into(),
        headers: vec![("Authorization".into(), "Bearer H3ad3rS3cr3t".to_owned().into())],
    });
    for said in [
        "unknown key S3cr3tK3y",
        "denied: GET /token?key=S3cr3tK3y&app=wx1",
        "bearer token H3ad3rS3cr3t is revoked",
        "denied: http://tokens.internal/token?key=S3cr3tK3y&app=wx1",
    ] {
        let echo = || ok(&format!(r#"{{"errcode":424242,"errmsg":"{said}"}}"#));
        let settings = ClientSettings { token_source: source.clone(), ..settings() };
        for upstream in [Upstream::new([], [echo()]), Upstream::new([echo()], [])] {
            let shown = ask_with(settings.clone(), &upstream).await.unwrap_err().to_string();
            assert!(
                shown.contains("***") && !shown.contains("S3cr3tK3y") && !shown.contains("H3ad3rS3cr3t"),
                "{shown}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn neither_token_nor_secret_is_ever_in_an_error() {
    let echo = |secret: &str| ok(&format!(r#"{{"errcode":424242,"errmsg":"what is {secret}?"}}"#));
    let shown = |error: Result<RowsResponse, CallError>| {
        let error = error.unwrap_err();
        format!("{error} {error:?}")
    };
    let on_data = shown(ask([echo("token-1")]).await);
    assert!(on_data.contains("what is ***?") && !on_data.contains("token-1"), "{on_data}");
    let on_token = shown(ask_with(settings(), &Upstream::new([], [echo(SECRET)])).await);
    assert!(on_token.contains("what is ***?") && !on_token.contains(SECRET), "{on_token}");
    assert!(!format!("{:?}", settings()).contains(SECRET));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_refused_is_read_again_from_its_file_and_another_one_is_tried_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let read = |bytes| Ok(String::from_utf8(bytes).unwrap().into());
    let in_file = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let source = TokenSource::Classic(Secret::of_file("old".into(), path.clone(), read));
        ClientSettings { token_source: source, ..settings() }
    };
    let secrets_sent = |upstream: &Upstream| -> Vec<String> {
        let sent = upstream.0.sent.lock().unwrap();
        let secrets = sent.iter().flat_map(|request| &request.query).filter(|(name, _)| *name == "secret");
        secrets.map(|(_, secret)| secret.clone()).collect()
    };
    let changed = Upstream::new([], [code(40125)]);
    ask_with(in_file("new"), &changed).await.unwrap();
    assert_eq!(secrets_sent(&changed), ["old", "new"]);
    let same = Upstream::new([], [code(40125)]);
    assert!(ask_with(in_file("old"), &same).await.is_err());
    assert_eq!(secrets_sent(&same), ["old"], "the same one is not tried twice");
}
