//! What the registry topic says, record by record.

use tokio::time::Instant;

use super::record::{PromoterRecord, RegistryContent, RegistryKey};
use crate::model::dead_letter::DeadLetter;
use crate::model::promoter::Promoter;

/// The reason of a record that stands in a partition where nobody looks for its promoter.
pub(crate) const MISPLACED: &str = "misplaced";
/// Why that is so, for people.
pub(crate) const MISPLACED_DETAIL: &str = "its key belongs to another partition; its writer has to partition by murmur2, as Java clients do \
                                    (librdkafka: partitioner=murmur2_random)";

/// One record of the registry topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryEvent {
    /// What it says of a promoter, in place of what was said before under its key.
    Said { promoter: Promoter, content: RegistryContent },
    /// It changes nothing.
    Unreadable {
        /// Where it stands in its partition.
        offset: i64,
        /// Boxed, for it is large and rare.
        letter: Box<DeadLetter>,
    },
}

/// Events of one shard that came within moments of each other, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBurst {
    /// When the first of them came: whom it names begins "now" there, however long it then waits for whoever acts on it.
    pub received: Instant,
    pub events: Vec<RegistryEvent>,
}

impl RegistryEvent {
    /// Under whose key it says something, and under which of them.
    pub fn key(&self) -> Option<(&Promoter, RegistryKey)> {
        match self {
            RegistryEvent::Said { promoter, content } => Some((promoter, content.key())),
            RegistryEvent::Unreadable { .. } => None,
        }
    }

    /// The record that registers a promoter.
    pub(super) fn registering(&self) -> Option<&PromoterRecord> {
        match self {
            RegistryEvent::Said { content: RegistryContent::Record(record), .. } => record.as_ref(),
            RegistryEvent::Said { .. } | RegistryEvent::Unreadable { .. } => None,
        }
    }

    /// The raw bytes that it carries: none of a record that says something.
    pub fn raw_bytes(&self) -> usize {
        match self {
            RegistryEvent::Said { .. } => 0,
            RegistryEvent::Unreadable { letter, .. } => letter.raw.len(),
        }
    }

    /// The same with at most `bytes_max` raw bytes.
    pub(crate) fn cut_to(self, bytes_max: usize) -> RegistryEvent {
        match self {
            RegistryEvent::Unreadable { offset, letter } => {
                RegistryEvent::Unreadable { offset, letter: Box::new(letter.cut_to(bytes_max)) }
            }
            said @ RegistryEvent::Said { .. } => said,
        }
    }
}
