use std::time::Duration;

use super::*;
use crate::avro::decode::{Decoded, Decoder};
use crate::avro::encode::Framings;
use crate::avro::framing::Framing;
use crate::model::material::{Image, ImageKind, Material};
use crate::model::request::record::RecordOffset;

/// Topic, key, headers and value of a record that was sent.
type SentRecord = (String, Option<Vec<u8>>, Vec<Header>, Decoded);

fn writer(limit: usize) -> ReplyWriter {
    ReplyWriter {
        default_topic: "results".into(),
        request_topic: "requests".into(),
        reply_topics: [("results", limit, false), ("mine", 1_000_000, false), ("latest", 1_000_000, true)]
            .map(|(topic, bytes, keyed)| (topic.to_owned(), AcceptedRecords { bytes, keyed }))
            .into(),
        closed: Arc::default(),
        dead_letters: "dead-letters".into(),
        dead_letters_limit: 1_000_000,
        state: "state".into(),
        state_limit: 1_000_000,
        encoders: Arc::new(Encoders::new(Framings::SINGLE_OBJECT)),
        results: Arc::new(ResultEncoder::new(Framing::SingleObject)),
    }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}

fn request(headers: Vec<Header>) -> RequestRecord {
    let location = RecordOffset { partition: 3, offset: 9 };
    let [key, value] = ["wx1/oP", "{}"].map(|text| Some(Bytes::from_static(text.as_bytes())));
    RequestRecord { location, timestamp: UnixMillis(0), key, headers, value }
}

fn result(image_bytes: usize) -> MaterialResult {
    let qrcode = Some(Image { kind: ImageKind::Png, bytes: vec![7; image_bytes] });
    let material = Material { share_path: None, qrcode, tag: None, issued_at: UnixMillis(0) };
    let [request_id, app_id, promoter_openid] = ["r", "wx1", "oP"].map(str::to_owned);
    MaterialResult { request_id, app_id, promoter_openid, outcome: MaterialOutcome::Succeeded(material) }
}

fn written(writer: &ReplyWriter, request: RequestRecord, answer: RequestAnswer) -> SentRecord {
    let batch = AnswerBatch { answers: vec![(Arc::new(request), answer)], ..AnswerBatch::default() };
    let mut sent = Vec::new();
    let send = |record: Record<'_>| {
        let value = Decoder::new([]).decode(record.value.unwrap()).unwrap();
        sent.push((record.topic.to_owned(), record.key.map(<[u8]>::to_vec), record.headers.to_vec(), value));
        Ok::<(), ()>(())
    };
    writer.write(&batch, UnixMillis(0), send).unwrap();
    assert_eq!(sent.len(), 1, "one record answers a request");
    sent.remove(0)
}

#[test]
fn a_reply_has_the_key_and_the_headers_of_its_request() {
    let asked = vec![header("Content-Type", "application/json"), header("correlation-id", "7")];
    let (topic, key, headers, value) = written(&writer(10_000), request(asked), RequestAnswer::Reply(result(10)));
    assert_eq!((topic.as_str(), key.as_deref()), ("results", Some(b"wx1/oP".as_slice())));
    assert_eq!(headers, [header("correlation-id", "7"), header("content-type", "application/avro")]);
    assert_eq!((value.text("request_id"), value.text("status")), (Some("r"), Some("SUCCEEDED")));
}

#[test]
fn how_far_requests_are_answered_stands_with_their_answers_under_the_name_of_their_topic() {
    let records = [("3", Some(vec![1, 2])), ("3/app/wx1", None)];
    let records = records.map(|(key, value)| OffsetRecord { key: key.into(), value });
    let batch = AnswerBatch { offset_records: records.to_vec(), ..AnswerBatch::default() };
    let mut sent = Vec::new();
    let send = |record: Record<'_>| {
        let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
        sent.push((record.topic.to_owned(), record.partition, key, record.value.map(<[u8]>::to_vec)));
        Ok::<(), ()>(())
    };
    writer(10_000).write(&batch, UnixMillis(0), send).unwrap();
    let expected = [("answered/requests/3", Some(vec![1, 2])), ("answered/requests/3/app/wx1", None)];
    assert_eq!(sent, expected.map(|(key, value)| ("state".to_owned(), Some(0), key.to_owned(), value)));
}

