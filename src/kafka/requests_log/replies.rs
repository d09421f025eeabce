//! Answers as Kafka records.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::answered::{self, STATE_PARTITION};
use crate::avro::encode::Encoders;
use crate::avro::material::ResultEncoder;
use crate::commit::log::LogError;
use crate::kafka::client::topic_settings::AcceptedRecords;
use crate::kafka::transaction::dead_letters::DeadLetterTopic;
use crate::kafka::transaction::record::{RECORD_OVERHEAD, Record};
use crate::model::dead_letter::{DeadLetter, Origin};
use crate::model::material::{MaterialOutcome, MaterialRefusal, MaterialResult};
use crate::model::request::answered_offsets::OffsetRecord;
use crate::model::request::record::{CONTENT_TYPE, Header, REPLY_TOPIC, RequestAnswer, RequestRecord};
use crate::model::time::UnixMillis;
use crate::requests::log::AnswerBatch;

/// Makes records of answers.
pub struct ReplyWriter {
    pub default_topic: String,
    pub request_topic: String,
    /// The topics that replies may go to, with what each takes.
    pub reply_topics: HashMap<String, AcceptedRecords>,
    pub closed: Arc<ClosedTopics>,
    pub dead_letters: String,
    pub dead_letters_limit: usize,
    /// Where it is kept how far requests are answered.
    pub state: String,
    pub state_limit: usize,
    pub encoders: Arc<Encoders>,
    pub results: Arc<ResultEncoder>,
}

/// How long no reply goes to a reply topic of others that has not acknowledged one in time. Whenever it is tried again, the
/// replies to all wait for a transaction's time.
const LATE_CLOSED: Duration = Duration::from_secs(3600);

/// Reply topics of others to which no reply goes, or one requester could hold up the replies to all: those that have refused a
/// record, as long as the process lives, and those that were too slow, for [`LATE_CLOSED`].
#[derive(Debug, Default)]
pub struct ClosedTopics(Mutex<HashMap<String, Option<Instant>>>);

impl ClosedTopics {
    fn contains(&self, topic: &str, now: Instant) -> bool {
        let closed = self.0.lock();
        closed.get(topic).is_some_and(|until| until.is_none_or(|until| now < until))
    }

    fn close(&self, topic: &str, until: Option<Instant>) {
        self.0.lock().insert(topic.to_owned(), until);
    }
}

impl ReplyWriter {
    pub fn smallest_limit(&self) -> usize {
        self.reply_topics
            .values()
            .map(|takes| takes.bytes)
            .fold(self.dead_letters_limit.min(self.state_limit), usize::min)
    }

    /// A topic has refused a record of the batch; where it is not known which, each that is not the connector's own may
    /// have. Replies go to the default topic instead from now on. False where there is no such topic.
    pub fn refused(&self, topic: Option<&str>, batch: &AnswerBatch, reason: &LogError) -> bool {
        let replies = batch.answers.iter().filter(|(_, answer)| matches!(answer, RequestAnswer::Reply(_)));
        let used: HashSet<&str> = replies.map(|(command, _)| self.destination(command).0).collect();
        let suspects = used.into_iter().filter(|used| topic.is_none_or(|topic| topic == *used));
        let suspects: Vec<&str> = suspects.filter(|suspect| *suspect != self.default_topic).collect();
        for topic in &suspects {
            let error = reason.told();
            tracing::error!(
                topic,
                error,
                "the reply topic refuses a reply; replies that ask for it go to the topic of results"
            );
            self.closed.close(topic, None);
        }
        !suspects.is_empty()
    }

    /// A transaction has failed for which the `topics` have not acknowledged their records in time. Where all of them are reply
    /// topics of others, and so all that is the connector's own has answered, replies go to the default topic instead for a
    /// while; false otherwise.
    pub fn late(&self, topics: &[String]) -> bool {
        let is_others = |topic: &String| *topic != self.default_topic && self.reply_topics.contains_key(topic);
        let are_others = !topics.is_empty() && topics.iter().all(is_others);
        for topic in topics.iter().filter(|_| are_others) {
            let seconds = LATE_CLOSED.as_secs();
            tracing::error!(
                topic,
                seconds,
                "the reply topic acknowledges no reply; replies that ask for it go to the topic of results for a while"
            );
            self.closed.close(topic, Some(Instant::now() + LATE_CLOSED));
        }
        are_others
    }

