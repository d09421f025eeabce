//! An upstream that is a function of the request, and the connector's lives before it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use promoter_connector::commit::pace::BatchBounds;
use promoter_connector::commit::testing::durable_topics::DurableTopics;
use promoter_connector::commit::testing::fault_script::FaultScript;
use promoter_connector::commit::testing::memory_log::MemoryLog;
use promoter_connector::commit::totals::CommitTotals;
use promoter_connector::model::feed::{Interface, PerFeed, StartFrom};
use promoter_connector::model::pacing::PollSettings;
use promoter_connector::model::promoter::{AppId, Promoter};
use promoter_connector::model::time::{UnixMillis, UnixTime};
use promoter_connector::registry::table::ConfiguredPromoter;
use promoter_connector::retry::RetrySettings;
use promoter_connector::session::app_feeds::AppFeeds;
use promoter_connector::session::{FeedPlan, PollPipeline, PolledApp};
use promoter_connector::supervisor;
use promoter_connector::upstream::budget::BudgetSettings;
use promoter_connector::upstream::client::{Client, ClientSettings};
use promoter_connector::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub const START: i64 = 1_700_000_000; // 2023-11-15 06:13:20 in Beijing
pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;
pub const NO_DATA: &str = r#"{"errcode":103006}"#;

/// One call of a data interface.
#[derive(Clone, Debug)]
pub struct Call {
    /// Seconds since the start.
    pub at: f64,
    path: &'static str,
    /// The promoter asked about.
    pub whom: String,
    body: Value,
}

impl Call {
    pub fn now(&self) -> i64 {
        START + self.at as i64
    }

    pub fn date(&self) -> Option<i64> {
        self.body["date"].as_i64()
    }

    pub fn start_id(&self) -> Option<String> {
        self.body["start_id"].as_str().map(str::to_owned)
    }

    /// Of touches.
    pub fn window(&self) -> (i64, i64) {
        (self.body["begin_time"].as_i64().unwrap(), self.body["end_time"].as_i64().unwrap())
    }

    pub fn covers(&self, time: i64) -> bool {
        let (begin, end) = self.window();
        begin <= time && time <= end
    }
}

type Answers = Arc<dyn Fn(&Call) -> String + Send + Sync>;

#[derive(Clone)]
struct Upstream {
    answers: Answers,
    calls: Arc<Mutex<Vec<Call>>>,
    began: Instant,
    latency: Duration,
}

