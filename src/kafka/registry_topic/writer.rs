//! Writes records of the registry topic: each once, in the partition of its promoter, acknowledged by all in-sync replicas.

use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::avro::encode::EncodeError;
use crate::avro::promoter::PromoterEncoder;
use crate::avro::rewind::rewind_to_json;
use crate::kafka::client::acknowledged_producer::{AcknowledgedProducer, PutError, QueueRoom};
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::model::promoter::Promoter;
use crate::model::request::record::{CONTENT_TYPE, JSON_TYPE};
use crate::model::shard::Shard;
use crate::model::time::UnixMillis;
use crate::registry::discovered::discovery_key;
use crate::registry::record::RegistryContent;
use crate::registry::rewind::rewind_key;

/// What the topic takes.
const RECORD: &str = "record";
/// How long a full queue, or one that empties, is waited for at once.
const ROOM_WAIT: Duration = Duration::from_millis(50);

/// Why records were not written, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum RegistryWriteError {
    #[error(transparent)]
    Put(#[from] PutError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("a rewind is not written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("topic {0} did not take all records in time")]
    TooLate(String),
}

/// Of a registry topic that exists. All calls block.
pub struct RegistryWriter {
    producer: AcknowledgedProducer,
    encoder: PromoterEncoder,
    partitions: i32,
    until: Instant,
    value: Vec<u8>,
}

impl RegistryWriter {
    /// Of the topic's `partitions`. What is not acknowledged by `until` counts as not written.
    ///
    /// # Errors
    /// [`ClientError`] where librdkafka makes no producer of the settings.
    pub fn open(
        settings: &Settings,
        encoder: PromoterEncoder,
        partitions: i32,
        until: Instant,
    ) -> Result<RegistryWriter, ClientError> {
        let bound = until.saturating_duration_since(Instant::now());
        let setup = settings.registry_producer_config(bound);
        let producer = AcknowledgedProducer::open(&setup, &settings.topics.registry)?;
        Ok(RegistryWriter { producer, encoder, partitions, until, value: Vec::new() })
    }

    /// Puts a record, or a tombstone, which is written at `now`; waits only where many are under way.
    ///
    /// # Errors
    /// [`RegistryWriteError`] where the topic refuses a record, be it an earlier one, or the time is over.
    pub fn put(
        &mut self,
        promoter: &Promoter,
        content: &RegistryContent,
        now: UnixMillis,
    ) -> Result<(), RegistryWriteError> {
        let (encoder, value) = (&self.encoder, &mut self.value);
        let (key, has_value) = match content {
            RegistryContent::Record(record) => {
                record.iter().try_for_each(|record| encoder.encode(promoter, record, value))?;
                (promoter.key().to_owned(), record.is_some())
            }
            RegistryContent::Discovery(found) => {
                found.iter().try_for_each(|found| encoder.encode_discovered(promoter, found, now, value))?;
                (discovery_key(promoter), found.is_some())
            }
            RegistryContent::Rewind(feed, rewind) => {
                let json = rewind.map(|rewind| rewind_to_json(promoter, *feed, &rewind, now)).transpose()?;
                return self.put_bytes(promoter, &rewind_key(promoter, *feed), json.as_deref(), json_headers());
            }
        };
        let value = has_value.then_some(self.value.as_slice());
        self.put_bytes(promoter, &key, value, OwnedHeaders::new())
    }

    /// # Errors
    /// [`RegistryWriteError`] where the brokers refuse an earlier record, or the queue has no room in time.
    fn put_bytes(
        &self,
        promoter: &Promoter,
        key: &str,
        value: Option<&[u8]>,
        headers: OwnedHeaders,
    ) -> Result<(), RegistryWriteError> {
        loop {
            // All keys of a promoter stand in its own partition.
            let mut record =
                BaseRecord::to(self.producer.topic()).key(key).partition(Shard::of(promoter, self.partitions).0);
            record.payload = value;
            record.headers = Some(headers.clone());
            match self.producer.send(record, RECORD)? {
                QueueRoom::Taken => return Ok(self.producer.serve(Duration::ZERO, RECORD)?),
                QueueRoom::Full => self.wait()?,
            }
        }
    }

    /// How many records the topic has taken.
    pub fn acknowledged(&self) -> u64 {
        self.producer.acknowledged()
    }

    /// Waits until the topic has taken `records`, all that were put; `progress` is told meanwhile how many it has.
    ///
    /// # Errors
    /// As [`put`](Self::put): nobody knows then which of the records that are not acknowledged are taken.
    pub fn finish(&self, records: u64, mut progress: impl FnMut(u64)) -> Result<(), RegistryWriteError> {
        while self.acknowledged() < records {
            self.wait()?;
            progress(self.acknowledged());
        }
        Ok(())
    }

    /// # Errors
    /// [`RegistryWriteError::TooLate`] when the time is up; else why the brokers refuse a record.
    fn wait(&self) -> Result<(), RegistryWriteError> {
        if Instant::now() >= self.until {
            return Err(RegistryWriteError::TooLate(self.producer.topic().to_owned()));
        }
        Ok(self.producer.serve(ROOM_WAIT, RECORD)?)
    }
}

/// By which readers of the topic know the value.
fn json_headers() -> OwnedHeaders {
    OwnedHeaders::new().insert(Header { key: CONTENT_TYPE, value: Some(JSON_TYPE) })
}
