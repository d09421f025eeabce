//! When a session begins to poll, and with which cursors.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::app_feeds::AppFeeds;
use super::beginning::Beginning;
use super::configured::ConfiguredPromoters;
use super::discovery::DiscoverySettings;
use super::*;
use crate::commit::log::CommitLog;
use crate::commit::testing::durable_topics::DurableTopics;
use crate::commit::testing::fault_script::{FaultScript, ScriptedFault};
use crate::commit::testing::memory_log::MemoryLog;
use crate::model::age::{AgeLimit, AgeLimits};
use crate::model::batch::Batch;
use crate::model::cursor::Cursor;
use crate::model::feed::{PerEventTopic, PerFeed, StartFrom};
use crate::model::pacing::PollSettings;
use crate::model::promoter::{AppId, Promoter};
use crate::model::state::{Cursors, State};
use crate::model::state_record::{StateKey, StateValue};
use crate::model::time::{UnixMillis, UnixTime};
use crate::registry::registered_since::RegisteredSince;
use crate::registry::table::ConfiguredPromoter;
use crate::retry::RetrySettings;
use crate::supervisor;
use crate::telemetry::captured::Captured;
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::client::{Client, ClientSettings};
use crate::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};

mod begun;
mod discovered;
mod divided;
mod ended;
mod forgotten;
mod handed_over;
mod refunds;
mod registered;
mod reloaded;
mod reported;
mod restored;
mod rewound;

