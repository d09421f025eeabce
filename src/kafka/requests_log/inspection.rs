//! Whether a start could go on from what the state tells of answered requests: what an opening looks at ([`super`]), without a
//! record of its own and without the group.

use std::time::Instant;

use super::answered::{self, STATE_PARTITION, prefix};
use super::chunk_reader;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::settings::Settings;
use crate::kafka::topics::reader::TopicReadError;
use crate::kafka::topics::whole::WholeTopic;
use crate::model::request::answered_offsets::RestoredOffsets;

/// Of the `partitions` of `request_topic`, by the state, which is there. Given up at `until`. Blocks.
///
/// # Errors
/// [`OpenError::Stop`] where requests would be answered again, and [`OpenError::Again`] where that can't be told now.
pub fn inspect(settings: &Settings, request_topic: &str, partitions: i32, until: Instant) -> Result<(), OpenError> {
    let consumer = chunk_reader::consumer(settings)?;
    // Before anything is read: what is committed by now has left its record already.
    let committed = answered::committed(&consumer, request_topic, &(0..partitions).collect::<Vec<_>>())?;
    let restored = read(settings, request_topic, until).map_err(|error| OpenError::Again(LogError::new(error)))?;
    answered::refuse_emptied(settings, request_topic, &restored, &committed)
}

/// # Errors
/// [`TopicReadError`] where the partition can't be read to its end in time.
fn read(settings: &Settings, request_topic: &str, until: Instant) -> Result<RestoredOffsets, TopicReadError> {
    let state = WholeTopic::of_partition(settings, &settings.topics.state, STATE_PARTITION, until)?;
    let (prefix, mut restored) = (prefix(request_topic), RestoredOffsets::default());
    while let Some(record) = state.next_record()? {
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        if let Some(key) = key.and_then(|key| key.strip_prefix(&prefix)) {
            restored.take(key, record.value.as_deref());
        }
    }
    Ok(restored)
}
