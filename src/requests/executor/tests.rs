//! Requests against a scripted upstream, on paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::*;
use crate::avro::framing::Framing;
use crate::avro::material::RequestEncoder;
use crate::model::promoter::{AppId, IdKind};
use crate::model::request::record::{Header, RecordOffset};
use crate::model::time::UnixTime;
use crate::retry::JITTER;
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::client::{Client, ClientSettings};
use crate::upstream::token::TokenSource;
use crate::upstream::transport::{HttpRequest, HttpResponse, TransportError};

impl<T: Transport> Executor<T> {
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
const MATERIAL: &str = r##"{"errcode":0,"tag":"#short"}"##;
const SCHEMA_ID: i32 = 7;
const STOPPED: Duration = Duration::from_secs(300);
/// A call's own attempts, of which each takes a second here.
const ATTEMPTS: u32 = 2;

/// Answers from its script, and with material when that is over. Each answer takes a second.
#[derive(Clone)]
struct ScriptedUpstream(Arc<UpstreamScript>);

struct UpstreamScript {
    began: Instant,
    codes: Mutex<VecDeque<i64>>,
    /// When each call came.
    calls: Mutex<Vec<Duration>>,
    in_flight: Mutex<(usize, usize)>,
    /// Until a call that is not answered has timed out; nothing where calls are answered.
    hangs: Option<Duration>,
}

impl ScriptedUpstream {
    fn new(codes: impl IntoIterator<Item = i64>) -> ScriptedUpstream {
        ScriptedUpstream(Arc::new(UpstreamScript {
            began: Instant::now(),
            codes: Mutex::new(codes.into_iter().collect()),
            calls: Mutex::default(),
            in_flight: Mutex::default(),
            hangs: None,
        }))
    }

    fn hanging(time_out: Duration) -> ScriptedUpstream {
        let (began, codes, calls) = (Instant::now(), Mutex::default(), Mutex::default());
        ScriptedUpstream(Arc::new(UpstreamScript {
            began,
            codes,
            calls,
            in_flight: Mutex::default(),
            hangs: Some(time_out),
        }))
    }

    fn now_seconds(&self) -> u64 {
        self.0.began.elapsed().as_secs()
    }

    fn calls(&self) -> Vec<u64> {
        self.0.calls.lock().unwrap().iter().map(Duration::as_secs).collect()
    }

