//! The other side of the request topic: puts one request, and sees the replies that come from then on.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::context::LogContext;
use super::settings::{CommandTopics, Settings};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// All calls block.
pub struct Asker {
    producer: BaseProducer<AskerContext>,
    replies: BaseConsumer<LogContext>,
    request_topic: String,
}

impl Asker {
    /// From here on no reply is missed, whenever it comes.
    pub fn open(settings: &Settings, topics: &CommandTopics) -> Result<Asker, String> {
        let failed = |error| format!("the replies can't be read: {error}");
        let replies: BaseConsumer<LogContext> =
            settings.reader_config().create_with_context(LogContext::default()).map_err(failed)?;
        let metadata = replies.fetch_metadata(Some(&topics.results), CALL_TIMEOUT).map_err(failed)?;
        let found = metadata.topics().iter().find(|topic| topic.name() == topics.results && topic.error().is_none());
        let Some(found) = found else { return Err(format!("topic {} does not exist", topics.results)) };
        let mut assignment = TopicPartitionList::new();
        for partition in found.partitions() {
            // A number, and not "the end": that would be looked for later, when the reply may stand before it.
            let (_, end) = replies.fetch_watermarks(&topics.results, partition.id(), CALL_TIMEOUT).map_err(failed)?;
            assignment.add_partition_offset(&topics.results, partition.id(), Offset::Offset(end)).map_err(failed)?;
        }
        replies.assign(&assignment).map_err(failed)?;
        let producer = settings
            .request_producer_config()
            .create_with_context(AskerContext::default())
            .map_err(|error| format!("the producer can't be made: {error}"))?;
        Ok(Asker { producer, replies, request_topic: topics.requests.clone() })
    }

    /// Puts a request, and waits until it is acknowledged.
    pub fn put(&self, key: &str, value: &[u8]) -> Result<(), String> {
        let content_type = Header { key: "content-type", value: Some("application/avro") };
        let headers = OwnedHeaders::new().insert(content_type);
        let record = BaseRecord::to(&self.request_topic).key(key).payload(value).headers(headers);
        let failed = |error: KafkaError| format!("topic {} takes no request: {error}", self.request_topic);
        self.producer.send(record).map_err(|(error, _)| failed(error))?;
        self.producer.flush(CALL_TIMEOUT).map_err(failed)?;
        match self.producer.context().refusal() {
            Some(error) => Err(failed(error)),
            None => Ok(()),
        }
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

/// Keeps why a request was not taken.
#[derive(Default)]
struct AskerContext {
    log: LogContext,
    refusal: std::sync::Mutex<Option<KafkaError>>,
}

impl AskerContext {
    fn refusal(&self) -> Option<KafkaError> {
        self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl rdkafka::client::ClientContext for AskerContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        super::context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }
}

impl rdkafka::producer::ProducerContext for AskerContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error.clone());
        }
    }
}
