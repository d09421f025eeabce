//! The other side of the request topic: puts one request, and sees the replies that come from then on.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::context::{self, LogContext};
use super::request_topic::RequestTopic;
use super::settings::{CommandTopics, Settings};
use super::supplied::LoggedConsumer;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one call may take that has to be over by `until`.
pub(super) fn left(until: Instant) -> Duration {
    // librdkafka takes none for "for ever" or for "not at all".
    until.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), CALL_TIMEOUT)
}

/// All calls block.
pub struct Asker {
    requests: RequestTopic,
    replies: LoggedConsumer,
}

impl Asker {
    /// From here on no reply is missed, whenever it comes. Given up at `until`.
    pub fn open(settings: &Settings, topics: &CommandTopics, until: Instant) -> Result<Asker, String> {
        let brokers = settings.bootstrap_servers();
        let failed = |error| format!("the replies can't be read through bootstrap.servers \"{brokers}\": {error}");
        let replies: LoggedConsumer = settings
            .reader_config()
            .create_with_context(LogContext::default())
            .map_err(|error| failed(error.to_string()))?;
        let failed = |error| failed(context::explained(&replies, error));
        let metadata = replies.fetch_metadata(Some(&topics.results), left(until)).map_err(failed)?;
        let found = metadata.topics().iter().find(|topic| topic.name() == topics.results && topic.error().is_none());
        let Some(found) = found else { return Err(format!("topic {} does not exist", topics.results)) };
        let mut assignment = TopicPartitionList::new();
        for partition in found.partitions() {
            // A number, and not "the end": that would be looked for later, when the reply may stand before it.
            let (_, end) = replies.fetch_watermarks(&topics.results, partition.id(), left(until)).map_err(failed)?;
            assignment.add_partition_offset(&topics.results, partition.id(), Offset::Offset(end)).map_err(failed)?;
        }
        replies.assign(&assignment).map_err(failed)?;
        Ok(Asker { requests: RequestTopic::open(settings, &topics.requests)?, replies })
    }

    /// Puts a request in Avro, and waits until it is acknowledged, or until `until`.
    pub fn put(&self, key: &str, value: &[u8], until: Instant) -> Result<(), String> {
        self.requests.put(key, "application/avro", value, left(until))
    }

    /// The value of the next reply to anybody, or nothing where none came before `until`.
    pub fn next_reply(&self, until: Instant) -> Result<Option<Vec<u8>>, String> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            match self.replies.poll(left) {
                Some(Ok(message)) => return Ok(Some(message.payload().unwrap_or_default().to_vec())),
                None | Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error.to_string()),
                Some(Err(error)) => self.replies.context().error(&error, "waiting for the reply"),
            }
        }
    }
}