    fn in_flight_max(&self) -> usize {
        self.0.in_flight.lock().unwrap().1
    }
}

impl Transport for ScriptedUpstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let answer = |body: String| HttpResponse { status: 200, body: body.into(), date: None, retry_after: None };
        if request.path == "/cgi-bin/stable_token" {
            return Ok(answer(r#"{"access_token":"t","expires_in":7200}"#.into()));
        }
        self.0.calls.lock().unwrap().push(self.0.began.elapsed());
        if let Some(time_out) = self.0.hangs {
            tokio::time::sleep(time_out).await;
            return Err(TransportError::Timeout);
        }
        let code = self.0.codes.lock().unwrap().pop_front();
        {
            let mut in_flight = self.0.in_flight.lock().unwrap();
            in_flight.0 += 1;
            in_flight.1 = in_flight.1.max(in_flight.0);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.0.in_flight.lock().unwrap().0 -= 1;
        Ok(answer(match code {
            None | Some(0) => MATERIAL.to_owned(),
            Some(code) => format!(r#"{{"errcode":{code},"errmsg":"no"}}"#),
        }))
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(START.as_millis().0 + i64::try_from(self.0.began.elapsed().as_millis()).unwrap())
    }
}

fn retry() -> RetrySettings {
    RetrySettings {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(1),
        attempts: ATTEMPTS,
        jitter: JITTER,
    }
}

fn app(id: &str, upstream: &ScriptedUpstream, concurrency: usize) -> MaterialApp<ScriptedUpstream> {
    app_trying(ATTEMPTS, id, upstream, concurrency)
}

fn app_trying(
    attempts: u32,
    id: &str,
    upstream: &ScriptedUpstream,
    concurrency: usize,
) -> MaterialApp<ScriptedUpstream> {
    let settings = ClientSettings {
        app_id: AppId::new(id).unwrap(),
        id_kind: IdKind::OpenId,
        base_url: "http://a".into(),
        spare_urls: vec![],
        token_source: TokenSource::Stable("secret".into()),
        retry: RetrySettings { attempts, ..retry() },
        breakers: BreakerSettings {
            too_fast: Duration::from_secs(60),
            stopped: STOPPED,
            unanswered: Duration::from_secs(1),
        },
        budgets: [].into(),
        in_flight: 1,
    };
    MaterialApp::new(Arc::new(Client::new(settings, upstream.clone())), concurrency)
}

fn executor(apps: impl IntoIterator<Item = MaterialApp<ScriptedUpstream>>) -> Executor<ScriptedUpstream> {
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

async fn outcome(executor: &Executor<ScriptedUpstream>, request: &MaterialRequest) -> MaterialOutcome {
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
async fn what_the_upstream_refuses_for_good_is_answered_at_once() {
    for (code, expected) in [
        (103_001, "rejected"),
        (103_002, "rejected"),
        (103_004, "rejected"),
        (103_005, "rejected"),
        (103_006, "failed"),
        (103_014, "failed"),
        (40_003, "failed"),
        (47_001, "failed"),
        (424_242, "failed"),
    ] {
        let (outcome, calls) = outcome_of([code], None).await;
        assert_eq!((errcode(outcome), calls.len()), ((expected, Some(code)), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_unable_is_asked_again_for_a_minute() {
    for code in [-1, 103_009] {
        let (outcome, calls) = outcome_of([code; 5], None).await;
        assert_eq!(errcode(outcome), ("succeeded", None));
        assert_eq!(calls.len(), 6);
        let (outcome, calls) = outcome_of([code; 1000], None).await;
        assert_eq!(errcode(outcome), ("failed", Some(code)));
        assert!((40..=62).contains(calls.last().unwrap()), "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_after_its_rejection_stops_the_app_at_the_third_call() {
    let (outcome, calls) = outcome_of([40_001; 2], None).await;
    assert_eq!((errcode(outcome), calls.len()), (("succeeded", None), 3));
    let (outcome, calls) = outcome_of([40_001; 3], None).await;
    assert_eq!((errcode(outcome), calls.len()), (("succeeded", None), 4));
    assert!(calls[2] < 20 && calls[3] >= 300, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_app_is_stopped_until_its_deadline_is_expired_and_says_what_stops_it() {
    for (code, reason) in [(45_009, "quota_spent"), (40_125, "credentials")] {
        let upstream = ScriptedUpstream::new([code; 10]);
        let executor = executor([app("wx1", &upstream, 1)]);
        let (asked, waited) = (request("wx1", Some(30)), request("wx1", Some(30)));
        let (asked, waited) = tokio::join!(outcome(&executor, &asked), outcome(&executor, &waited));
        let unread = outcome(&executor, &request("wx1", Some(20))).await;
        for outcome in [asked, waited, unread] {
            let MaterialOutcome::Expired(MaterialRefusal { errcode: None, message }) = outcome else {
                panic!("{outcome:?}")
            };
            let words = format!("; the app's requests wait ({reason}): errcode {code}: no");
            assert!(message.ends_with(&words), "{message}");
        }
        assert_eq!(upstream.calls().len(), 1);
        // A fault of the request comes first, and what holds one app tells nothing of another.
        let other = executor.without_a_call(
            &DecodedRequest { request: request("wx2", Some(0)), flaw: None },
            UnixMillis(START.as_millis().0 + 1),
        );
        assert!(
            matches!(other, Some(RequestAnswer::Reply(MaterialResult { outcome: MaterialOutcome::Rejected(_), .. }))),
            "{other:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_the_asking_and_says_what_failed_before() {
    let (outcome, calls) = outcome_of([-1; 1000], Some(20)).await;
    assert_eq!(errcode(outcome), ("expired", Some(-1)));
    assert!((12..=20).contains(calls.last().unwrap()), "{calls:?}");
    // Further away than anybody may wait.
    let (outcome, calls) = outcome_of([-1; 10_000], Some(100_000)).await;
    assert_eq!(errcode(outcome), ("failed", Some(-1)));
    assert!((580..=602).contains(calls.last().unwrap()), "{:?}", calls.last());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_before_any_answer_is_expired() {
    let upstream = ScriptedUpstream::new([]);
    let executor = executor([app("wx1", &upstream, 1)]);
    let words = "deadline had passed when the request was read";
    let unread = outcome(&executor, &request("wx1", Some(0))).await;
    assert_eq!(unread, MaterialOutcome::Expired(MaterialRefusal::own(words)), "nothing has failed");
    assert!(upstream.calls().is_empty(), "no call is spent");
    let slow = MaterialRequest { deadline: Some(UnixMillis(START.as_millis().0 + 500)), ..request("wx1", None) };
    assert_eq!(errcode(outcome(&executor, &slow).await), ("expired", None));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_app_waits_and_is_probed_by_one_while_others_go_on() {
    for code in [45_009, 40_125, 48_001] {
        let [spent, other] = [ScriptedUpstream::new([code, code]), ScriptedUpstream::new([])];
        let executor = executor([app("wx1", &spent, 1), app("wx2", &other, 1)]);
        let began = Instant::now();
        let one = request("wx1", None);
        let waiting =
            async { tokio::join!(outcome(&executor, &one), outcome(&executor, &one), outcome(&executor, &one)) };
        let two = request("wx2", None);
        let going_on = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            (outcome(&executor, &two).await, began.elapsed())
        };
        let (waited, (went_on, after)) = tokio::join!(waiting, going_on);
        assert_eq!(errcode(went_on), ("succeeded", None));
        assert!(after <= Duration::from_secs(12), "the only place to call is not held: {after:?}");
        for outcome in [waited.0, waited.1, waited.2] {
            assert_eq!(errcode(outcome), ("succeeded", None));
        }
        // One call finds out, one probes in vain, one probes well, and the other two follow.
        let calls = spent.calls();
        assert_eq!(calls.len(), 5, "{calls:?}");
        assert!(calls[1] >= 300 && calls[2] >= 600 && calls[4] <= 606, "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_request_has_waited_for_a_stopped_app_is_no_asking() {
    // Unable before the quota is spent and for two calls behind it, of which the second has two attempts.
    let codes = [-1, -1, 45_009, 103_009, -1, -1];
    let (outcome, calls) = outcome_of(codes, None).await;
    assert_eq!(errcode(outcome), ("succeeded", None));
    assert_eq!(calls.len(), codes.len() + 1);
    // Behind it the minute begins anew, and ends: the one probe has told nothing.
    let (outcome, calls) = outcome_of([-1, -1, 45_009].into_iter().chain([-1; 1000]), None).await;
    assert_eq!(errcode(outcome), ("failed", Some(-1)));
    assert!((300..=312).contains(calls.last().unwrap()), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_a_stopped_app_expires_and_says_what_failed_before() {
    let upstream = ScriptedUpstream::new([45_011; 100]);
    let executor = executor([app("wx1", &upstream, 1)]);
    let (asked, waited) = (request("wx1", Some(30)), request("wx1", Some(30)));
    let (asked, waited) = tokio::join!(outcome(&executor, &asked), outcome(&executor, &waited));
    assert_eq!((errcode(asked), errcode(waited)), (("expired", Some(45_011)), ("expired", None)));
    assert_eq!(upstream.calls().len(), 1);
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
    let mut asking = tokio::task::JoinSet::new();
    let executor = Arc::new(executor);
    for _ in 0..12 {
        let (executor, record, cancel) = (executor.clone(), record.clone(), cancel.clone());
        asking.spawn(async move { drop(executor.answer(&record, &cancel).await) });
    }
    while asking.join_next().await.is_some() {}
    assert_eq!(upstream.in_flight_max(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_app_with_many_requests_takes_no_place_from_another() {
    let [busy, other] = [ScriptedUpstream::new([]), ScriptedUpstream::new([])];
    let executor = Arc::new(executor([app("wx1", &busy, 2), app("wx2", &other, 2)]));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (executor, record) = (executor.clone(), avro(&request("wx1", None)));
        asking.spawn(async move { drop(executor.answer(&record, &CancellationToken::new()).await) });
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

/// A call that is never answered ends with the transport's time-out; no attempt begins whose pause is longer than what
/// is left, a second at most.
#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_is_given_up_after_a_minute_whatever_the_attempts_of_a_call() {
    let upstream = ScriptedUpstream::hanging(Duration::from_secs(15));
    let executor = executor([app_trying(1000, "wx1", &upstream, 1)]);
    for (deadline_seconds, expected, within) in
        [(None, "failed", 59..=75), (Some(100), "expired", 99..=100), (Some(100_000), "failed", 599..=615)]
    {
        let began = Instant::now();
        let seconds = deadline_seconds.map(|seconds| seconds + i64::try_from(upstream.now_seconds()).unwrap());
        let outcome = outcome(&executor, &request("wx1", seconds)).await;
        assert_eq!(errcode(outcome), (expected, None));
        assert!(within.contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }
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
async fn nobody_answers_once_the_lane_has_ended() {
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