const NOW: UnixTime = UnixTime(1_700_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// An upstream without data, which notes when it is asked for some.
#[derive(Clone)]
struct Upstream {
    began: tokio::time::Instant,
    asked: Arc<Mutex<Vec<Duration>>>,
}

#[async_trait]
impl Transport for Upstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let body = if request.path.starts_with("/promoter/") {
            self.asked.lock().unwrap().push(self.began.elapsed());
            r#"{"errcode":103006}"#
        } else {
            r#"{"access_token":"t","expires_in":7200}"#
        };
        Ok(HttpResponse { status: 200, body: Bytes::from(body), date: None, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOW.0 * 1000 + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

fn retry() -> RetrySettings {
    let initial = Duration::from_secs(1);
    RetrySettings { initial, max: MINUTE, attempts: 3, jitter: 0.0 }
}

fn plan(start_from: StartFrom) -> FeedPlan {
    FeedPlan { settings: PollSettings { every: MINUTE, idle_every: MINUTE, lateness: 600 }, start_from }
}

fn touches_only(plan: FeedPlan) -> PerFeed<Option<FeedPlan>> {
    PerFeed { touches: Some(plan), ..PerFeed::default() }
}

fn promoter(feeds: PerFeed<Option<FeedPlan>>) -> PolledPromoter {
    let promoter = Promoter::from_key("wx1/o1").unwrap();
    PolledPromoter {
        promoter,
        feeds,
        refunds_lateness: 600,
        refunds_start: StartFrom::Now,
        registered: RegisteredSince::default(),
    }
}

fn pipeline(upstream: &(impl Transport + Clone), promoter: PolledPromoter) -> PollPipeline {
    let app = AppId::new("wx1").unwrap();
    let settings = ClientSettings {
        retry: retry(),
        breakers: BreakerSettings { too_fast: MINUTE, stopped: MINUTE, unanswered: MINUTE },
        ..ClientSettings::for_tests(app.as_str())
    };
    let refunds = PollSettings { every: MINUTE, idle_every: MINUTE, lateness: promoter.refunds_lateness };
    let refunds = FeedPlan { settings: refunds, start_from: promoter.refunds_start };
    let feeds = AppFeeds { polled: promoter.feeds, refunds };
    let app = PolledApp {
        app,
        client: Arc::new(Client::new(settings, upstream.clone())),
        feeds,
        promoters: vec![(promoter.promoter, ConfiguredPromoter::default())].into(),
        parked_for: MINUTE,
        catch_up_spread: Duration::from_secs(6 * 3600),
        reports: Arc::default(),
        begin_times: begin_times::BeginTimes::default(),
    };
    PollPipeline {
        apps: Arc::new(vec![app]),
        bounds: BatchBounds { linger: Duration::from_millis(50), events_max: 1000, bytes_max: 1 << 20 },
        queue_bytes: 1 << 20,
        totals: Arc::default(),
        forget: Duration::from_secs(30 * 86_400),
        discovery: None,
        registrations: Arc::default(),
        shares: None,
    }
}

/// When the upstream is asked within `seconds`, while opening the log and committing to it go as `calls` say, one after
/// the other, and then well.
async fn asked(calls: Vec<(Duration, ScriptedFault)>, seconds: u64) -> Vec<Duration> {
    let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
    let pipeline = pipeline(&upstream, promoter(touches_only(plan(StartFrom::Now))));
    let durable = Arc::new(Mutex::new(DurableTopics::default()));
    let calls = Arc::new(Mutex::new(calls.into_iter()));
    let make_log = || {
        let calls = calls.clone();
        let decide = move || calls.lock().unwrap().next().unwrap_or((Duration::ZERO, ScriptedFault::None));
        MemoryLog::new(durable.clone(), FaultScript::new(decide, CancellationToken::new()))
    };
    let stop = CancellationToken::new();
    let end = async {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        stop.cancel();
    };
    let (_, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), end);
    let asked = upstream.asked.lock().unwrap();
    asked.clone()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_polled_before_its_first_cursor_is_durable() {
    let hour = Duration::from_secs(3600);
    let asked = asked(vec![(Duration::ZERO, ScriptedFault::None), (hour, ScriptedFault::None)], 4000).await;
    assert!(asked.first().is_some_and(|first| *first >= hour && *first < hour + MINUTE), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_first_cursor_whose_commit_has_failed_lets_nothing_be_polled() {
    let opened = (Duration::ZERO, ScriptedFault::None);
    let lost = (2 * MINUTE, ScriptedFault::UnknownAborted);
    let asked = asked(vec![opened, lost, opened, lost], 600).await;
    assert!(asked.first().is_some_and(|first| *first >= 4 * MINUTE), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_cursors_are_durable_polls_nothing() {
    let opened = (Duration::ZERO, ScriptedFault::None);
    assert_eq!(asked(vec![opened, (MINUTE, ScriptedFault::None)], 30).await, [Duration::ZERO; 0]);
}

#[test]
fn the_memory_of_refunds_that_orders_keep_is_no_first_cursor_of_theirs() {
    let begun = |promoter: &PolledPromoter, state: &State| {
        let mut beginning = Beginning::default();
        beginning.add(promoter, state.cursors(&promoter.promoter), &PerFeed::of_each(NOW));
        beginning
    };
    let orders = Some(plan(StartFrom::Now));
    let mut state = State::default();
    let first = begun(&promoter(PerFeed { orders, ..PerFeed::default() }), &state);
    let kinds = |beginning: &Beginning| {
        let kinds = beginning.first_cursors.iter().map(|(_, feed, at)| (*feed, at.polled));
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds(&first), [(Feed::Refunds, false), (Feed::Orders, true)]);
    assert!(first.feeds()[0].settings.refunds_lateness.is_some_and(|seconds| seconds > 365 * 24 * 3600));

    state.begin(first.first_cursors, &mut Batch::default());
    let refunds = Some(plan(StartFrom::Earliest));
    let later = begun(&promoter(PerFeed { orders, refunds, ..PerFeed::default() }), &state);
    assert_eq!(kinds(&later), [(Feed::Refunds, true)]);
    assert_eq!(later.feeds()[1].pacing.complete_before(), UnixTime::EARLIEST);
    assert_eq!(later.feeds()[0].settings.refunds_lateness, None);
    assert_eq!(later.feeds().iter().map(|feed| feed.begins).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_no_longer_acts_is_told_once_for_the_app() {
    let captured = Captured::start();
    let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
    let durable = durable_cursor(&promoter(PerFeed::default()).promoter);
    let run = async |pipeline: &PollPipeline| {
        let stop = CancellationToken::new();
        let end = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stop.cancel();
        };
        let make_log = || MemoryLog::new(durable.clone(), FaultScript::uneventful());
        let (ended, ()) = tokio::join!(supervisor::run(pipeline, make_log, &stop, retry()), end);
        ended.unwrap();
    };
    for start_from in [StartFrom::Now, StartFrom::At(NOW)] {
        run(&pipeline(&upstream, promoter(touches_only(plan(start_from))))).await;
        assert_eq!(captured.events("start_from no longer acts"), [Value::Null; 0]);
    }
    let pipeline = pipeline(&upstream, promoter(PerFeed::new(|_| Some(plan(StartFrom::Earliest)))));
    run(&pipeline).await;
    run(&pipeline).await;
    let [told] = &captured.events("start_from no longer acts")[..] else { panic!("once") };
    assert_eq!((&told["level"], &told["app"], &told["feeds"]), (&"WARN".into(), &"wx1".into(), &1.into()));
    assert_eq!((&told["promoter"], &told["feed"]), (&"wx1/o1".into(), &"touches".into()));
    assert_eq!(told["began"], NOW.to_string());
}

/// The topics once touches of `promoter` have begun at [`NOW`].
fn durable_cursor(promoter: &Promoter) -> Arc<Mutex<DurableTopics>> {
    let key = StateKey::Cursor(promoter.clone(), Feed::Touches);
    let value = StateValue::Cursor(Cursor::begin(Feed::Touches, NOW));
    let mut durable = DurableTopics::default();
    durable.state.insert(key.encode(), value.encode());
    Arc::new(Mutex::new(durable))
}

/// Answers what is asked about promoters, without a `Date`; the call that asks for nothing but one has no answer.
#[derive(Clone)]
struct Unheard(Upstream);

#[async_trait]
impl Transport for Unheard {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        match request.body.as_deref() {
            Some(b"{}") => Err(TransportError::Timeout),
            _ => self.0.send(request).await,
        }
    }

    fn now(&self) -> UnixMillis {
        self.0.now()
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_begins_now_waits_for_the_upstreams_clock() {
    for (start_from, is_polled) in [(StartFrom::Now, false), (StartFrom::At(NOW), true)] {
        for has_cursor in [false, true] {
            let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
            let polled = promoter(touches_only(plan(start_from)));
            let durable = match has_cursor {
                true => durable_cursor(&polled.promoter),
                false => Arc::default(),
            };
            let pipeline = pipeline(&Unheard(upstream.clone()), polled);
            let stop = CancellationToken::new();
            let make_log = || MemoryLog::new(durable.clone(), FaultScript::uneventful());
            let end = async {
                tokio::time::sleep(5 * MINUTE).await;
                stop.cancel();
            };
            let (ended, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), end);
            ended.unwrap();
            let asked = upstream.asked.lock().unwrap().first().copied();
            let at_once = asked.is_some_and(|asked| asked < Duration::from_secs(1));
            assert_eq!(
                (at_once, asked.is_some()),
                (is_polled || has_cursor, is_polled || has_cursor),
                "{start_from:?}"
            );
        }
    }
}

#[test]
fn a_feed_that_begins_before_what_its_topic_keeps_is_told_before_its_first_cursor_is_written() {
    let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
    let limit =
        AgeLimit { seconds: 86_400, set_by: "topic t keeps no records longer".into(), consequence: "gone".into() };
    let limits = vec![limit];
    let day_before = |seconds: i64| NOW.minus(86_400 + seconds);
    let limits = AgeLimits(PerEventTopic::new(|_| limits.clone()));
    let told_of = |promoter: PolledPromoter| {
        let now = pipeline(&upstream, promoter.clone()).apps[0].client.now();
        too_early(&promoter, Cursors::default(), &limits, &PerFeed::of_each(now))
    };
    let told = |start_from| told_of(promoter(touches_only(plan(start_from))));
    let reason = told(StartFrom::At(day_before(60))).unwrap();
    assert!(reason.contains("wx1/o1") && reason.contains("topic t keeps no records longer than 86400 s"), "{reason}");
    assert!(told(StartFrom::Earliest).is_some());
    assert_eq!(told(StartFrom::Now), None);
    assert_eq!(told(StartFrom::At(day_before(-60))), None);
    let orders = promoter(PerFeed { orders: Some(plan(StartFrom::Now)), ..PerFeed::default() });
    let memory = PolledPromoter { refunds_start: StartFrom::Earliest, ..orders };
    assert_eq!(told_of(memory), None, "nothing is published from a memory");
}
