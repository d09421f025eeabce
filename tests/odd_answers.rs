//! What becomes of facts when the upstream's answers are none, its rows are odd, or a clock is wrong: a whole session on
//! paused time, with an upstream that is a function of the request.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use promoter_connector::commit::pace::BatchBounds;
use promoter_connector::commit::testing::durable_topics::DurableTopics;
use promoter_connector::commit::testing::fault_script::FaultScript;
use promoter_connector::commit::testing::memory_log::MemoryLog;
use promoter_connector::commit::totals::CommitTotals;
use promoter_connector::model::feed::{PerFeed, StartFrom};
use promoter_connector::model::pacing::PollSettings;
use promoter_connector::model::promoter::{AppId, Promoter};
use promoter_connector::model::time::{UnixMillis, UnixTime};
use promoter_connector::registry::table::ConfiguredPromoter;
use promoter_connector::retry::RetrySettings;
use promoter_connector::session::app_feeds::AppFeeds;
use promoter_connector::session::{FeedPlan, PollPipeline, PolledApp};
use promoter_connector::supervisor;
use promoter_connector::upstream::client::{Client, ClientSettings};
use promoter_connector::upstream::token::TokenSource;
use promoter_connector::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const START: i64 = 1_700_000_000;
const TOUCHES: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// One touch a minute in the first hour, each shown from its time on; and how all this is told.
#[derive(Clone)]
struct Upstream {
    began: Instant,
    /// How far this host's clock is ahead, in seconds.
    local_ahead: i64,
    /// What the `Date` says at a time.
    date: fn(UnixTime) -> UnixTime,
    /// Stands in place of an answer to a request for touches, by the seconds since the start.
    instead: fn(i64) -> Option<&'static str>,
    /// More fields of every row.
    more: &'static str,
    /// For so many seconds nothing can be reached.
    unreachable: i64,
}

impl Upstream {
    fn new() -> Upstream {
        Upstream { began: Instant::now(), local_ahead: 0, date: |now| now, instead: |_| None, more: "", unreachable: 0 }
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_secs()).unwrap()
    }

    fn answer(&self, request: &HttpRequest) -> String {
        if !request.path.starts_with("/promoter/") {
            return r#"{"access_token":"T","expires_in":7200}"#.to_owned();
        }
        if let Some(other) = (self.instead)(self.elapsed()) {
            return other.to_owned();
        }
        let asked: serde_json::Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        let window = asked["begin_time"].as_i64().unwrap()..=asked["end_time"].as_i64().unwrap();
        let times = (0..TOUCHES).map(|minute| START + minute * 60);
        let shown = times.filter(|time| *time <= START + self.elapsed() && window.contains(time));
        let row = |time| format!(r#"{{"promoter_openid":"oP","openid":"u","create_time":{time}{}}}"#, self.more);
        let rows: Vec<String> = shown.map(row).collect();
        format!(r#"{{"relation_list":[{}],"total_cnt":{},"errcode":0}}"#, rows.join(","), rows.len())
    }
}

#[async_trait]
impl Transport for Upstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let body = self.answer(&request).into();
        let reached = self.elapsed() >= self.unreachable;
        let date = Some((self.date)(UnixTime(START + self.elapsed())));
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !reached {
            return Err(TransportError::Connection("no route to host".to_owned()));
        }
        Ok(HttpResponse { status: 200, body, date, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        let elapsed = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        UnixMillis((START + self.local_ahead) * 1000 + elapsed)
    }
}

fn retry() -> RetrySettings {
    RetrySettings { initial: Duration::from_millis(200), max: Duration::from_secs(5), attempts: 3, jitter: 0.0 }
}

fn polled_app(app: &str, upstream: &Upstream, token_source: TokenSource, start_from: StartFrom) -> PolledApp {
    let app = AppId::new(app).unwrap();
    let settings = ClientSettings { token_source, retry: retry(), ..ClientSettings::for_tests(app.as_str()) };
    let minute = Duration::from_secs(60);
    let touches = FeedPlan { settings: PollSettings { every: minute, idle_every: minute, lateness: 600 }, start_from };
    let feeds = AppFeeds { polled: PerFeed { touches: Some(touches), ..PerFeed::default() }, refunds: touches };
    let promoters = vec![(Promoter::new(&app, "oP").unwrap(), ConfiguredPromoter::default())];
    let (parked_for, catch_up_spread) = (Duration::from_secs(900), Duration::from_secs(6 * 3600));
    PolledApp::new(Client::new(settings, upstream.clone()), feeds, promoters, parked_for, catch_up_spread)
}

struct Lived {
    durable: DurableTopics,
    app: Arc<Client>,
}

async fn live(upstream: Upstream, token_source: TokenSource, start_from: StartFrom, seconds: i64) -> Lived {
    let polled = polled_app("wx1", &upstream, token_source, start_from);
    let app = polled.client.clone();
    Lived { durable: live_of(vec![polled], seconds).await, app }
}

async fn live_of(apps: Vec<PolledApp>, seconds: i64) -> DurableTopics {
    for app in &apps {
        let _ = app.client.warm_up().await;
    }
    let pipeline = PollPipeline {
        apps: Arc::new(apps),
        bounds: BatchBounds { linger: Duration::from_millis(50), events_max: 1000, bytes_max: 1 << 20 },
        queue_bytes: 1 << 20,
        totals: Arc::new(CommitTotals::default()),
        forget: Duration::from_secs(30 * 86_400),
        discovery: None,
        registrations: Arc::default(),
        shares: None,
    };
    let durable = Arc::new(Mutex::new(DurableTopics::default()));
    let make_log = || MemoryLog::new(durable.clone(), FaultScript::uneventful());
    let stop = CancellationToken::new();
    let end = async {
        tokio::time::sleep(Duration::from_secs(u64::try_from(seconds).unwrap())).await;
        stop.cancel();
    };
    let (result, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), end);
    result.unwrap();
    std::mem::take(&mut *durable.lock().unwrap())
}