    /// Hands one record for each answer to `send`, and how far requests are answered with them, until it fails.
    pub fn write<E>(
        &self,
        batch: &AnswerBatch,
        now: UnixMillis,
        mut send: impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = Vec::with_capacity(1024);
        for (command, answer) in &batch.answers {
            let letter = match answer {
                RequestAnswer::DeadLetter(letter) => Some(letter.clone()),
                RequestAnswer::Reply(result) => self.write_reply(command, result, now, &mut buffer, &mut send)?,
            };
            if let Some(letter) = letter {
                let to = DeadLetterTopic { topic: &self.dead_letters, limit: self.dead_letters_limit };
                to.write(&letter, &self.encoders, now, &mut buffer, &mut send)?;
            }
        }
        let prefix = answered::prefix(&self.request_topic);
        for OffsetRecord { key, value } in &batch.offset_records {
            let key = format!("{prefix}{key}");
            let (partition, key) = (Some(STATE_PARTITION), Some(key.as_bytes()));
            let (topic, value) = (self.state.as_str(), value.as_deref());
            send(Record { topic, partition, key, headers: &[], value, timestamp: now })?;
        }
        Ok(())
    }

    /// A reply that does not fit becomes one that says so. Gives a dead letter where not even that fits.
    fn write_reply<E>(
        &self,
        command: &RequestRecord,
        result: &MaterialResult,
        now: UnixMillis,
        buffer: &mut Vec<u8>,
        send: &mut impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<Option<DeadLetter>, E> {
        let (topic, limit) = self.destination(command);
        let headers = reply_headers(command);
        let around = around(command, &headers);
        if let Err(error) = self.results.encode(result, buffer) {
            return Ok(Some(self.unanswerable(command, "not_encodable", error.to_string(), now)));
        }
        if buffer.len() + around > limit {
            let message = format!("the reply is {} bytes long, topic {topic} takes {limit}", buffer.len() + around);
            let short = MaterialResult {
                outcome: MaterialOutcome::Failed(MaterialRefusal::own(message.clone())),
                ..result.clone()
            };
            if let Err(error) = self.results.encode(&short, buffer) {
                return Ok(Some(self.unanswerable(command, "not_encodable", error.to_string(), now)));
            }
            if buffer.len() + around > limit {
                return Ok(Some(self.unanswerable(command, "too_large", message, now)));
            }
        }
        let key = command.key.as_deref();
        send(Record { topic, partition: None, key, headers: &headers, value: Some(buffer), timestamp: now })?;
        Ok(None)
    }

    /// The topic that the request asks for, where that is allowed and takes its reply, and the largest record there.
    fn destination(&self, command: &RequestRecord) -> (&str, usize) {
        let asked = command.header(REPLY_TOPIC).and_then(|name| self.reply_topics.get_key_value(name));
        let asked = asked.filter(|(topic, takes)| {
            !self.closed.contains(topic, Instant::now()) && (command.key.is_some() || !takes.keyed)
        });
        let default = || self.reply_topics.get_key_value(&self.default_topic);
        asked.or_else(default).map_or((&self.default_topic, usize::MAX), |(topic, takes)| (topic, takes.bytes))
    }

    fn unanswerable(
        &self,
        command: &RequestRecord,
        reason: &'static str,
        detail: String,
        now: UnixMillis,
    ) -> DeadLetter {
        let (partition, offset) = (command.location.partition, command.location.offset);
        let origin = Origin { topic: self.request_topic.clone(), partition, offset };
        DeadLetter::of_command(origin, reason, detail, command.value.as_deref().unwrap_or_default().into(), now)
    }
}

/// The request's own, but for the one that says how the value is written.
fn reply_headers(command: &RequestRecord) -> Vec<Header> {
    let is_other = |header: &&Header| !header.name.eq_ignore_ascii_case(CONTENT_TYPE);
    let mut headers: Vec<Header> = command.headers.iter().filter(is_other).cloned().collect();
    headers.push(Header { name: CONTENT_TYPE.to_owned(), value: Some(Bytes::from_static(b"application/avro")) });
    headers
}

/// What a reply takes beside its value. Each header has two lengths of at most five bytes.
fn around(command: &RequestRecord, headers: &[Header]) -> usize {
    let of = |header: &Header| header.name.len() + header.value.as_ref().map_or(0, Bytes::len) + 10;
    RECORD_OVERHEAD + command.key.as_ref().map_or(0, Bytes::len) + headers.iter().map(of).sum::<usize>()
}

#[cfg(test)]
mod tests {
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

