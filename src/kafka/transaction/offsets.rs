//! The offsets that go with a transaction.

use std::sync::Arc;

use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::group::snapshot::MembershipSnapshot;

/// What is sent along with the records: offsets of partitions that are owned, in the name of whom they are.
pub struct OwnedOffsets {
    pub owner: Arc<MembershipSnapshot>,
    /// The topic that is assigned.
    pub topic: String,
    pub committed: Vec<CommittedOffset>,
}

/// How far a partition is consumed.
pub struct CommittedOffset {
    pub partition: i32,
    pub offset: i64,
    /// Kept with the offset; may be empty.
    pub metadata: String,
}

impl OwnedOffsets {
    /// As librdkafka takes them.
    ///
    /// # Errors
    /// Where librdkafka takes no such offset.
    pub(super) fn list(&self) -> KafkaResult<TopicPartitionList> {
        let mut offsets = TopicPartitionList::new();
        for CommittedOffset { partition, offset, metadata } in &self.committed {
            let mut element = offsets.add_partition(&self.topic, *partition);
            element.set_offset(Offset::Offset(*offset))?;
            if !metadata.is_empty() {
                element.set_metadata(metadata);
            }
        }
        Ok(offsets)
    }
}
