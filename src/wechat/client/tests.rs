//! A client against a scripted upstream, on paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::*;
use crate::domain::promoter::Promoter;
use crate::domain::time::{Day, UnixMillis};
use crate::wechat::error::StopReason;
use crate::wechat::question::Ask;
use tokio::time::Instant;

const START: UnixTime = UnixTime(1_700_000_000);
const TOUCH: &str = r#"{"relation_list":[{"openid":"u","create_time":1}],"total_cnt":1,"start_id":9,"errcode":0}"#;
const REJECTED: &str = r#"{"errcode":40001,"errmsg":"invalid credential"}"#;
const NO_DATA: &str = r#"{"errcode":103006,"errmsg":"data does not exist rid: 1"}"#;
const SECRET: &str = "app-secret";

/// One scripted answer.
enum Step {
    Body(u16, String),
    RetryAfter(u16, u64),
    /// The upstream's clock is this many seconds ahead, and the body comes after this many.
    Dated {
        ahead: i64,
        slow: u64,
    },
    /// The error page of a proxy, whose clock is this many seconds ahead.
    DatedByProxy {
        ahead: i64,
    },
    Fails(TransportError),
    Hangs,
}

fn ok(body: &str) -> Step {
    Step::Body(200, body.into())
}

fn code(errcode: i64) -> Step {
    ok(&format!(r#"{{"errcode":{errcode},"errmsg":"no rid: 1"}}"#))
}

struct Sent {
    base_url: String,
    path: &'static str,
    query: Vec<(&'static str, String)>,
    body: String,
    at: Duration,
}

/// Answers data calls and token calls from their scripts; without one, with a touch and with `token-1`, `token-2`, ….
#[derive(Clone)]
struct Upstream(Arc<Inner>);

struct Inner {
    start: Instant,
    data: Mutex<VecDeque<Step>>,
    tokens: Mutex<VecDeque<Step>>,
    sent: Mutex<Vec<Sent>>,
}

impl Upstream {
    fn new(data: impl IntoIterator<Item = Step>, tokens: impl IntoIterator<Item = Step>) -> Upstream {
        Upstream(Arc::new(Inner {
            start: Instant::now(),
            data: Mutex::new(data.into_iter().collect()),
            tokens: Mutex::new(tokens.into_iter().collect()),
            sent: Mutex::default(),
        }))
    }

    fn is_token_call(path: &str) -> bool {
        !path.starts_with("/promoter/")
    }

    fn token_calls(&self) -> usize {
        self.0.sent.lock().unwrap().iter().filter(|sent| Upstream::is_token_call(sent.path)).count()
    }

    fn data_calls<F: Fn(&Sent) -> R, R>(&self, show: F) -> Vec<R> {
        let sent = self.0.sent.lock().unwrap();
        sent.iter().filter(|sent| !Upstream::is_token_call(sent.path)).map(show).collect()
    }

    /// Which tokens the data calls carried.
    fn tokens_sent(&self) -> Vec<String> {
        self.data_calls(|sent| sent.query[0].1.clone())
    }
}

impl Transport for Upstream {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let is_token_call = Upstream::is_token_call(request.path);
        self.0.sent.lock().unwrap().push(Sent {
            base_url: request.base_url,
            path: request.path,
            query: request.query,
            body: String::from_utf8(request.body.unwrap_or_default().to_vec()).unwrap(),
            at: self.0.start.elapsed(),
        });
        let script = if is_token_call { &self.0.tokens } else { &self.0.data };
        let step = script.lock().unwrap().pop_front().unwrap_or_else(|| match is_token_call {
            true => ok(&format!(r#"{{"access_token":"token-{}","expires_in":7200}}"#, self.token_calls())),
            false => ok(TOUCH),
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let answer = |status, body: String| Response { status, body: body.into(), date: None, retry_after: None };
        match step {
            Step::Body(status, body) => Ok(answer(status, body)),
            Step::RetryAfter(status, seconds) => {
                Ok(Response { retry_after: Some(Duration::from_secs(seconds)), ..answer(status, "busy".into()) })
            }
            Step::Dated { ahead, slow } => {
                let date = self.now().as_seconds().plus(ahead);
                tokio::time::sleep(Duration::from_secs(slow)).await;
                Ok(Response { date: Some(date), ..answer(200, TOUCH.into()) })
            }
            Step::DatedByProxy { ahead } => {
                let date = self.now().as_seconds().plus(ahead);
                Ok(Response { date: Some(date), ..answer(502, "bad gateway".into()) })
            }
            Step::Fails(error) => Err(error),
            Step::Hangs => std::future::pending().await,
        }
    }

    fn now(&self) -> UnixMillis {
        let elapsed = i64::try_from(self.0.start.elapsed().as_millis()).unwrap();
        UnixMillis(START.as_millis().0 + elapsed)
    }
}

fn settings() -> ClientSettings {
    ClientSettings {
        app_id: AppId::new("wx1").unwrap(),
        id_kind: IdKind::OpenId,
        base_url: "http://a".into(),
        spare_urls: vec![],
        token_source: TokenSource::Stable(SECRET.into()),
        retry: RetrySettings {
            initial: Duration::from_millis(200),
            max: Duration::from_secs(30),
            attempts: 3,
            jitter: 0.5,
            too_fast: Duration::from_secs(60),
        },
        budgets: BTreeMap::new(),
    }
}

fn question(ask: Ask) -> Question {
    Question { promoter: Promoter::new(&AppId::new("wx1").unwrap(), "oP").unwrap(), ask, start_id: None }
}

fn touches() -> Question {
    question(Ask::Touches { begin: UnixTime(1), end: UnixTime(2) })
}

async fn ask_with(settings: ClientSettings, upstream: &Upstream) -> Result<Answer, CallError> {
    Client::new(settings, upstream.clone()).page(&touches(), &CancellationToken::new()).await
}

async fn ask(data: impl IntoIterator<Item = Step>) -> Result<Answer, CallError> {
    ask_with(settings(), &Upstream::new(data, [])).await
}

#[tokio::test(start_paused = true)]
async fn a_page_is_asked_for_with_the_token_and_read() {
    let upstream = Upstream::new([], []);
    let answer = ask_with(settings(), &upstream).await.unwrap();
    assert_eq!((answer.page.rows.len(), answer.page.start_id.as_deref()), (1, Some("9")));
    assert!(!answer.no_data);
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
async fn no_data_is_an_empty_answer() {
    let answer = ask([ok(NO_DATA)]).await.unwrap();
    assert_eq!(answer, Answer { no_data: true, ..Answer::default() });
}

#[tokio::test(start_paused = true)]
async fn every_class_reaches_the_caller_as_its_reaction() {
    let reason = |error: CallError| match error {
        CallError::StopApp { reason, .. } => reason,
        other => panic!("{other}"),
    };
    let hold = |error: CallError| match error {
        CallError::HoldInterface { interface: Interface::GetRelation, hold, .. } => hold,
        other => panic!("{other}"),
    };
    assert!(matches!(ask([code(103007)]).await, Err(CallError::ParkPromoter(_))));
    assert!(matches!(ask([code(103001)]).await, Err(CallError::RefuseRequest(_))));
    assert!(matches!(ask([code(103009)]).await, Err(CallError::TryLater(_))));
    assert_eq!(reason(ask([code(40125)]).await.unwrap_err()), StopReason::Credentials);
    assert_eq!(reason(ask([code(61004)]).await.unwrap_err()), StopReason::IpNotAllowed);
    assert_eq!(reason(ask([code(48001)]).await.unwrap_err()), StopReason::NotOpened);
    assert_eq!(hold(ask([code(45009)]).await.unwrap_err()), Hold::QuotaSpent);
    assert_eq!(hold(ask([code(45011)]).await.unwrap_err()), Hold::TooFast(Duration::from_secs(60)));
    assert!(matches!(ask([code(47001)]).await, Err(CallError::ClientFault(_))));
    assert!(matches!(ask([Step::Body(412, String::new())]).await, Err(CallError::ClientFault(_))));
    let error = ask([code(424242)]).await.unwrap_err();
    assert!(matches!(error, CallError::Unforeseen(_)));
    assert_eq!(error.to_string(), "undocumented: errcode 424242: no rid: 1");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_would_come_the_same_again_is_unreadable_at_once() {
    let upstream = Upstream::new([ok(r#"{"relation_list":{}}"#)], []);
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
    for (asked, held) in [(31, 31), (7200, 3600)] {
        let Err(CallError::HoldInterface { hold, .. }) = ask([Step::RetryAfter(429, asked)]).await else {
            panic!("not held")
        };
        assert_eq!(hold, Hold::RetryAfter(Duration::from_secs(held)));
    }
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
    assert!(matches!(ask_with(settings(), &upstream).await, Err(CallError::TokenRejectedAgain(_))));
    assert_eq!(upstream.tokens_sent(), ["token-1", "token-2"]);
}

fn same_token() -> Step {
    ok(r#"{"access_token":"same","expires_in":7200}"#)
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_after_its_rejection_is_not_sent_again() {
    let upstream = Upstream::new([ok(REJECTED)], [same_token(), same_token()]);
    assert!(matches!(ask_with(settings(), &upstream).await, Err(CallError::TokenRejectedAgain(_))));
    assert_eq!(upstream.tokens_sent(), ["same"]);
}

#[tokio::test(start_paused = true)]
async fn many_rejections_of_a_token_that_comes_back_cost_one_refresh() {
    let upstream = Upstream::new((0..50).map(|_| ok(REJECTED)), (0..50).map(|_| same_token()));
    let client = Client::new(settings(), upstream.clone());
    let results = together(&client, 50).await;
    assert!(results.iter().all(|result| matches!(result, Err(CallError::TokenRejectedAgain(_)))));
    assert_eq!(upstream.token_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_came_back_is_not_asked_for_again_at_once() {
    let upstream = Upstream::new((0..5).map(|_| ok(REJECTED)), (0..5).map(|_| same_token()));
    let client = Client::new(settings(), upstream.clone());
    for (advance, token_calls) in [(0, 2), (0, 2), (5, 3)] {
        tokio::time::advance(Duration::from_secs(advance)).await;
        let result = client.page(&touches(), &CancellationToken::new()).await;
        assert!(matches!(result, Err(CallError::TokenRejectedAgain(_))));
        assert_eq!(upstream.token_calls(), token_calls);
    }
}

/// Asks `callers` times at once.
async fn together(client: &Client<Upstream>, callers: usize) -> Vec<Result<Answer, CallError>> {
    let (question, cancel) = (touches(), CancellationToken::new());
    let calls = (0..callers).map(|_| client.page(&question, &cancel));
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    let mut results = Vec::new();
    std::future::poll_fn(|context| {
        calls.retain_mut(|call| match call.as_mut().poll(context) {
            std::task::Poll::Ready(result) => {
                results.push(result);
                false
            }
            std::task::Poll::Pending => true,
        });
        if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    results
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
    assert!(results.iter().all(|result| matches!(result, Err(CallError::StopApp { .. }))));
    assert_eq!(upstream.token_calls(), 1);
    // The failure is not remembered for those who ask later.
    assert!(client.page(&touches(), &CancellationToken::new()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn fifty_rejections_of_one_token_cost_one_refresh() {
    let upstream = Upstream::new((0..50).map(|_| ok(REJECTED)), []);
    let client = Client::new(settings(), upstream.clone());
    assert!(together(&client, 50).await.iter().all(Result::is_ok));
    assert_eq!(upstream.token_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_rejection_does_not_throw_out_the_successor() {
    let upstream = Upstream::new([], []);
    let client = Client::new(settings(), upstream.clone());
    let get = || client.tokens.get(&client.transport, &client.clock, "http://a");
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
        (vec![code(40164)], "the app is stopped (ip_not_allowed): errcode 40164: no rid: 1"),
        (vec![code(40001)], "the app is stopped (credentials): errcode 40001: no rid: 1"),
        (vec![code(45009)], "getrelation is held: errcode 45009: no rid: 1"),
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
        let url = TokenSource::Url("http://tokens.local/wx1?key=k".into());
        ask_with(ClientSettings { token_source: url, ..settings() }, &upstream).await.unwrap();
        assert_eq!(upstream.tokens_sent(), ["central"]);
        let sent = upstream.0.sent.lock().unwrap();
        assert_eq!((sent[0].base_url.as_str(), sent[0].path), ("http://tokens.local/wx1?key=k", ""));
    }
    let upstream = Upstream::new([], [code(40013)]);
    let url = TokenSource::Url("http://tokens.local/wx1?key=k".into());
    let error = ask_with(ClientSettings { token_source: url, ..settings() }, &upstream).await;
    assert!(matches!(error, Err(CallError::StopApp { reason: StopReason::Credentials, .. })));
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
async fn a_busy_answer_does_not_change_the_host() {
    let upstream = Upstream::new([code(-1)], []);
    ask_with(ClientSettings { spare_urls: vec!["http://b".into()], ..settings() }, &upstream).await.unwrap();
    assert_eq!(upstream.data_calls(|sent| sent.base_url.clone()), ["http://a", "http://a"]);
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_every_kind_of_wait_at_once() {
    let per_minute = BudgetSettings { per_minute: 1, per_day: 0 };
    let paced = ClientSettings { budgets: [(Interface::GetRelation, per_minute)].into(), ..settings() };
    for (name, settings, data, tokens) in [
        ("an answer", settings(), vec![Step::Hangs], vec![]),
        ("a token", settings(), vec![], vec![Step::Hangs]),
        ("a pause", settings(), vec![Step::RetryAfter(503, 30)], vec![]),
        ("a budget", paced, vec![Step::RetryAfter(503, 0), Step::Hangs], vec![]),
    ] {
        let cancel = CancellationToken::new();
        let client = Client::new(settings, Upstream::new(data, tokens));
        let question = touches();
        let start = Instant::now();
        let canceller = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(client.page(&question, &cancel), canceller);
        assert_eq!(result, Err(CallError::Cancelled), "{name}");
        assert!(start.elapsed() < Duration::from_millis(1100), "{name} took {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_spaced_by_their_interface_s_budget() {
    let upstream = Upstream::new([], []);
    let per_minute = BudgetSettings { per_minute: 61, per_day: 0 };
    let budgets = [(Interface::GetRelation, per_minute)].into();
    let client = Client::new(ClientSettings { budgets, ..settings() }, upstream.clone());
    together(&client, 5).await;
    let at = upstream.data_calls(|sent| sent.at);
    for pair in at.windows(2).skip(1) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(999) && apart <= Duration::from_millis(1002), "{apart:?}");
    }
    // The other interface has no limit.
    let start = Instant::now();
    for _ in 0..5 {
        client.page(&question(Ask::Refunds), &CancellationToken::new()).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_spent_day_holds_the_interface_until_midnight_in_beijing() {
    let upstream = Upstream::new([], []);
    let budgets = [(Interface::GetRelation, BudgetSettings { per_minute: 0, per_day: 1 })].into();
    let client = Client::new(ClientSettings { budgets, ..settings() }, upstream.clone());
    let cancel = CancellationToken::new();
    client.page(&touches(), &cancel).await.unwrap();
    let Err(CallError::HoldInterface { hold: Hold::DailyBudget { until }, .. }) =
        client.page(&touches(), &cancel).await
    else {
        panic!("not held")
    };
    assert_eq!(until, Day::in_beijing(START).beijing_end());
    tokio::time::advance(Duration::from_secs(u64::try_from(until.0 - START.0).unwrap())).await;
    assert!(client.page(&touches(), &cancel).await.is_ok());
}

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

#[tokio::test(start_paused = true)]
async fn neither_token_nor_secret_is_ever_in_an_error() {
    let echo = |secret: &str| ok(&format!(r#"{{"errcode":424242,"errmsg":"what is {secret}?"}}"#));
    let shown = |error: Result<Answer, CallError>| {
        let error = error.unwrap_err();
        format!("{error} {error:?}")
    };
    let on_data = shown(ask([echo("token-1")]).await);
    assert!(on_data.contains("what is ***?") && !on_data.contains("token-1"), "{on_data}");
    let on_token = shown(ask_with(settings(), &Upstream::new([], [echo(SECRET)])).await);
    assert!(on_token.contains("what is ***?") && !on_token.contains(SECRET), "{on_token}");
    assert!(!format!("{:?}", settings()).contains(SECRET));
}

fn material_question() -> MaterialQuestion {
    let promoter = question(Ask::Refunds).promoter;
    let path = "pages/a".to_owned();
    MaterialQuestion { promoter, path, extra_info: None, title: None, share_type: None, env_version: None }
}

async fn material_with(settings: ClientSettings, upstream: &Upstream) -> Result<GivenMaterial, CallError> {
    Client::new(settings, upstream.clone()).material(&material_question(), &CancellationToken::new()).await
}

#[tokio::test(start_paused = true)]
async fn material_goes_the_way_of_a_page_with_its_retries_and_its_token() {
    let upstream = Upstream::new([code(-1), ok(REJECTED), ok(r##"{"errcode":0,"tag":"#short"}"##)], []);
    let material = material_with(settings(), &upstream).await.unwrap();
    assert_eq!(material, GivenMaterial { tag: Some("#short".into()), ..GivenMaterial::default() });
    assert_eq!(upstream.tokens_sent(), ["token-1", "token-1", "token-2"]);
    let calls = upstream.data_calls(|sent| (sent.path, sent.body.clone()));
    assert_eq!(calls[2], ("/promoter/getsharematerial", r#"{"path":"pages/a","openid":"oP"}"#.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_promoter_without_authorisation_is_permanent_where_material_is_asked_for() {
    let error = material_with(settings(), &Upstream::new([ok(NO_DATA)], [])).await.unwrap_err();
    assert!(matches!(error, CallError::ParkPromoter(Cause { errcode: Some(103_006), .. })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn material_has_a_budget_of_its_own() {
    let one_a_day = BudgetSettings { per_minute: 0, per_day: 1 };
    let upstream = Upstream::new([ok("{}"), ok(TOUCH)], []);
    let budgets = [(Interface::GetShareMaterial, one_a_day)].into();
    let client = Client::new(ClientSettings { budgets, ..settings() }, upstream.clone());
    let cancel = CancellationToken::new();
    client.material(&material_question(), &cancel).await.unwrap();
    let error = client.material(&material_question(), &cancel).await.unwrap_err();
    let CallError::HoldInterface { interface: Interface::GetShareMaterial, hold: Hold::DailyBudget { .. }, .. } = error
    else {
        panic!("{error}")
    };
    client.page(&touches(), &cancel).await.unwrap();
}
