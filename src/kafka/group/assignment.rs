//! What a group has given to this instance.

use std::sync::Arc;

use rdkafka::consumer::ConsumerGroupMetadata;
use tokio_util::sync::CancellationToken;

use super::member_id::MemberId;
use crate::commit::log::OpenError;

/// What the group has given to this instance, from one rebalance to the next.
pub struct Assignment {
    /// Counts the assignments of this process.
    pub number: u64,
    /// Partitions of the group's topic.
    pub partitions: Vec<i32>,
    /// Of the generation in which they were assigned.
    pub metadata: ConsumerGroupMetadata,
    /// What the same metadata says.
    pub member: MemberId,
    /// Cancelled when the partitions are to be given back.
    pub revoked: CancellationToken,
}

/// What an observer of the group sees.
#[derive(Clone)]
pub enum MembershipState {
    /// Joining, or between two assignments.
    Waiting,
    Assigned(Arc<Assignment>),
    /// Out for good: only a new process can join again.
    Failed(OpenError),
}