#[test]
fn only_a_listed_topic_can_be_asked_for() {
    for (asked, topic) in [("mine", "mine"), ("theirs", "results"), ("", "results")] {
        let request = request(vec![header("reply-topic", asked)]);
        assert_eq!(written(&writer(10_000), request, RequestAnswer::Reply(result(10))).0, topic);
    }
}

#[test]
fn a_compacted_topic_gets_no_reply_without_a_key() {
    let request_to_latest = || request(vec![header("reply-topic", "latest")]);
    assert_eq!(written(&writer(10_000), request_to_latest(), RequestAnswer::Reply(result(10))).0, "latest");
    let keyless = RequestRecord { key: None, ..request_to_latest() };
    assert_eq!(written(&writer(10_000), keyless, RequestAnswer::Reply(result(10))).0, "results");
}

#[test]
fn a_topic_that_has_refused_a_reply_gets_none_any_more() {
    let writer = writer(10_000);
    let request_to = |topic: &str| request(vec![header("reply-topic", topic)]);
    let batch = |topics: &[&str]| {
        let answers = topics.iter().map(|topic| (Arc::new(request_to(topic)), RequestAnswer::Reply(result(10))));
        AnswerBatch { answers: answers.collect(), ..AnswerBatch::default() }
    };
    let topics = || ["mine", "latest", "results"].map(|topic| writer.destination(&request_to(topic)).0);
    writer.refused(Some("results"), &batch(&["mine", "results"]), &"no right".into());
    assert_eq!(topics(), ["mine", "latest", "results"]);
    writer.refused(Some("mine"), &batch(&["mine", "latest"]), &"no right".into());
    assert_eq!(topics(), ["results", "latest", "results"]);
    writer.refused(None, &batch(&["latest", "results"]), &"no right".into());
    assert_eq!(topics(), ["results", "results", "results"]);
}

#[test]
fn a_topic_of_others_that_acknowledges_nothing_gets_no_reply_for_a_while() {
    let writer = writer(10_000);
    let late = |topics: &[&str]| writer.late(&topics.iter().map(ToString::to_string).collect::<Vec<_>>());
    let topic = || writer.destination(&request(vec![header("reply-topic", "mine")])).0.to_owned();
    // The whole broker is slow, or nothing is known.
    assert!(!late(&["mine", "state"]) && !late(&["mine", "results"]) && !late(&[]));
    assert_eq!(topic(), "mine");
    assert!(late(&["mine"]));
    assert_eq!(topic(), "results");
    let (now, while_over) = (Instant::now(), Instant::now() + LATE_CLOSED + Duration::from_secs(1));
    assert!(writer.closed.contains("mine", now) && !writer.closed.contains("mine", while_over));
    writer.closed.close("mine", None);
    assert!(writer.closed.contains("mine", while_over), "it has refused one");
}

#[test]
fn a_reply_that_does_not_fit_says_so() {
    let (topic, _, _, value) = written(&writer(1000), request(vec![]), RequestAnswer::Reply(result(1000)));
    assert_eq!((topic.as_str(), value.text("status")), ("results", Some("FAILED")));
    let message = value.text("errmsg").unwrap();
    assert!(message.starts_with("the reply is ") && message.ends_with(", topic results takes 1000"), "{message}");
}

#[test]
fn where_not_even_that_fits_the_request_is_a_dead_letter() {
    let request = request(vec![header("large", &"x".repeat(1000))]);
    let (topic, _, headers, value) = written(&writer(1000), request, RequestAnswer::Reply(result(10)));
    assert_eq!((topic.as_str(), headers.len()), ("dead-letters", 0));
    assert_eq!((value.text("reason"), value.text("topic")), (Some("too_large"), Some("requests")));
    assert_eq!(value.field("offset"), Some(&9.into()));
    assert_eq!(value.text("raw"), Some("{}"));
}
