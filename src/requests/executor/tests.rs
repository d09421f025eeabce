//! Requests against a scripted upstream, on paused time.

use std::sync::Arc;

use bytes::Bytes;

use self::scripted_upstream::ScriptedUpstream;
use super::*;
use crate::avro::framing::Framing;
use crate::avro::material::RequestEncoder;
use crate::model::request::record::{Header, RecordOffset};
use crate::model::time::UnixTime;
use crate::retry::JITTER;
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::client::{Client, ClientSettings};

impl Executor {
    /// A request's whole way, which the pipeline goes step by step.
    ///
    /// Nothing where `cancel` came first.
    async fn answer(
        &self,
        record: &RequestRecord,
        cancel: &CancellationToken,
    ) -> Option<(RequestAnswer, Option<AnswerPermit>)> {
        match cancel.run_until_cancelled(self.read_to_the_end(record)).await? {
            Ok(request) => self.carry_out(&request, cancel).await,
            Err(letter) => Some((RequestAnswer::DeadLetter(letter), None)),
        }
    }

    /// Asks for the schema too, where it is not known.
    async fn read_to_the_end(&self, record: &RequestRecord) -> Result<Box<DecodedRequest>, DeadLetter> {
        loop {
            match self.read(record) {
                DecodedRecord::Request(request) => return Ok(request),
                DecodedRecord::DeadLetter(letter) => return Err(letter),
                DecodedRecord::UnknownSchema(id) => {
                    let learned = self.learn(id).await;
                    learned.map_err(|reason| self.without_schema(record, &reason))?;
                }
            }
        }
    }
}

const START: UnixTime = UnixTime(1_700_000_000);
const SCHEMA_ID: i32 = 7;
const STOPPED: Duration = Duration::from_secs(300);
/// A call's own attempts, of which each takes a second here.
const ATTEMPTS: u32 = 2;

fn retry() -> RetrySettings {
    RetrySettings {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(1),
        attempts: ATTEMPTS,
        jitter: JITTER,
    }
}

fn app(id: &str, upstream: &ScriptedUpstream, concurrency: usize) -> MaterialApp {
    app_trying(ATTEMPTS, id, upstream, concurrency)
}

fn app_trying(attempts: u32, id: &str, upstream: &ScriptedUpstream, concurrency: usize) -> MaterialApp {
    let settings = ClientSettings {
        retry: RetrySettings { attempts, ..retry() },
        breakers: BreakerSettings {
            too_fast: Duration::from_secs(60),
            stopped: STOPPED,
            unanswered: Duration::from_secs(1),
        },
        ..ClientSettings::for_tests(id)
    };
    MaterialApp::new(Arc::new(Client::new(settings, upstream.clone())), concurrency)
}

fn executor(apps: impl IntoIterator<Item = MaterialApp>) -> Executor {
    let decoder = RequestDecoder::new(Framing::Confluent { schema_id: SCHEMA_ID });
    Executor::new(apps, "requests".into(), decoder, None, retry())
}

fn request(app: &str, deadline_seconds: Option<i64>) -> MaterialRequest {
    MaterialRequest {
        request_id: "r".into(),
        app_id: app.into(),
        promoter_openid: "oP".into(),
        path: "pages/a".into(),
        deadline: deadline_seconds.map(|seconds| START.plus(seconds).as_millis()),
        ..MaterialRequest::default()
    }
}

fn record(value: Vec<u8>, content_type: &'static str) -> RequestRecord {
    let header = Header { name: "content-type".into(), value: Some(Bytes::from_static(content_type.as_bytes())) };
    RequestRecord {
        location: RecordOffset { partition: 2, offset: 5 },
        timestamp: UnixMillis(0),
        key: None,
        headers: vec![header],
        value: Some(value.into()),
    }
}

fn avro(request: &MaterialRequest) -> RequestRecord {
    let mut value = Vec::new();
    RequestEncoder::new(Framing::Confluent { schema_id: SCHEMA_ID }).encode(request, &mut value).unwrap();
    record(value, "application/avro")
}

async fn outcome(executor: &Executor, request: &MaterialRequest) -> MaterialOutcome {
    match executor.answer(&avro(request), &CancellationToken::new()).await.unwrap().0 {
        RequestAnswer::Reply(result) => result.outcome,
        RequestAnswer::DeadLetter(letter) => panic!("{letter:?}"),
    }
}

/// What comes of one request whose calls are answered with `codes`, and when they were made.
async fn outcome_of(
    codes: impl IntoIterator<Item = i64>,
    deadline_seconds: Option<i64>,
) -> (MaterialOutcome, Vec<u64>) {
    let upstream = ScriptedUpstream::new(codes);
    let executor = executor([app("wx1", &upstream, 1)]);
    let outcome = outcome(&executor, &request("wx1", deadline_seconds)).await;
    (outcome, upstream.calls())
}

