//! One or more apps against an upstream that is a function of the call, life after life of the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use promoter_connector::avro::framing::Framing;
use promoter_connector::avro::material::RequestDecoder;
use promoter_connector::commit::pace::BatchBounds;
use promoter_connector::commit::testing::durable_topics::DurableTopics;
use promoter_connector::commit::testing::fault_script::FaultScript;
use promoter_connector::commit::testing::memory_log::MemoryLog;
use promoter_connector::commit::totals::CommitTotals;
use promoter_connector::model::feed::{Interface, PerFeed, StartFrom};
use promoter_connector::model::pacing::PollSettings;
use promoter_connector::model::promoter::{AppId, IdKind, Promoter};
use promoter_connector::model::request::record::{Header, RecordOffset, RequestRecord};
use promoter_connector::model::time::{UnixMillis, UnixTime};
use promoter_connector::poll::reports::Reports;
use promoter_connector::registry::table::ConfiguredPromoter;
use promoter_connector::requests::executor::{DecodedRecord, Executor, MaterialApp};
use promoter_connector::retry::RetrySettings;
use promoter_connector::session::app_feeds::AppFeeds;
use promoter_connector::session::{FeedPlan, PollPipeline, PolledApp};
use promoter_connector::supervisor;
use promoter_connector::upstream::breaker::BreakerSettings;
use promoter_connector::upstream::budget::BudgetSettings;
use promoter_connector::upstream::client::{Client, ClientSettings};
use promoter_connector::upstream::token::TokenSource;
use promoter_connector::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// 2023-11-15 06:13:20 in Beijing, so midnight is 17.8 hours away.
pub const START: i64 = 1_700_000_000;
pub const NO_DATA: &str = r#"{"errcode":103006}"#;
pub const STOPPED: Duration = Duration::from_secs(300);
pub const REQUESTED: Duration = Duration::from_secs(90);
pub const TIMEOUT: Duration = Duration::from_secs(15);
pub const BOUNDS: BatchBounds =
    BatchBounds { linger: Duration::from_millis(50), events_max: 10_000, bytes_max: 8 << 20 };
pub const QUEUE_BYTES: usize = 16 << 20;

/// One call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Seconds since the start.
    pub at: f64,
    pub host: String,
    pub path: &'static str,
    /// The promoter asked about, or the app whose token was asked for.
    pub whom: String,
    pub token: Option<String>,
    pub body: serde_json::Value,
}

impl Call {
    pub fn is_for_token(&self) -> bool {
        self.path == "/cgi-bin/stable_token"
    }

    pub fn asks_for_a_day(&self) -> bool {
        self.body["date"].is_number() || self.body["date"].is_string()
    }
}

pub enum Reply {
    Json(String),
    /// With its `Retry-After` in seconds.
    Status(u16, Option<u64>),
    Refused,
    /// Nothing, until the time limit.
    Hangs,
}

pub fn json(text: impl Into<String>) -> Reply {
    Reply::Json(text.into())
}