#[async_trait]
impl Transport for Upstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let body: Value = serde_json::from_slice(&request.body.unwrap_or_default()).unwrap_or_default();
        let at = self.began.elapsed().as_secs_f64();
        let whom = body["openid"].as_str().unwrap_or_default().to_owned();
        let call = Call { at, path: request.path, whom, body };
        let answer = if request.path == "/cgi-bin/stable_token" {
            r#"{"access_token":"T","expires_in":7200}"#.to_owned()
        } else {
            self.calls.lock().unwrap().push(call.clone());
            (self.answers)(&call)
        };
        let date = Some(UnixTime(call.now()));
        tokio::time::sleep(self.latency).await;
        Ok(HttpResponse { status: 200, body: Bytes::from(answer), date, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(START * 1000 + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

/// What is polled, and how.
#[derive(Clone)]
pub struct Setup {
    pub promoters: usize,
    pub touches: Option<FeedPlan>,
    pub orders: Option<FeedPlan>,
    pub refunds: Option<FeedPlan>,
    pub budgets: BTreeMap<Interface, BudgetSettings>,
    pub in_flight: usize,
    pub latency: Duration,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            promoters: 1,
            touches: None,
            orders: None,
            refunds: None,
            budgets: BTreeMap::new(),
            in_flight: 64,
            latency: Duration::from_millis(50),
        }
    }
}

/// Times in seconds.
pub fn feed(every: u64, idle_every: u64, lateness: i64, start_from: StartFrom) -> FeedPlan {
    let (every, idle_every) = (Duration::from_secs(every), Duration::from_secs(idle_every));
    FeedPlan { settings: PollSettings { every, idle_every, lateness }, start_from }
}

pub struct World {
    upstream: Upstream,
    pub durable: Arc<Mutex<DurableTopics>>,
}

impl World {
    pub fn new(answers: impl Fn(&Call) -> String + Send + Sync + 'static) -> World {
        let upstream = Upstream {
            answers: Arc::new(answers),
            calls: Arc::default(),
            began: Instant::now(),
            latency: Duration::ZERO,
        };
        World { upstream, durable: Arc::default() }
    }

    /// One life of the process, of so many seconds.
    pub async fn live(&self, setup: &Setup, seconds: i64) {
        let pipeline = PollPipeline {
            apps: Arc::new(vec![self.polled_app(setup)]),
            bounds: BatchBounds { linger: Duration::from_millis(50), events_max: 10_000, bytes_max: 8 << 20 },
            queue_bytes: 16 << 20,
            totals: Arc::new(CommitTotals::default()),
            forget: Duration::from_secs(30 * 86_400),
            discovery: None,
            registrations: Arc::default(),
            shares: None,
        };
        let make_log = || MemoryLog::new(self.durable.clone(), FaultScript::uneventful());
        let stop = CancellationToken::new();
        let end = async {
            self.downtime(seconds).await;
            stop.cancel();
        };
        let (result, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry(3)), end);
        result.unwrap();
    }

    /// Lets time pass without a process.
    pub async fn downtime(&self, seconds: i64) {
        tokio::time::sleep(Duration::from_secs(seconds.cast_unsigned())).await;
    }

    fn polled_app(&self, setup: &Setup) -> PolledApp {
        let app = AppId::new("wx1").unwrap();
        let settings = ClientSettings {
            retry: retry(8),
            budgets: setup.budgets.clone(),
            in_flight: setup.in_flight,
            ..ClientSettings::for_tests(app.as_str())
        };
        let promoter =
            |number: usize| (Promoter::new(&app, &format!("p{number:03}")).unwrap(), ConfiguredPromoter::default());
        let hour = Duration::from_secs(3600);
        let refunds = PollSettings { every: hour, idle_every: hour, lateness: 7 * DAY };
        let feeds = AppFeeds {
            polled: PerFeed { touches: setup.touches, orders: setup.orders, refunds: setup.refunds },
            refunds: FeedPlan { settings: refunds, start_from: StartFrom::Now },
        };
        let promoters = (0..setup.promoters).map(promoter).collect();
        let client = Client::new(settings, Upstream { latency: setup.latency, ..self.upstream.clone() });
        PolledApp::new(client, feeds, promoters, Duration::from_secs(900), 6 * hour)
    }

    /// The calls of an interface, in their order.
    pub fn calls(&self, interface: &str) -> Vec<Call> {
        let calls = self.upstream.calls.lock().unwrap();
        calls.iter().filter(|call| call.path.ends_with(interface)).cloned().collect()
    }

    pub fn published(&self) -> usize {
        self.durable.lock().unwrap().events.len()
    }
}

fn retry(attempts: u32) -> RetrySettings {
    RetrySettings { initial: Duration::from_millis(200), max: Duration::from_secs(30), attempts, jitter: 0.0 }
}

pub fn errcode(code: i64) -> String {
    format!(r#"{{"errcode":{code},"errmsg":"as scripted"}}"#)
}

pub fn touch(user: &str, time: i64) -> String {
    format!(r#"{{"openid":"{user}","create_time":{time},"path":"a","scene":1007}}"#)
}

/// `total_cnt` counts the rows, if not given.
pub fn touch_page(rows: &[String], start_id: Option<String>, total_cnt: Option<usize>) -> String {
    let start_id = start_id.map(|start_id| format!(r#","start_id":"{start_id}""#)).unwrap_or_default();
    let total_cnt = total_cnt.unwrap_or(rows.len());
    format!(r#"{{"relation_list":[{}],"total_cnt":{total_cnt}{start_id},"errcode":0}}"#, rows.join(","))
}

pub fn order(trade: &str, status: i64, paid: i64) -> String {
    format!(
        r#"{{"openid":"u","mch_id":"m","trade_no":"{trade}","status":{status},"paid_amount":1,"paid_time":{paid}}}"#
    )
}

/// `refunded` is 0 where the time is not told.
pub fn refund(trade: &str, paid: i64, refunded: i64) -> String {
    order(trade, 2, paid).replace('}', &format!(r#","refunded_time":{refunded}}}"#))
}

pub fn order_page(rows: &[String]) -> String {
    match rows {
        [] => NO_DATA.into(),
        rows => format!(r#"{{"order_list":[{}],"total_cnt":{},"errcode":0}}"#, rows.join(","), rows.len()),
    }
}
