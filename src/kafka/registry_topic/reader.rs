//! Reads the registry topic from its beginning to where it ends now.

use std::time::Instant;

use crate::avro::promoter::RegistryRecord;
use crate::clock;
use crate::kafka::client::settings::Settings;
use crate::kafka::topics::reader::{ReadFrom, ReadRecord, TopicEnds, TopicReadError};
use crate::kafka::topics::whole::WholeTopic;
use crate::model::promoter::Promoter;
use crate::model::request::record::is_json;
use crate::model::shard::Shard;

/// Why the registry can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RegistryReadError {
    #[error(
        "topic {0} does not exist: a connector makes it when it runs for the first time, and topics create does; is topics.prefix as that one's?"
    )]
    Missing(String),
    #[error(transparent)]
    Topic(TopicReadError),
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
pub struct RegistryReader(WholeTopic);

impl RegistryReader {
    /// Given up at `until`.
    ///
    /// # Errors
    /// [`RegistryReadError`] where the topic is missing or refused, or the brokers do not answer in time.
    pub fn open(settings: &Settings, until: Instant) -> Result<RegistryReader, RegistryReadError> {
        Ok(RegistryReader(WholeTopic::open(settings, &settings.topics.registry, until)?))
    }

    /// Only the partition in which the records of `promoter` stand.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_promoter(
        settings: &Settings,
        promoter: &Promoter,
        until: Instant,
    ) -> Result<RegistryReader, RegistryReadError> {
        let topic = &settings.topics.registry;
        Ok(RegistryReader(WholeTopic::of_promoter(settings, topic, promoter, ReadFrom::Beginning, until)?))
    }

    /// The next record, or nothing where there are no more. What is written meanwhile may come along.
    ///
    /// # Errors
    /// [`RegistryReadError`] where it can't be read on, or its end is not reached in time.
    pub fn next_record(&self) -> Result<Option<ReadRecord>, RegistryReadError> {
        Ok(self.0.next_record()?)
    }

    /// Where the topic ends now.
    ///
    /// # Errors
    /// [`RegistryReadError`] where the brokers do not tell.
    pub fn ends_now(&self, settings: &Settings) -> Result<TopicEnds, RegistryReadError> {
        Ok(self.0.ends_now(settings)?)
    }

    /// How many records, with marks of transactions among them, stand before `ends` that were not given.
    ///
    /// # Errors
    /// [`RegistryReadError`] where librdkafka does not tell its positions.
    pub fn count_left(&self, ends: &TopicEnds) -> Result<u64, RegistryReadError> {
        Ok(self.0.count_left(ends)?)
    }

    /// As [`next_record`](Self::next_record), up to `ends`.
    ///
    /// # Errors
    /// As there.
    pub fn next_before(&self, ends: &TopicEnds) -> Result<Option<ReadRecord>, RegistryReadError> {
        Ok(self.0.next_before(ends)?)
    }

    /// How many the topic has.
    pub fn partitions(&self) -> i32 {
        self.0.partitions()
    }

    /// Whether a record of `promoter` belongs to `partition`: elsewhere whoever owns the promoter does not see it.
    pub fn is_in_place(&self, promoter: &Promoter, partition: i32) -> bool {
        Shard::of(promoter, self.partitions()).0 == partition
    }
}

/// A record that was read just now, as its decoder takes it.
pub(crate) fn registry_record(record: &ReadRecord) -> RegistryRecord<'_> {
    RegistryRecord {
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        is_json: is_json(&record.headers),
        timestamp: record.timestamp,
        read_at: clock::now(),
    }
}