fn errcode(outcome: MaterialOutcome) -> (&'static str, Option<i64>) {
    match outcome {
        MaterialOutcome::Succeeded(_) => ("succeeded", None),
        MaterialOutcome::Failed(refusal) => ("failed", refusal.errcode),
        MaterialOutcome::Rejected(refusal) => ("rejected", refusal.errcode),
        MaterialOutcome::Expired(refusal) => ("expired", refusal.errcode),
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_made_at_once_than_allowed_and_answers_keep_their_places() {
    let upstream = ScriptedUpstream::new([]);
    let executor = executor([app("wx1", &upstream, 3)]);
    let cancel = CancellationToken::new();
    let record = avro(&request("wx1", None));
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(executor.answer(&record, &cancel).await.unwrap());
    }
    let seventh = tokio::time::timeout(Duration::from_secs(60), executor.answer(&record, &cancel));
    assert!(seventh.await.is_err(), "six answers wait to be committed");
    drop(answers);
    let mut answering = tokio::task::JoinSet::new();
    let executor = Arc::new(executor);
    for _ in 0..12 {
        let (executor, record, cancel) = (executor.clone(), record.clone(), cancel.clone());
        answering.spawn(async move { drop(executor.answer(&record, &cancel).await) });
    }
    while answering.join_next().await.is_some() {}
    assert_eq!(upstream.in_flight_max(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_app_with_many_requests_takes_no_place_from_another() {
    let [busy, other] = [ScriptedUpstream::new([]), ScriptedUpstream::new([])];
    let executor = Arc::new(executor([app("wx1", &busy, 2), app("wx2", &other, 2)]));
    let mut answering = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (executor, record) = (executor.clone(), avro(&request("wx1", None)));
        answering.spawn(async move { drop(executor.answer(&record, &CancellationToken::new()).await) });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    assert_eq!(errcode(outcome(&executor, &request("wx2", None)).await), ("succeeded", None));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(busy.in_flight_max(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_is_a_dead_letter_with_its_place() {
    let upstream = ScriptedUpstream::new([]);
    let executor = executor([app("wx1", &upstream, 1)]);
    let foreign = [&[0, 0, 0, 0, 9][..], b"body"].concat();
    let tombstone = RequestRecord { value: None, ..record(vec![], "application/avro") };
    for (record, reason) in [
        (record(b"{}".to_vec(), "application/json"), "not_json"),
        (record(br#"{"request_id":"r","path":"a","path":"b"}"#.to_vec(), "application/json"), "not_json"),
        (record(b"{}".to_vec(), "application/avro"), "not_avro"),
        (record(foreign, "application/avro"), "unknown_schema"),
        (tombstone, "no_value"),
    ] {
        let (answer, _) = executor.answer(&record, &CancellationToken::new()).await.unwrap();
        let RequestAnswer::DeadLetter(letter) = answer else { panic!("{answer:?}") };
        let origin = Origin { topic: "requests".into(), partition: 2, offset: 5 };
        assert_eq!((letter.reason, letter.origin), (reason, Some(origin)));
        assert_eq!(*letter.raw, *record.value.unwrap_or_default());
    }
    assert!(upstream.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_json_request_with_a_wrong_field_is_rejected_by_its_name() {
    let executor = executor([]);
    let flawed = br#"{"request_id":"r","app_id":"wx1","promoter_openid":"oP","path":7}"#;
    let (answer, _) =
        executor.answer(&record(flawed.to_vec(), "Application/JSON"), &CancellationToken::new()).await.unwrap();
    let RequestAnswer::Reply(result) = answer else { panic!("{answer:?}") };
    assert_eq!([&*result.request_id, &*result.app_id, &*result.promoter_openid], ["r", "wx1", "oP"]);
    assert_eq!(result.outcome, MaterialOutcome::Rejected(MaterialRefusal::own("path is not a text")));
}

#[tokio::test(start_paused = true)]
async fn a_reply_repeats_the_whole_request_id_and_no_more_of_other_ids_than_is_bounded() {
    let executor = executor([]);
    let [request_id, app_id] = ["推".repeat(1000), "推".repeat(100)];
    let long = MaterialRequest { request_id, app_id, ..request("wx1", None) };
    let (answer, _) = executor.answer(&avro(&long), &CancellationToken::new()).await.unwrap();
    let RequestAnswer::Reply(result) = answer else { panic!("{answer:?}") };
    assert_eq!((result.request_id, result.app_id), ("推".repeat(1000), "推".repeat(85)));
    assert_eq!(errcode(result.outcome), ("rejected", None));
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_once_the_pipeline_has_ended() {
    let upstream = ScriptedUpstream::new([-1; 100]);
    let executor = executor([app("wx1", &upstream, 1)]);
    let cancel = CancellationToken::new();
    let record = avro(&request("wx1", None));
    let ending = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cancel.cancel();
    };
    let (answer, ()) = tokio::join!(executor.answer(&record, &cancel), ending);
    assert!(answer.is_none());
}

mod patience;
mod scripted_upstream;
mod stopped;
