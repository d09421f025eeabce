//! Answers as Kafka records.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::answered::{self, STATE_PARTITION};
use super::closed_topics::{ClosedTopics, LATE_CLOSED};
use crate::avro::encode::Encoders;
use crate::avro::material::ResultEncoder;
use crate::commit::log::LogError;
use crate::kafka::topics::settings::AcceptedRecords;
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

impl ReplyWriter {
    pub(crate) fn smallest_limit(&self) -> usize {
        self.reply_topics
            .values()
            .map(|takes| takes.bytes)
            .fold(self.dead_letters_limit.min(self.state_limit), usize::min)
    }

    /// A topic has refused a record of the batch; where it is not known which, each that is not the connector's own may
    /// have. Replies go to the default topic instead from now on. False where there is no such topic.
    pub fn refused(&self, topic: Option<&str>, batch: &AnswerBatch, reason: &LogError) -> bool {
        let replies = batch.answers.iter().filter(|(_, answer)| !matches!(answer, RequestAnswer::DeadLetter(_)));
        let used: HashSet<&str> = replies.map(|(request, _)| self.destination(request).0).collect();
        let suspects = used.into_iter().filter(|used| topic.is_none_or(|topic| topic == *used));
        let suspects: Vec<&str> = suspects.filter(|suspect| *suspect != self.default_topic).collect();
        for topic in &suspects {
            let error = reason.with_causes();
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
    ///
    /// # Errors
    /// That of `send`.
    pub fn write<E>(
        &self,
        batch: &AnswerBatch,
        now: UnixMillis,
        mut send: impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = Vec::with_capacity(1024);
        for (request, answer) in &batch.answers {
            let letter = match answer {
                RequestAnswer::DeadLetter(letter) => Some(letter.clone()),
                RequestAnswer::Reply(result) => self.write_reply(request, result, now, &mut buffer, &mut send)?,
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
    ///
    /// # Errors
    /// That of `send`.
    fn write_reply<E>(
        &self,
        request: &RequestRecord,
        result: &MaterialResult,
        now: UnixMillis,
        buffer: &mut Vec<u8>,
        send: &mut impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<Option<DeadLetter>, E> {
        let (topic, limit) = self.destination(request);
        let headers = reply_headers(request);
        let around = around(request, &headers);
        if let Err(error) = self.results.encode(result, buffer) {
            return Ok(Some(self.unanswerable(request, "not_encodable", error.to_string(), now)));
        }
        if buffer.len() + around > limit {
            let message = format!("the reply is {} bytes long, topic {topic} takes {limit}", buffer.len() + around);
            let short = MaterialResult {
                outcome: MaterialOutcome::Failed(MaterialRefusal::own(message.clone())),
                ..result.clone()
            };
            if let Err(error) = self.results.encode(&short, buffer) {
                return Ok(Some(self.unanswerable(request, "not_encodable", error.to_string(), now)));
            }
            if buffer.len() + around > limit {
                return Ok(Some(self.unanswerable(request, "too_large", message, now)));
            }
        }
        let key = request.key.as_deref();
        send(Record { topic, partition: None, key, headers: &headers, value: Some(buffer), timestamp: now })?;
        Ok(None)
    }

    /// The topic that the request asks for, where that is allowed and takes its reply, and the largest record there.
    fn destination(&self, request: &RequestRecord) -> (&str, usize) {
        let requested = request.header(REPLY_TOPIC).and_then(|name| self.reply_topics.get_key_value(name));
        let requested = requested.filter(|(topic, takes)| {
            !self.closed.contains(topic, Instant::now()) && (request.key.is_some() || !takes.keyed)
        });
        let default = || self.reply_topics.get_key_value(&self.default_topic);
        requested.or_else(default).map_or((&self.default_topic, usize::MAX), |(topic, takes)| (topic, takes.bytes))
    }

    fn unanswerable(
        &self,
        request: &RequestRecord,
        reason: &'static str,
        detail: String,
        now: UnixMillis,
    ) -> DeadLetter {
        let (partition, offset) = (request.location.partition, request.location.offset);
        let origin = Origin { topic: self.request_topic.clone(), partition, offset };
        DeadLetter::of_request(origin, reason, detail, request.value.as_deref().unwrap_or_default().into(), now)
    }
}

/// The request's own, but for the one that says how the value is written.
fn reply_headers(request: &RequestRecord) -> Vec<Header> {
    let is_other = |header: &&Header| !header.name.eq_ignore_ascii_case(CONTENT_TYPE);
    let mut headers: Vec<Header> = request.headers.iter().filter(is_other).cloned().collect();
    headers.push(Header { name: CONTENT_TYPE.to_owned(), value: Some(Bytes::from_static(b"application/avro")) });
    headers
}

/// What a reply takes beside its value. Each header has two lengths of at most five bytes.
fn around(request: &RequestRecord, headers: &[Header]) -> usize {
    let of = |header: &Header| header.name.len() + header.value.as_ref().map_or(0, Bytes::len) + 10;
    RECORD_OVERHEAD + request.key.as_ref().map_or(0, Bytes::len) + headers.iter().map(of).sum::<usize>()
}

#[cfg(test)]
mod tests;
