//! How the schedulers react to each class of answer: who is asked again, when, and who is not held up by it.
//! On paused time, with an upstream that is a function of the request.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use promoter_connector::commit::committer::Bounds;
use promoter_connector::commit::memory_log::{Durable, MemoryLog};
use promoter_connector::commit::script::Script;
use promoter_connector::commit::totals::Totals;
use promoter_connector::domain::feed::StartFrom;
use promoter_connector::domain::promoter::{AppId, IdKind, Promoter};
use promoter_connector::domain::time::UnixMillis;
use promoter_connector::domain::turns::Rules;
use promoter_connector::retry::RetrySettings;
use promoter_connector::session::{FeedOrder, PolledApp, PolledPromoter, Session};
use promoter_connector::supervisor;
use promoter_connector::wechat::breaker::HoldSettings;
use promoter_connector::wechat::client::{Client, ClientSettings};
use promoter_connector::wechat::token::TokenSource;
use promoter_connector::wechat::transport::{Request, Response, Transport, TransportError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const START: i64 = 1_700_000_000_000;
const NO_DATA: &str = r#"{"errcode":103006}"#;
const STOPPED: Duration = Duration::from_secs(300);

/// One call that was answered.
#[derive(Clone, Debug)]
struct Call {
    /// Seconds since the start.
    at: u64,
    path: &'static str,
    /// The promoter asked about, or the app whose token was asked for.
    whom: String,
}

type Answers = Arc<dyn Fn(&Call) -> String + Send + Sync>;

#[derive(Clone)]
struct Upstream {
    answers: Answers,
    calls: Arc<Mutex<Vec<Call>>>,
    began: Instant,
    latency: Duration,
}

impl Transport for Upstream {
    fn send(&self, request: Request) -> impl Future<Output = Result<Response, TransportError>> + Send {
        let body: serde_json::Value = serde_json::from_slice(&request.body.unwrap_or_default()).unwrap();
        let whom = body["openid"].as_str().or(body["appid"].as_str()).unwrap_or_default().to_owned();
        let call = Call { at: self.began.elapsed().as_secs(), path: request.path, whom };
        self.calls.lock().unwrap().push(call.clone());
        let body = Bytes::from((self.answers)(&call));
        async move {
            tokio::time::sleep(self.latency).await;
            Ok(Response { status: 200, body, date: None, retry_after: None })
        }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(START + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

/// Runs the promoters of each app for `seconds`, and tells the calls.
async fn calls(
    apps: &[(&str, &[&str])],
    seconds: u64,
    latency: Duration,
    answers: impl Fn(&Call) -> String + Send + Sync + 'static,
) -> Vec<Call> {
    let upstream = Upstream { answers: Arc::new(answers), calls: Arc::default(), began: Instant::now(), latency };
    let apps = apps.iter().map(|(app, promoters)| polled_app(app, promoters, &upstream)).collect();
    let session = Session {
        apps: Arc::new(apps),
        bounds: Bounds { linger: Duration::from_millis(50), events_max: 1000, bytes_max: 1 << 20 },
        queue_bytes: 1 << 20,
        totals: Arc::new(Totals::default()),
    };
    let durable = Arc::new(Mutex::new(Durable::default()));
    let make_log = || MemoryLog::new(durable.clone(), Script::uneventful());
    let stop = CancellationToken::new();
    let end = async {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        stop.cancel();
    };
    let (result, ()) = tokio::join!(supervisor::run(&session, make_log, &stop, retry()), end);
    result.unwrap();
    let calls = upstream.calls.lock().unwrap();
    calls.clone()
}

fn retry() -> RetrySettings {
    RetrySettings { initial: Duration::from_millis(200), max: Duration::from_secs(5), attempts: 3, jitter: 0.0 }
}

fn polled_app(app: &str, promoters: &[&str], upstream: &Upstream) -> PolledApp<Upstream> {
    let app = AppId::new(app).unwrap();
    let settings = ClientSettings {
        app_id: app.clone(),
        id_kind: IdKind::OpenId,
        base_url: "http://upstream".into(),
        spare_urls: vec![],
        token_source: TokenSource::Stable("secret".to_owned().into()),
        retry: retry(),
        holds: HoldSettings { too_fast: Duration::from_secs(60), stopped: STOPPED, unanswered: retry().max },
        budgets: BTreeMap::new(),
        in_flight: 4,
    };
    let minute = Duration::from_secs(60);
    let order =
        FeedOrder { rules: Rules { every: minute, idle_every: minute, lateness: 600 }, start_from: StartFrom::Now };
    let promoter = |id: &&str| PolledPromoter {
        promoter: Promoter::new(&app, id).unwrap(),
        feeds: [Some(order), None, Some(order)],
        refunds_lateness: 600,
        refunds_start: StartFrom::Now,
    };
    PolledApp {
        client: Arc::new(Client::new(settings, upstream.clone())),
        promoters: promoters.iter().map(promoter).collect(),
        parked_for: Duration::from_secs(900),
        reports: Arc::default(),
        app,
    }
}

fn token(call: &Call) -> Option<String> {
    let token = format!(r#"{{"access_token":"token-of-{}","expires_in":7200}}"#, call.whom);
    (call.path == "/cgi-bin/stable_token").then_some(token)
}

fn errcode(code: i64) -> String {
    format!(r#"{{"errcode":{code},"errmsg":"as scripted"}}"#)
}

fn count(calls: &[Call], path: &str, whom: &str) -> usize {
    calls.iter().filter(|call| call.path.ends_with(path) && call.whom == whom).count()
}

#[tokio::test(start_paused = true)]
async fn an_app_with_wrong_credentials_is_probed_now_and_then_and_holds_up_no_other() {
    let calls = calls(&[("wxBad", &["a", "b", "c"]), ("wxGood", &["d"])], 3000, Duration::ZERO, |call| {
        if call.whom == "wxBad" { errcode(40125) } else { token(call).unwrap_or_else(|| NO_DATA.into()) }
    })
    .await;
    let asked = count(&calls, "stable_token", "wxBad");
    assert!((10..=14).contains(&asked), "{asked} token calls in ten pauses of {STOPPED:?}");
    assert!(count(&calls, "getrelation", "a") == 0);
    assert!((49..=52).contains(&count(&calls, "getrelation", "d")));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_served_again_goes_on_with_all_its_promoters() {
    let calls = calls(&[("wx1", &["a", "b", "c"])], 1000, Duration::ZERO, |call| match token(call) {
        Some(_) if call.at < 400 => errcode(40164),
        Some(token) => token,
        None => NO_DATA.into(),
    })
    .await;
    for promoter in ["a", "b", "c"] {
        assert!(count(&calls, "getrelation", promoter) >= 6, "{promoter}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_holds_its_interface_only_and_is_probed() {
    let calls = calls(&[("wx1", &["a", "b", "c"])], 3000, Duration::ZERO, |call| match token(call) {
        Some(token) => token,
        None if call.path.ends_with("getorder") => errcode(45009),
        None => NO_DATA.into(),
    })
    .await;
    let orders: usize = ["a", "b", "c"].map(|promoter| count(&calls, "getorder", promoter)).iter().sum();
    assert!((10..=14).contains(&orders), "{orders} probes in ten pauses");
    assert!(count(&calls, "getrelation", "a") >= 49);
}

#[tokio::test(start_paused = true)]
async fn too_fast_holds_its_interface_for_a_minute() {
    let calls = calls(&[("wx1", &["a"])], 600, Duration::ZERO, |call| match token(call) {
        Some(token) => token,
        None if call.path.ends_with("getrelation") && call.at < 10 => errcode(45011),
        None => NO_DATA.into(),
    })
    .await;
    let touches: Vec<u64> =
        calls.iter().filter(|call| call.path.ends_with("getrelation")).map(|call| call.at).collect();
    assert_eq!(touches[..3], [0, 60, 120]);
}

#[tokio::test(start_paused = true)]
async fn a_promoter_that_has_not_authorised_is_looked_at_slowly_and_the_others_as_usual() {
    let calls = calls(&[("wx1", &["a", "b"])], 1800, Duration::ZERO, |call| match token(call) {
        Some(token) => token,
        None if call.whom == "a" => errcode(103014),
        None => NO_DATA.into(),
    })
    .await;
    assert_eq!(count(&calls, "getrelation", "a"), 2);
    assert!(count(&calls, "getrelation", "b") >= 29);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_after_its_rejection_stops_the_app_at_the_third_poll() {
    let calls =
        calls(&[("wx1", &["a", "b", "c"])], 290, Duration::ZERO, |call| token(call).unwrap_or_else(|| errcode(40001)))
            .await;
    let asked = calls.iter().filter(|call| call.path.starts_with("/promoter/")).count();
    assert!((3..=8).contains(&asked), "{asked} calls with a rejected token");
}

#[tokio::test(start_paused = true)]
async fn a_pull_without_end_fails_and_holds_up_nobody() {
    let row = r#"{"openid":"u","create_time":1700000000}"#;
    let calls = calls(&[("wx1", &["a", "b"])], 600, Duration::from_millis(1), move |call| match token(call) {
        Some(token) => token,
        None if call.whom == "a" => {
            format!(r#"{{"relation_list":[{row}],"order_list":[],"total_cnt":1000,"start_id":"same"}}"#)
        }
        None => NO_DATA.into(),
    })
    .await;
    // Two pages each time: the second one shows that the start_id repeats.
    assert!((18..=24).contains(&count(&calls, "getrelation", "a")));
    assert!(count(&calls, "getrelation", "b") >= 9);
}

#[tokio::test(start_paused = true)]
async fn one_feed_is_never_polled_twice_at_once() {
    let calls =
        calls(&[("wx1", &["a"])], 1000, Duration::from_secs(200), |call| token(call).unwrap_or_else(|| NO_DATA.into()))
            .await;
    let touches: Vec<u64> =
        calls.iter().filter(|call| call.path.ends_with("getrelation")).map(|call| call.at).collect();
    assert!(touches.len() >= 3 && touches.windows(2).all(|pair| pair[1] - pair[0] >= 260), "{touches:?}");
}