pub fn errcode(code: i64) -> Reply {
    json(format!(r#"{{"errcode":{code},"errmsg":"as scripted"}}"#))
}

/// What a calm upstream without data answers.
pub fn calm(call: &Call) -> Reply {
    if call.is_for_token() { token_named(&format!("token-of-{}", call.whom)) } else { json(NO_DATA) }
}

pub fn token_named(name: &str) -> Reply {
    json(format!(r#"{{"access_token":"{name}","expires_in":7200}}"#))
}

type Answers = Arc<dyn Fn(&Call) -> Reply + Send + Sync>;

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
        let body: serde_json::Value = serde_json::from_slice(&request.body.unwrap_or_default()).unwrap_or_default();
        let whom = body["openid"].as_str().or(body["appid"].as_str()).unwrap_or_default().to_owned();
        let token = request.query.into_iter().find(|(name, _)| *name == "access_token").map(|(_, token)| token);
        let at = self.began.elapsed().as_secs_f64();
        let call = Call { at, host: request.base_url, path: request.path, whom, token, body };
        let reply = (self.answers)(&call);
        self.calls.lock().unwrap().push(call);
        tokio::time::sleep(self.latency).await;
        let response = |status, body, retry_after| HttpResponse { status, body, date: None, retry_after };
        match reply {
            Reply::Json(text) => Ok(response(200, Bytes::from(text), None)),
            Reply::Status(status, seconds) => Ok(response(status, Bytes::new(), seconds.map(Duration::from_secs))),
            Reply::Refused => Err(TransportError::Connection("refused".into())),
            Reply::Hangs => {
                tokio::time::sleep(TIMEOUT).await;
                Err(TransportError::Timeout)
            }
        }
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(START * 1000 + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

pub fn order(every: u64, idle_every: u64, lateness: i64, start_from: StartFrom) -> FeedPlan {
    let (every, idle_every) = (Duration::from_secs(every), Duration::from_secs(idle_every));
    FeedPlan { settings: PollSettings { every, idle_every, lateness }, start_from }
}

/// The defaults of the configuration, from now on.
pub fn usual_touches() -> FeedPlan {
    order(60, 900, 600, StartFrom::Now)
}

pub fn usual_orders() -> FeedPlan {
    order(60, 900, 12 * 3600, StartFrom::Now)
}

pub fn usual_refunds() -> FeedPlan {
    order(3600, 6 * 3600, 7 * 86_400, StartFrom::Now)
}

/// One app of the world.
#[derive(Clone)]
pub struct App {
    pub id: String,
    pub promoters: Vec<String>,
    pub touches: Option<FeedPlan>,
    pub orders: Option<FeedPlan>,
    pub refunds: Option<FeedPlan>,
    pub budgets: BTreeMap<Interface, BudgetSettings>,
    pub in_flight: usize,
    pub catch_up_spread: Duration,
    pub spare_urls: Vec<String>,
    pub retry: RetrySettings,
    /// Requests for material of the first promoters that come after [`REQUESTED`], each without a deadline.
    pub requests: usize,
}

impl App {
    /// With so many promoters, `p000` and so on, of which nothing is polled yet.
    pub fn new(promoters: usize) -> App {
        App {
            id: "wx1".into(),
            promoters: (0..promoters).map(|number| format!("p{number:03}")).collect(),
            touches: None,
            orders: None,
            refunds: None,
            budgets: BTreeMap::new(),
            in_flight: 64,
            catch_up_spread: Duration::from_secs(36_500 * 86_400),
            spare_urls: vec![],
            retry: RetrySettings {
                initial: Duration::from_millis(200),
                max: Duration::from_secs(30),
                attempts: 8,
                jitter: 0.0,
            },
            requests: 0,
        }
    }

    pub fn per_minute(mut self, interface: Interface, per_minute: u32) -> App {
        self.budgets.insert(interface, BudgetSettings { per_minute, per_day: 0 });
        self
    }

    pub fn per_day(mut self, interface: Interface, per_day: u32) -> App {
        self.budgets.insert(interface, BudgetSettings { per_minute: 5000, per_day });
        self
    }

    fn polled(&self, upstream: &Upstream) -> PolledApp {
        let app = AppId::new(&self.id).unwrap();
        let settings = ClientSettings {
            app_id: app.clone(),
            id_kind: IdKind::OpenId,
            base_url: "http://first".into(),
            spare_urls: self.spare_urls.clone(),
            token_source: TokenSource::Stable("secret".to_owned().into()),
            retry: self.retry,
            breakers: BreakerSettings {
                too_fast: Duration::from_secs(60),
                stopped: STOPPED,
                unanswered: self.retry.max,
            },
            budgets: self.budgets.clone(),
            in_flight: self.in_flight,
        };
        let promoter = |id: &String| (Promoter::new(&app, id).unwrap(), ConfiguredPromoter::default());
        let refunds = PollSettings {
            every: Duration::from_secs(3600),
            idle_every: Duration::from_secs(3600),
            lateness: 7 * 86_400,
        };
        let feeds = AppFeeds {
            polled: PerFeed { touches: self.touches, orders: self.orders, refunds: self.refunds },
            refunds: FeedPlan { settings: refunds, start_from: StartFrom::Now },
        };
        let promoters = self.promoters.iter().map(promoter).collect();
        let client = Client::new(settings, upstream.clone());
        PolledApp::new(client, feeds, promoters, Duration::from_secs(900), self.catch_up_spread)
    }

    /// Carries its requests out, until it is dropped.
    fn begin_requests(&self, client: Arc<Client>) -> JoinSet<()> {
        let decoder = RequestDecoder::new(Framing::SingleObject);
        let app = MaterialApp::new(client, 16);
        let executor = Arc::new(Executor::new([app], "requests".into(), decoder, None, self.retry));
        let mut requests = JoinSet::new();
        for (number, promoter) in self.promoters.iter().cycle().take(self.requests).enumerate() {
            let (record, executor) = (request(number, &self.id, promoter), executor.clone());
            requests.spawn(async move {
                tokio::time::sleep(REQUESTED).await;
                let DecodedRecord::Request(request) = executor.read(&record) else { panic!("it can be read") };
                executor.carry_out(&request, &CancellationToken::new()).await;
            });
        }
        requests
    }
}

fn request(number: usize, app: &str, promoter: &str) -> RequestRecord {
    let json = format!(r#"{{"request_id":"{number}","app_id":"{app}","promoter_openid":"{promoter}","path":"a"}}"#);
    let content_type = Header { name: "content-type".into(), value: Some("application/json".into()) };
    RequestRecord {
        location: RecordOffset { partition: 0, offset: 0 },
        timestamp: UnixMillis(0),
        key: None,
        headers: vec![content_type],
        value: Some(json.into()),
    }
}

pub struct World {
    upstream: Upstream,
    durable: Arc<Mutex<DurableTopics>>,
}

impl World {
    pub fn new(answers: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> World {
        World::with_latency(Duration::from_millis(50), answers)
    }

    pub fn with_latency(latency: Duration, answers: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> World {
        let (calls, began) = (Arc::default(), Instant::now());
        World { upstream: Upstream { answers: Arc::new(answers), calls, began, latency }, durable: Arc::default() }
    }

    /// One life of the process. Gives what its apps have to report.
    pub async fn live(&self, apps: &[App], seconds: u64) -> Vec<Arc<Reports>> {
        self.live_with(apps, seconds, FaultScript::uneventful).await
    }

    /// The same with a log that does what a script says.
    pub async fn live_with(&self, apps: &[App], seconds: u64, script: fn() -> FaultScript) -> Vec<Arc<Reports>> {
        let polled: Vec<_> = apps.iter().map(|app| app.polled(&self.upstream)).collect();
        let reports = polled.iter().map(|app| app.reports.clone()).collect();
        let asks = apps.iter().zip(&polled).filter(|(app, _)| app.requests > 0);
        let _requests: Vec<_> = asks.map(|(app, polled)| app.begin_requests(polled.client.clone())).collect();
        let pipeline = PollPipeline {
            apps: Arc::new(polled),
            bounds: BOUNDS,
            queue_bytes: QUEUE_BYTES,
            totals: Arc::new(CommitTotals::default()),
            forget: Duration::from_secs(30 * 86_400),
            discovery: None,
            registrations: Arc::default(),
            shares: None,
        };
        let make_log = || MemoryLog::new(self.durable.clone(), script());
        let stop = CancellationToken::new();
        let end = async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            stop.cancel();
        };
        let (result, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, apps[0].retry), end);
        result.unwrap();
        reports
    }

    /// Every call whose path ends so.
    pub fn calls(&self, path: &str) -> Vec<Call> {
        let calls = self.upstream.calls.lock().unwrap();
        calls.iter().filter(|call| call.path.ends_with(path)).cloned().collect()
    }

    /// The promoter and the time of each event, in the order in which they were published.
    pub fn events(&self) -> Vec<(String, i64)> {
        let durable = self.durable.lock().unwrap();
        durable.events.iter().map(|event| (event.promoter.promoter_id().to_owned(), event.fact.time.0)).collect()
    }

    pub fn touches(&self) -> Vec<Call> {
        self.calls("getrelation")
    }

    pub fn orders(&self) -> Vec<Call> {
        self.calls("getorder")
    }

    pub fn count(&self, path: &str, whom: &str) -> usize {
        self.calls(path).iter().filter(|call| call.whom == whom).count()
    }
}

/// The longest time between two of the calls, in seconds.
pub fn longest_gap(calls: &[Call]) -> f64 {
    calls.windows(2).map(|pair| pair[1].at - pair[0].at).fold(0.0, f64::max)
}

/// How many of the calls came from `begin` on and before `end`, in seconds.
pub fn between(calls: &[Call], begin: f64, end: f64) -> usize {
    calls.iter().filter(|call| (begin..end).contains(&call.at)).count()
}

/// A time before the start, in days.
pub fn days_ago(days: i64) -> StartFrom {
    StartFrom::At(UnixTime(START - days * 86_400))
}
