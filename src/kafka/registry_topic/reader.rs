//! Reads the registry topic from its beginning to where it ends now.

use std::time::{Duration, Instant};

use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::topic_reader::{CALL_TIMEOUT, ReadRecord, TopicEnds, TopicReadError, TopicReader};
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;

const POLL: Duration = Duration::from_millis(100);

/// Why the registry can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RegistryReadError {
    #[error(
        "topic {0} does not exist: a connector makes it when it runs for the first time; is topics.prefix as that one's?"
    )]
    Missing(String),
    #[error(transparent)]
    Topic(TopicReadError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("topic {0} could not be read to its end in time")]
    TooLate(String),
}

impl From<TopicReadError> for RegistryReadError {
    fn from(error: TopicReadError) -> RegistryReadError {
        match error {
            TopicReadError::Missing(topic) => RegistryReadError::Missing(topic),
            error => RegistryReadError::Topic(error),
        }
    }
}

/// Gives the committed records one by one; of those with one key the last counts. All calls block.
pub struct RegistryReader {
    reader: TopicReader,
    ends: TopicEnds,
    topic: String,
    until: Instant,
}

impl RegistryReader {
    /// Given up at `until`.
    ///
    /// # Errors
    /// [`RegistryReadError`] where the topic is missing or refused, or the brokers do not answer in time.
    pub fn open(settings: &Settings, until: Instant) -> Result<RegistryReader, RegistryReadError> {
        let topic = settings.topics.registry.clone();
        // librdkafka takes none for "for ever".
        let left = until.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), CALL_TIMEOUT);
        let reader = TopicReader::open(settings, &[&topic], left)?;
        let ends = reader.ends()?;
        Ok(RegistryReader { reader, ends, topic, until })
    }

    /// The next record, or nothing where there are no more. What is written meanwhile may come along.
    ///
    /// # Errors
    /// [`RegistryReadError`] where it can't be read on, or its end is not reached in time.
    pub fn next_record(&self) -> Result<Option<ReadRecord>, RegistryReadError> {
        loop {
            if let Some(record) = self.reader.next(POLL)? {
                return Ok(Some(record));
            }
            if self.reader.has_reached(&self.ends)? {
                return Ok(None);
            }
            if Instant::now() >= self.until {
                return Err(RegistryReadError::TooLate(self.topic.clone()));
            }
        }
    }

    /// How many the topic has.
    pub fn partitions(&self) -> i32 {
        i32::try_from(self.reader.partition_count()).unwrap_or(i32::MAX)
    }

    /// Whether a record of `promoter` belongs to `partition`: elsewhere whoever owns the promoter does not see it.
    pub fn is_in_place(&self, promoter: &Promoter, partition: i32) -> bool {
        Shard::of(promoter, self.partitions()).0 == partition
    }
}