    fn command(headers: Vec<Header>) -> RequestRecord {
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

    fn written(writer: &ReplyWriter, command: RequestRecord, answer: RequestAnswer) -> SentRecord {
        let batch = AnswerBatch { answers: vec![(Arc::new(command), answer)], ..AnswerBatch::default() };
        let mut sent = Vec::new();
        let send = |record: Record<'_>| {
            let value = Decoder::new([]).decode(record.value.unwrap()).unwrap();
            sent.push((record.topic.to_owned(), record.key.map(<[u8]>::to_vec), record.headers.to_vec(), value));
            Ok::<(), ()>(())
        };
        writer.write(&batch, UnixMillis(0), send).unwrap();
        assert_eq!(sent.len(), 1, "one record answers a command");
        sent.remove(0)
    }

    #[test]
    fn a_reply_has_the_key_and_the_headers_of_its_request() {
        let asked = vec![header("Content-Type", "application/json"), header("correlation-id", "7")];
        let (topic, key, headers, value) = written(&writer(10_000), command(asked), RequestAnswer::Reply(result(10)));
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
            let command = command(vec![header("reply-topic", asked)]);
            assert_eq!(written(&writer(10_000), command, RequestAnswer::Reply(result(10))).0, topic);
        }
    }

    #[test]
    fn a_compacted_topic_gets_no_reply_without_a_key() {
        let asking = || command(vec![header("reply-topic", "latest")]);
        assert_eq!(written(&writer(10_000), asking(), RequestAnswer::Reply(result(10))).0, "latest");
        let keyless = RequestRecord { key: None, ..asking() };
        assert_eq!(written(&writer(10_000), keyless, RequestAnswer::Reply(result(10))).0, "results");
    }

    #[test]
    fn a_topic_that_has_refused_a_reply_gets_none_any_more() {
        let writer = writer(10_000);
        let asking = |topic: &str| command(vec![header("reply-topic", topic)]);
        let batch = |topics: &[&str]| {
            let answers = topics.iter().map(|topic| (Arc::new(asking(topic)), RequestAnswer::Reply(result(10))));
            AnswerBatch { answers: answers.collect(), ..AnswerBatch::default() }
        };
        let topics = || ["mine", "latest", "results"].map(|topic| writer.destination(&asking(topic)).0);
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
        let topic = || writer.destination(&command(vec![header("reply-topic", "mine")])).0.to_owned();
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
        let (topic, _, _, value) = written(&writer(1000), command(vec![]), RequestAnswer::Reply(result(1000)));
        assert_eq!((topic.as_str(), value.text("status")), ("results", Some("FAILED")));
        let message = value.text("errmsg").unwrap();
        assert!(message.starts_with("the reply is ") && message.ends_with(", topic results takes 1000"), "{message}");
    }

    #[test]
    fn where_not_even_that_fits_the_request_is_a_dead_letter() {
        let command = command(vec![header("large", &"x".repeat(1000))]);
        let (topic, _, headers, value) = written(&writer(1000), command, RequestAnswer::Reply(result(10)));
        assert_eq!((topic.as_str(), headers.len()), ("dead-letters", 0));
        assert_eq!((value.text("reason"), value.text("topic")), (Some("too_large"), Some("requests")));
        assert_eq!(value.field("offset"), Some(&9.into()));
        assert_eq!(value.text("raw"), Some("{}"));
    }
}
