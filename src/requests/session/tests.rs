//! The pipeline on a topic in memory whose transactions fail before and after they count, on paused time.

use std::collections::VecDeque;

use bytes::Bytes;

use self::timed_upstream::{Health, TimedUpstream};
use super::*;
use crate::avro::framing::Framing;
use crate::avro::material::{RequestDecoder, RequestEncoder};
use crate::commit::attempts::ATTEMPTS_MAX;
use crate::commit::log::{CommitLog, OpenError};
use crate::commit::testing::fault_script::{FaultScript, ScriptedFault};
use crate::model::material::{MaterialOutcome, MaterialRequest};
use crate::model::request::offset_tracker::TrackerKey;
use crate::model::request::record::Header;
use crate::model::time::UnixMillis;
use crate::requests::executor::MaterialApp;
use crate::requests::testing::memory_topic::{CommittedAnswer, MemoryAnswerLog, MemoryRequestTopic};
use crate::retry::{JITTER, RetrySettings};
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::client::{Client, ClientSettings};

const MINUTE: Duration = Duration::from_secs(60);
const PATIENCE: RetrySettings = RetrySettings {
    initial: Duration::from_millis(10),
    max: Duration::from_millis(100),
    attempts: u32::MAX,
    jitter: JITTER,
};

const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// Requests whose calls take as many seconds as are given, over two partitions by turns, with gaps in the offsets.
fn topic_holding(seconds: impl IntoIterator<Item = u64>) -> MemoryRequestTopic {
    let topic = MemoryRequestTopic::new(2);
    for (number, seconds) in seconds.into_iter().enumerate() {
        let partition = i32::try_from(number % 2).unwrap();
        let offset = i64::try_from(number / 2 + number / 10).unwrap();
        topic.put(record(RecordOffset { partition, offset }, seconds));
    }
    topic
}

fn answered(topic: &MemoryRequestTopic) -> Vec<RecordOffset> {
    let mut answers: Vec<RecordOffset> = topic.answers().iter().map(|answered| answered.location).collect();
    answers.sort_by_key(|location| (location.partition, location.offset));
    answers
}

/// The topic as a process opens it that meets these faults, one call after the other.
fn log(topic: &MemoryRequestTopic, faults: impl IntoIterator<Item = ScriptedFault>) -> MemoryAnswerLog {
    let mut faults: VecDeque<ScriptedFault> = faults.into_iter().collect();
    let decide = move || (Duration::from_millis(5), faults.pop_front().unwrap_or(ScriptedFault::None));
    MemoryAnswerLog::new(topic.clone(), FaultScript::new(decide, CancellationToken::new()))
}

fn record(location: RecordOffset, seconds: u64) -> RequestRecord {
    record_for(location, &seconds.to_string())
}

fn record_for(location: RecordOffset, path: &str) -> RequestRecord {
    request_for("wx1", location, path, None)
}

fn request_for(app: &str, location: RecordOffset, path: &str, deadline_seconds: Option<i64>) -> RequestRecord {
    let request = MaterialRequest {
        request_id: "r".into(),
        app_id: app.into(),
        promoter_openid: "oP".into(),
        path: path.to_owned(),
        deadline: deadline_seconds.map(|seconds| UnixMillis(START.0 + seconds * 1000)),
        ..MaterialRequest::default()
    };
    let mut value = Vec::new();
    RequestEncoder::new(Framing::SingleObject).encode(&request, &mut value).unwrap();
    let header = Header { name: "correlation-id".into(), value: Some(Bytes::from_static(b"c")) };
    RequestRecord { location, timestamp: UnixMillis(0), key: None, headers: vec![header], value: Some(value.into()) }
}

fn app(id: &str, upstream: &TimedUpstream, concurrency: usize) -> MaterialApp {
    let settings = ClientSettings {
        retry: PATIENCE,
        breakers: BreakerSettings { too_fast: MINUTE, stopped: 5 * MINUTE, unanswered: MINUTE },
        ..ClientSettings::for_tests(id)
    };
    MaterialApp::new(Arc::new(Client::new(settings, upstream.clone())), concurrency)
}

fn executor_of(apps: impl IntoIterator<Item = MaterialApp>) -> Arc<Executor> {
    let decoder = RequestDecoder::new(Framing::SingleObject);
    Arc::new(Executor::new(apps, "requests".into(), decoder, None, PATIENCE))
}

fn executor(concurrency: usize) -> Arc<Executor> {
    executor_of([app("wx1", &TimedUpstream::new(Health::Well), concurrency)])
}

/// One session, until it ends.
async fn session(log: MemoryAnswerLog, executor: &Arc<Executor>, stop: &CancellationToken) -> (MemoryAnswerLog, Ended) {
    counted_session(log, executor, Arc::default(), stop).await
}

