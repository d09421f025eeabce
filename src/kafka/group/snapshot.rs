//! What this process owns in a group, as of one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::consumer::ConsumerGroupMetadata;
use tokio_util::sync::CancellationToken;

use super::member_id::MemberId;
use crate::commit::log::OpenError;

/// What this process owns in its group, as of one callback of librdkafka. What is written for one of the partitions goes with
/// the metadata that stands beside it.
pub struct MembershipSnapshot {
    pub metadata: Arc<ConsumerGroupMetadata>,
    /// What the same metadata says.
    pub member: MemberId,
    /// Of the group's topic, each with its number: that counts the assignments of partitions to this process, so a partition
    /// which is lost and comes back has another one, and a partition which stays keeps its own.
    pub partitions: BTreeMap<i32, u64>,
    /// Cancelled when the membership itself is lost: the group may have given the partitions to others without asking.
    pub lost: CancellationToken,
}

impl MembershipSnapshot {
    /// Whether the partition is still owned, as it was assigned under that number.
    pub fn owns(&self, partition: i32, number: u64) -> bool {
        self.partitions.get(&partition) == Some(&number)
    }
}

/// How this process stands in its group.
#[derive(Clone)]
pub enum Standing {
    /// It has not joined yet, or has lost its place and joins again.
    NoMember,
    Member(Arc<MembershipSnapshot>),
    /// Out for good: only a new process can join again.
    Failed(OpenError),
}
