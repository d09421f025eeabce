//! A record on its way into a transaction.

use std::sync::Arc;

use rdkafka::error::KafkaResult;

use crate::model::request::record::Header;
use crate::model::time::UnixMillis;

/// What a record of one entry costs besides its key and value: the batch's header (61 bytes) and its own fields.
pub(crate) const RECORD_OVERHEAD: usize = 100;

/// One record on its way to the producer.
pub struct Record<'a> {
    pub topic: &'a str,
    /// By the hash of the key, if not given.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub headers: &'a [Header],
    /// Nothing is a tombstone.
    pub value: Option<&'a [u8]>,
    pub timestamp: UnixMillis,
}

/// Takes the records of a transaction one by one, until it refuses one.
pub(crate) type RecordSink<'a> = &'a mut dyn FnMut(Record<'_>) -> KafkaResult<()>;

/// Tells the latest time that a record may carry now. Kafka refuses one that is an hour ahead of the broker, and with it
/// the whole transaction, again and again.
pub(crate) type RecordClock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;
