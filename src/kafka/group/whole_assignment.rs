//! The partitions of one topic as something that is held as a whole, from one rebalance to the next.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::changes::{AssignmentChange, MembershipChanges};
use super::membership::GroupMembership;
use super::observer::OwnershipObserver;
use super::snapshot::MembershipSnapshot;
use crate::commit::log::OpenError;
use crate::kafka::client::settings::Settings;

/// How long a refused member waits to be told about the newer generation before it tries again with what it has.
const REASSIGNMENT_WAIT: Duration = Duration::from_secs(60);

/// What the group has given to this instance, from one change to the next.
pub struct Assignment {
    /// Of the group's topic: all that is owned.
    pub partitions: Vec<i32>,
    /// In whose name.
    pub snapshot: Arc<MembershipSnapshot>,
    /// Cancelled at any change: when something is to be given back, when more has come, and when only the generation has moved.
    pub revoked: CancellationToken,
}

/// Assignments, one after the other. The next one is there as soon as the last was revoked, unless the broker has refused it. That
/// says that a newer generation exists, of which the member has not heard yet, and so another snapshot is waited for,
/// [`REASSIGNMENT_WAIT`] at most.
pub struct WholeAssignments {
    membership: Arc<GroupMembership>,
    /// Ends what watches over the assignment in use.
    watch: Mutex<Option<DropGuard>>,
    /// In whose name the latest assignment is written for.
    latest: Mutex<Option<Arc<MembershipSnapshot>>>,
    /// The last that the broker refused: only a later one counts.
    refused: Mutex<Option<Arc<MembershipSnapshot>>>,
}

impl WholeAssignments {
    /// In `group`, on the partitions of `topic`. Nobody joins before the first [`acquire`](Self::acquire).
    pub fn new(group: String, topic: String, observer: OwnershipObserver) -> WholeAssignments {
        let membership = Arc::new(GroupMembership::new(group, topic, observer));
        WholeAssignments { membership, watch: Mutex::default(), latest: Mutex::default(), refused: Mutex::default() }
    }

    /// The current assignment, waiting for one if need be. It is in use until [`release`](Self::release).
    ///
    /// # Errors
    /// [`OpenError`] where the group can't be joined, or gives nothing any more; [`OpenError::Again`] where it was
    /// refused and no other assignment comes.
    pub async fn acquire(&self, settings: &Settings) -> Result<Arc<Assignment>, OpenError> {
        self.release();
        let refused = self.refused.lock().clone();
        let changes = self.membership.acquire(settings).await?;
        if let Some(refused) = refused {
            self.outlive(&refused).await?;
        }
        let (snapshot, changes) = self.owning(changes).await?;
        *self.latest.lock() = Some(snapshot.clone());
        let partitions = snapshot.partitions.keys().copied().collect();
        let assignment = Arc::new(Assignment { partitions, snapshot, revoked: CancellationToken::new() });
        self.watch(assignment.clone(), changes);
        Ok(assignment)
    }

    /// Whether the group has taken this process in, whatever it has given to it.
    pub fn is_member(&self) -> bool {
        self.membership.current().is_some()
    }

    /// The broker has refused the latest assignment: a newer generation may own the partitions.
    pub fn refuse(&self) {
        *self.refused.lock() = self.latest.lock().clone();
    }

    /// Says that nothing is written under the assignment any more.
    pub fn release(&self) {
        self.watch.lock().take();
    }

    /// Should the refusal have had another cause than a newer generation, the snapshot is tried again after a while.
    async fn outlive(&self, refused: &Arc<MembershipSnapshot>) -> Result<(), OpenError> {
        let changed = tokio::time::timeout(REASSIGNMENT_WAIT, self.membership.changed(refused)).await;
        *self.refused.lock() = None;
        changed
            .unwrap_or_else(|_| Err(OpenError::Again("no new assignment came after the last one was refused".into())))
    }

    /// The snapshot as soon as it has partitions, and what follows on it.
    async fn owning(
        &self,
        mut changes: MembershipChanges,
    ) -> Result<(Arc<MembershipSnapshot>, MembershipChanges), OpenError> {
        loop {
            // What is revoked before it was used is held up by nobody.
            if let AssignmentChange::Assigned(_) = changes.next().await?
                && let Some(snapshot) = self.membership.current()
                && !snapshot.partitions.is_empty()
            {
                return Ok((snapshot, changes));
            }
        }
    }

    /// Revokes the assignment at the next change, and holds the group's answer up until it is released.
    fn watch(&self, assignment: Arc<Assignment>, mut changes: MembershipChanges) {
        let released = CancellationToken::new();
        *self.watch.lock() = Some(released.clone().drop_guard());
        let membership = self.membership.clone();
        tokio::spawn(async move {
            let mut under_way = Vec::new();
            loop {
                tokio::select! {
                    () = released.cancelled() => return,
                    _ = membership.changed(&assignment.snapshot), if !assignment.revoked.is_cancelled() => {}
                    change = changes.next() => match change {
                        Ok(AssignmentChange::Revoked(_, held)) => under_way.push(held),
                        Ok(AssignmentChange::Assigned(_)) => {}
                        Err(_) => return assignment.revoked.cancel(),
                    },
                }
                assignment.revoked.cancel();
            }
        });
    }
}