fn stable() -> TokenSource {
    TokenSource::Stable("secret".to_owned().into())
}

fn token_server() -> TokenSource {
    TokenSource::Url("http://tokens/wx1".to_owned().into())
}

/// For half an hour some gateway answers in the upstream's place.
#[tokio::test(start_paused = true)]
async fn what_is_no_answer_moves_no_cursor() {
    let gateways: [fn(i64) -> Option<&'static str>; 6] = [
        |at| (100..1900).contains(&at).then_some("{}"),
        |at| (100..1900).contains(&at).then_some(r#"{"code":50013,"message":"rate limited"}"#),
        |at| (100..1900).contains(&at).then_some(r#"{"errcode":null}"#),
        |at| (100..1900).contains(&at).then_some(r#"{"errcode":0,"errmsg":"ok","total_cnt":12}"#),
        |at| (100..1900).contains(&at).then_some(r#"{"relation_list":{},"total_cnt":0,"errcode":0}"#),
        |at| (100..1900).contains(&at).then_some(r#"{"code":0,"data":{"relation_list":[],"total_cnt":0,"errcode":0}}"#),
    ];
    for instead in gateways {
        let upstream = Upstream { instead, ..Upstream::new() };
        let lived = live(upstream, stable(), StartFrom::Now, 2 * HOUR).await;
        assert_eq!(lived.durable.events.len(), TOUCHES as usize, "{:?}", instead(1000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_local_clock_that_is_ahead_loses_nothing_whatever_the_source_of_the_token() {
    for source in [stable(), token_server()] {
        let upstream = Upstream { local_ahead: HOUR, ..Upstream::new() };
        let lived = live(upstream, source.clone(), StartFrom::Now, 2 * HOUR).await;
        assert_eq!(lived.durable.events.len(), TOUCHES as usize, "{source:?}");
    }
}

/// As where a host is started before its network and before its clock is set.
#[tokio::test(start_paused = true)]
async fn a_local_clock_that_is_ahead_loses_nothing_when_the_upstream_is_reached_later() {
    for (unreachable, source) in [(20, stable()), (20, token_server()), (60, stable()), (3 * HOUR, token_server())] {
        let upstream = Upstream { local_ahead: HOUR, unreachable, ..Upstream::new() };
        let lived = live(upstream, source.clone(), StartFrom::Now, unreachable + 2 * HOUR).await;
        assert_eq!(lived.durable.events.len(), TOUCHES as usize, "{unreachable} s, {source:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_whose_upstream_can_not_be_reached_delays_and_moves_no_other_apps_beginning() {
    let began = Upstream::new();
    let [away, near] = [3 * HOUR, 0].map(|unreachable| Upstream { local_ahead: HOUR, unreachable, ..began.clone() });
    let apps = |seconds| {
        let apps = [("wx1", &away), ("wx2", &near)];
        live_of(apps.map(|(app, upstream)| polled_app(app, upstream, stable(), StartFrom::Now)).into(), seconds)
    };
    let of = |durable: &DurableTopics, app: &str| {
        let events = durable.events.iter().filter(|event| event.promoter.app_id() == app);
        events.map(|event| event.observed_at.0 / 1000 - HOUR - event.fact.time.0).collect::<Vec<_>>()
    };
    let both = apps(5 * HOUR).await;
    assert_eq!([of(&both, "wx1").len(), of(&both, "wx2").len()], [TOUCHES as usize; 2]);
    let latest = of(&both, "wx2").into_iter().max().unwrap();
    assert!(latest < 120, "{latest} s");
}

#[tokio::test(start_paused = true)]
async fn hosts_whose_clocks_differ_lose_nothing_beside_a_local_clock_that_is_ahead() {
    for date in [
        (|now| UnixTime(now.0 - (now.0 / 60 % 2) * 10)) as fn(UnixTime) -> UnixTime,
        |now| UnixTime(now.0 - (now.0 / 60 % 2) * 40),
        |now| UnixTime(now.0 - (now.0 / 60 % 3) * 40),
    ] {
        let upstream = Upstream { local_ahead: HOUR, date, ..Upstream::new() };
        let source = TokenSource::Stable("secret".to_owned().into());
        let lived = live(upstream, source, StartFrom::At(UnixTime(START)), 3 * HOUR).await;
        assert_eq!(lived.durable.events.len(), usize::try_from(TOUCHES).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_that_stands_still_loses_and_delays_nothing() {
    let upstream = Upstream { date: |_| UnixTime(START), ..Upstream::new() };
    let lived = live(upstream, stable(), StartFrom::At(UnixTime(START)), 2 * HOUR).await;
    assert_eq!(lived.durable.events.len(), TOUCHES as usize);
    let late = lived.durable.events.iter().map(|event| event.observed_at.0 / 1000 - event.fact.time.0).max();
    assert!(late.unwrap() < 600, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_date_that_is_a_day_behind_delays_by_a_day_and_loses_nothing() {
    let upstream = Upstream { date: |now| now.minus(DAY), ..Upstream::new() };
    let lived = live(upstream, stable(), StartFrom::At(UnixTime(START)), 3 * DAY).await;
    assert_eq!(lived.durable.events.len(), TOUCHES as usize);
}

#[tokio::test(start_paused = true)]
async fn odd_rows_are_published_and_counted() {
    let more = r#","promoter_openid":"oQ","scene":{},"role_id":"chief""#;
    let lived = live(Upstream { more, ..Upstream::new() }, stable(), StartFrom::Now, 2 * HOUR).await;
    assert_eq!((lived.durable.events.len(), lived.durable.dead_letters.len()), (TOUCHES as usize, 0));
    assert!(lived.durable.events.iter().all(|event| event.promoter.key() == "wx1/oP"));
    let oddities = lived.app.oddities();
    let least = TOUCHES as u64;
    assert!(oddities.other_promoter >= least && oddities.unreadable_fields["scene"] >= least, "{oddities:?}");
}

#[tokio::test(start_paused = true)]
async fn rows_whose_time_cannot_be_true_are_dead_letters_once() {
    let upstream = Upstream { more: r#","create_time":1700000"#, ..Upstream::new() };
    let lived = live(upstream, stable(), StartFrom::Earliest, 2 * HOUR).await;
    let (events, letters) = (lived.durable.events, lived.durable.dead_letters);
    assert_eq!((events.len(), letters.len()), (0, TOUCHES as usize));
    assert!(letters.iter().all(|letter| letter.reason == "time_before_2015"));
    let rows: BTreeSet<_> = letters.iter().map(|letter| &letter.raw).collect();
    assert_eq!(rows.len(), letters.len());
}
