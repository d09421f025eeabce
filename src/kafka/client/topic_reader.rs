//! Reads whole topics as an outside consumer does: read_committed, from the beginning, without a group.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::error::ClientError;
use super::headers::headers;
use super::rights;
use super::settings::Settings;
use super::supplied::LoggedConsumer;
use super::topic_lookup::{LookupError, TopicLookup};
use crate::model::request::record::Header;
use crate::model::time::UnixMillis;

/// How long a request to the brokers may take, for whoever need not be done sooner.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    /// Absent in a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
    /// The record's time; 0 where it has none.
    pub timestamp: UnixMillis,
}

/// Why topics can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TopicReadError {
    #[error("topic {0} does not exist")]
    Missing(String),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// All calls block.
pub struct TopicReader {
    consumer: LoggedConsumer,
    partitions: Vec<(String, i32)>,
    call_timeout: Duration,
}

/// The end of each partition, as a read_committed consumer sees it.
pub struct TopicEnds(HashMap<(String, i32), i64>);

impl TopicReader {
    /// Reads `topics`, all of which exist, from their beginning. Each request to the brokers may take `call_timeout`.
    ///
    /// # Errors
    /// [`TopicReadError`] where a topic is missing or refused, or the brokers do not answer in time.
    pub fn open(settings: &Settings, topics: &[&str], call_timeout: Duration) -> Result<TopicReader, TopicReadError> {
        let lookup = TopicLookup::of_reader(settings).map_err(failed)?;
        let mut partitions = Vec::new();
        for &name in topics {
            let count = lookup.count(name, "DESCRIBE and READ", call_timeout)?;
            let Some(count) = count else { return Err(TopicReadError::Missing(name.to_owned())) };
            partitions.extend((0..count.partitions).map(|partition| (name.to_owned(), partition)));
        }
        let consumer = lookup.into_consumer();
        let mut assignment = TopicPartitionList::new();
        for (topic, partition) in &partitions {
            assignment.add_partition_offset(topic, *partition, Offset::Beginning).map_err(failed)?;
        }
        consumer.assign(&assignment).map_err(failed)?;
        Ok(TopicReader { consumer, partitions, call_timeout })
    }

    /// Of all topics together.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The next record, or nothing where none came within `wait`.
    ///
    /// # Errors
    /// [`ClientError`] where nothing more can be read: it is for good. Faults that pass are logged.
    pub fn next(&self, wait: Duration) -> Result<Option<ReadRecord>, ClientError> {
        match self.consumer.poll(wait) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => Ok(Some(record(&message))),
            Some(Err(error)) if rights::may_not(&error) => Err(ClientError::new(self.may_not_read(), error)),
            Some(Err(error)) if is_final(&error) => Err(failed(error)),
            Some(Err(error)) => {
                self.consumer.context().error(&error, "reading");
                Ok(None)
            }
        }
    }

    /// That a right is missing. Which topic's is not told.
    fn may_not_read(&self) -> String {
        let topics: BTreeSet<&str> = self.partitions.iter().map(|(topic, _)| topic.as_str()).collect();
        rights::may_not_read(&topics.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// Where the partitions end now: an open transaction and what stands behind it are beyond the end.
    ///
    /// # Errors
    /// [`ClientError`] where a partition's leader does not answer within the call's time.
    pub fn ends(&self) -> Result<TopicEnds, ClientError> {
        let mut ends = HashMap::new();
        for (topic, partition) in &self.partitions {
            let (low, high) = self.consumer.fetch_watermarks(topic, *partition, self.call_timeout).map_err(failed)?;
            if high > low {
                ends.insert((topic.clone(), *partition), high);
            }
        }
        Ok(TopicEnds(ends))
    }

    /// Whether everything below `ends` has been given out.
    ///
    /// # Errors
    /// [`ClientError`] where librdkafka does not tell its positions.
    pub fn has_reached(&self, ends: &TopicEnds) -> Result<bool, ClientError> {
        let positions = self.consumer.position().map_err(failed)?;
        Ok(ends.0.iter().all(|((topic, partition), end)| {
            let position = positions.find_partition(topic, *partition).and_then(|element| element.offset().to_raw());
            position.is_some_and(|position| position >= *end)
        }))
    }
}

/// librdkafka recovers by itself from everything but these.
fn is_final(error: &KafkaError) -> bool {
    // Records were deleted before they were read.
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset)
}

fn record(message: &BorrowedMessage<'_>) -> ReadRecord {
    ReadRecord {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_owned),
        value: message.payload().map(<[u8]>::to_owned),
        headers: headers(message),
        timestamp: UnixMillis(message.timestamp().to_millis().unwrap_or_default()),
    }
}

fn failed(error: KafkaError) -> ClientError {
    ClientError::new("the topics can't be read", error)
}