/// The same, counted in `totals`.
async fn counted_session(
    mut log: MemoryAnswerLog,
    executor: &Arc<Executor>,
    totals: Arc<RequestTotals>,
    stop: &CancellationToken,
) -> (MemoryAnswerLog, Ended) {
    let opened = loop {
        match log.open().await {
            Ok(opened) => break opened,
            Err(OpenError::Again(_)) => {}
            Err(OpenError::Stop(reason) | OpenError::Unfit(reason)) => panic!("{reason}"),
        }
    };
    let (log, ended) = run(log, opened, executor.clone(), totals, stop).await;
    (log.unwrap(), ended)
}

/// Sessions until there are as many answers, or the bound is reached.
async fn sessions(
    topic: &MemoryRequestTopic,
    mut log: MemoryAnswerLog,
    executor: &Arc<Executor>,
    wanted: usize,
    bound: Duration,
) {
    let stop = CancellationToken::new();
    let watching = async {
        let deadline = Instant::now() + bound;
        while topic.answers_count() < wanted && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.cancel();
    };
    let running = async {
        while !stop.is_cancelled() {
            (log, _) = session(log, executor, &stop).await;
        }
    };
    tokio::join!(running, watching);
}

/// The same where no transaction fails.
async fn calm_sessions_of(topic: &MemoryRequestTopic, executor: &Arc<Executor>, wanted: usize, bound: Duration) {
    sessions(topic, log(topic, []), executor, wanted, bound).await;
}

/// Of a process of its own, until everything is answered or the bound is reached.
async fn calm_sessions(topic: &MemoryRequestTopic, concurrency: usize, bound: Duration) {
    calm_sessions_of(topic, &executor(concurrency), topic.locations().len(), bound).await;
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn every_request_is_answered_once_whatever_becomes_of_transactions(
        seconds in proptest::collection::vec(0..4u64, 1..60),
        faults in proptest::collection::vec(
            proptest::sample::select(
                vec![ScriptedFault::None, ScriptedFault::Aborted, ScriptedFault::UnknownAborted, ScriptedFault::UnknownCommitted]), 0..30),
        concurrency in 1..8usize,
    ) {
        let topic = topic_holding(seconds);
        let wanted = topic.locations().len();
        block_on(async {
            sessions(&topic, log(&topic, faults), &executor(concurrency), wanted, Duration::from_secs(3600)).await;
        });
        proptest::prop_assert_eq!(answered(&topic), topic.locations());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_holds_up_nobody_within_the_span() {
    let topic = topic_holding([10].into_iter().chain(std::iter::repeat_n(0, 100)));
    calm_sessions(&topic, 4, Duration::from_secs(5)).await;
    let locations = topic.locations();
    assert_eq!(answered(&topic), locations[1..], "all but the first, which was given up at the stop");
    let offsets = topic.answered();
    let tracker = &offsets[&0].trackers[&TrackerKey::new(None, "wx1")];
    assert_eq!((tracker.first, tracker.answered.len(), offsets[&1].trackers.len()), (0, 50, 0));
    // And the next start answers only that one.
    calm_sessions(&topic, 4, Duration::from_secs(60)).await;
    assert_eq!(answered(&topic), locations);
}

#[tokio::test(start_paused = true)]
async fn no_request_is_begun_a_span_behind_one_without_an_answer() {
    let span = crate::model::request::offset_tracker::SPAN;
    let topic = MemoryRequestTopic::new(1);
    for number in 0..span + 50 {
        let location = RecordOffset { partition: 0, offset: i64::try_from(number).unwrap() };
        topic.put(record(location, if number == 0 { 100 } else { 0 }));
    }
    calm_sessions(&topic, 16, Duration::from_secs(50)).await;
    assert_eq!(answered(&topic).len(), span - 1);
    calm_sessions(&topic, 16, Duration::from_secs(200)).await;
    assert_eq!(answered(&topic), topic.locations());
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_tracker_is_full_holds_up_no_other() {
    let span = crate::model::request::offset_tracker::SPAN;
    let topic = MemoryRequestTopic::new(2);
    for (partition, number) in (0..2).flat_map(|partition| (0..2 * span).map(move |number| (partition, number))) {
        let location = RecordOffset { partition, offset: i64::try_from(number).unwrap() };
        topic.put(record(location, if (partition, number) == (0, 0) { 1000 } else { 0 }));
    }
    calm_sessions(&topic, 16, Duration::from_secs(50)).await;
    let answers = answered(&topic);
    let of = |partition| answers.iter().filter(|location| location.partition == partition).count();
    assert_eq!((of(0), of(1)), (span - 1, 2 * span));
    calm_sessions(&topic, 16, Duration::from_secs(2000)).await;
    assert_eq!(answered(&topic), topic.locations());
}

#[tokio::test(start_paused = true)]
async fn a_revocation_ends_the_session_with_what_is_answered_committed() {
    let (topic, one) = (topic_holding([0, 0, 50, 50]), executor(4));
    let stop = CancellationToken::new();
    let revoking = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        topic.revoke();
    };
    let ((_, ended), ()) = tokio::join!(session(log(&topic, []), &one, &stop), revoking);
    assert_eq!(ended, Ended::Revoked);
    assert_eq!(answered(&topic).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_which_nothing_can_be_written_opens_the_topic_again() {
    let topic = topic_holding([0]);
    let aborts = std::iter::repeat_n(ScriptedFault::Aborted, usize::try_from(ATTEMPTS_MAX).unwrap());
    let log = log(&topic, [ScriptedFault::None].into_iter().chain(aborts));
    let (_, ended) = session(log, &executor(1), &CancellationToken::new()).await;
    assert_eq!(ended, Ended::Reopen("scripted abort".into()));
    calm_sessions(&topic, 1, Duration::from_secs(60)).await;
    assert_eq!(answered(&topic), topic.locations());
}

#[tokio::test(start_paused = true)]
async fn an_earlier_process_that_wakes_up_answers_nothing_more() {
    let topic = topic_holding([20, 20]);
    let (never, stop) = (CancellationToken::new(), CancellationToken::new());
    let (first, second) = (executor(2), executor(2));
    let other = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let opened_later = session(log(&topic, []), &second, &stop);
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            stop.cancel();
        };
        tokio::join!(opened_later, stopping).0.1
    };
    let ((_, earlier), later) = tokio::join!(session(log(&topic, []), &first, &never), other);
    assert_eq!((earlier, later), (Ended::Reopen("fenced".into()), Ended::Drained));
    assert_eq!(answered(&topic), topic.locations());
}

/// As a requester writes it whose schema, of id 9, only a registry knows.
fn foreign(offset: i64) -> RequestRecord {
    let value = b"\x00\x00\x00\x00\x09\x020\x06wx1\x02p\x02r";
    let location = RecordOffset { partition: 0, offset };
    let headers = vec![];
    RequestRecord { location, timestamp: UnixMillis(0), key: None, headers, value: Some(Bytes::from_static(value)) }
}

const FOREIGN_SCHEMA: &str = r#"{"type":"record","name":"Ask","fields":[
    {"name":"path","type":"string"},{"name":"app_id","type":"string"},
    {"name":"promoter_openid","type":"string"},{"name":"request_id","type":"string"}]}"#;

