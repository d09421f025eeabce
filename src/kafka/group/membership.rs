//! The membership of this process on the partitions of one topic: joined once, taken up anew by every opening.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::assignment::Assignment;
use super::member::GroupMember;
use crate::commit::log::OpenError;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;

/// How long a refused member waits to be told about the newer generation before it tries again with what it has.
const REASSIGNMENT_WAIT: Duration = Duration::from_secs(60);

/// How this process belongs to a group, over all openings of a log. The group is joined by the first opening and not left by
/// any: a later one takes up the assignment that there is, unless the broker has refused it. That says that a newer generation
/// exists, of which the member has not heard yet, and so a newer assignment is waited for, [`REASSIGNMENT_WAIT`] at most.
pub struct GroupMembership {
    group: String,
    topic: String,
    member: OnceCell<GroupMember>,
    /// The last assignment that the broker refused: only a later one counts.
    refused: Mutex<u64>,
}

impl GroupMembership {
    /// In `group`, on the partitions of `topic`. Nobody joins before the first [`acquire`](Self::acquire).
    pub fn new(group: String, topic: String) -> GroupMembership {
        GroupMembership { group, topic, member: OnceCell::new(), refused: Mutex::default() }
    }

    /// The current assignment, waiting for one if need be. It is in use until [`release`](Self::release).
    pub async fn acquire(&self, settings: &Settings) -> Result<Arc<Assignment>, OpenError> {
        let join = async || GroupMember::join(settings, &self.group, &self.topic);
        let member = self.member.get_or_try_init(join).await;
        let member =
            member.map_err(|error| OpenError::Stop(ClientError::new("the group can't be joined", error).into()))?;
        let refused = *self.refused.lock();
        if refused == 0 {
            return member.acquire(0).await;
        }
        // A member that was refused learns of the newer generation with its next heartbeat. Should the refusal have
        // had another cause, the assignment it has is tried again after a while.
        match tokio::time::timeout(REASSIGNMENT_WAIT, member.acquire(refused)).await {
            Ok(acquired) => acquired,
            Err(_) => {
                *self.refused.lock() = 0;
                Err(OpenError::Again("no new assignment came after the last one was refused".into()))
            }
        }
    }

    /// The broker has refused the assignment with this number: a newer generation may own the partitions.
    pub fn refuse(&self, number: u64) {
        *self.refused.lock() = number;
    }

    /// Says that nothing is written under the assignment any more.
    pub fn release(&self) {
        if let Some(member) = self.member.get() {
            member.release();
        }
    }
}
