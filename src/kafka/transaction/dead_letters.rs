//! Dead letters as Kafka records: both logs write them with whatever they can't publish or answer.

use super::record::{RECORD_OVERHEAD, Record};
use crate::avro::encode::Encoders;
use crate::model::dead_letter::DeadLetter;
use crate::model::time::UnixMillis;

/// The topic of the dead letters, and the largest record that it takes.
pub struct DeadLetterTopic<'a> {
    pub topic: &'a str,
    pub limit: usize,
}

impl DeadLetterTopic<'_> {
    /// Dead letters must always fit: one that does not is cut further.
    ///
    /// # Errors
    /// That of `send`.
    pub fn write<E>(
        &self,
        letter: &DeadLetter,
        encoders: &Encoders,
        now: UnixMillis,
        buffer: &mut Vec<u8>,
        send: &mut impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = letter.promoter.as_ref().map(|promoter| promoter.key().as_bytes());
        let room = self.limit.saturating_sub(RECORD_OVERHEAD + key.map_or(0, <[u8]>::len));
        let mut letter = encoders.shown(letter);
        loop {
            buffer.clear();
            match encoders.dead_letter(&letter, buffer) {
                Ok(()) if buffer.len() <= room || letter.is_smallest() => break,
                Ok(()) => {
                    // Each round cuts at least a byte, so this ends with none at the latest.
                    let raw_bytes = letter.raw.len().saturating_sub(buffer.len() - room);
                    letter = letter.cut_to(raw_bytes);
                }
                Err(error) => {
                    tracing::error!(%error, reason = letter.reason, "dead letter can't be encoded");
                    // An error would come again with each attempt, and hold up everything that stands in the batch with it.
                    return Ok(());
                }
            }
        }
        send(Record { topic: self.topic, partition: None, key, headers: &[], value: Some(buffer), timestamp: now })
    }
}