#[tokio::test(start_paused = true)]
async fn a_topic_that_lost_its_tail_or_was_made_anew_is_answered_from_there() {
    for lost_from in [0, 7, 20] {
        let topic = topic_holding(std::iter::repeat_n(0, 60));
        calm_sessions(&topic, 4, Duration::from_secs(60)).await;
        let before = answered(&topic);
        assert_eq!(before, topic.locations());
        let kept: Vec<RecordOffset> = before.iter().copied().filter(|location| location.offset < lost_from).collect();
        (0..2).for_each(|partition| topic.cut(partition, lost_from));
        // Other records come to the same places, and some more.
        for (partition, offset) in (0..2).flat_map(|partition| (lost_from..40).map(move |offset| (partition, offset))) {
            topic.put(record_for(RecordOffset { partition, offset }, "00"));
        }
        calm_sessions(&topic, 4, Duration::from_secs(60)).await;
        let again: Vec<RecordOffset> =
            topic.locations().into_iter().filter(|location| !kept.contains(location)).collect();
        let mut expected = [before, again].concat();
        expected.sort_by_key(|location| (location.partition, location.offset));
        calm_sessions_of(&topic, &executor(4), expected.len(), Duration::from_secs(60)).await;
        assert_eq!(answered(&topic), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_no_request_later_when_its_schema_is_known() {
    let ill = TimedUpstream::new(Health::Stopped);
    let topic = MemoryRequestTopic::new(1);
    topic.put(record(RecordOffset { partition: 0, offset: 0 }, 0));
    topic.put(foreign(1));
    calm_sessions_of(&topic, &executor_of([app("wx1", &ill, 4)]), usize::MAX, Duration::from_secs(10)).await;
    assert_eq!(answered(&topic), topic.locations()[1..]);

    ill.becomes(Health::Well);
    let decoder = RequestDecoder::new(Framing::SingleObject);
    decoder.learn(9, FOREIGN_SCHEMA).unwrap();
    let executor = Arc::new(Executor::new([app("wx1", &ill, 4)], "requests".into(), decoder, None, PATIENCE));
    calm_sessions_of(&topic, &executor, usize::MAX, Duration::from_secs(60)).await;
    assert_eq!(answered(&topic), topic.locations());
}

mod registries;
mod schemas;
mod slow_log;
mod timed_upstream;
mod waiting;
