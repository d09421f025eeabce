//! The partitions of one topic as something that is held as a whole, from one change of them to the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::changes::AssignmentChange;
use super::membership::GroupMembership;
use super::observer::OwnershipObserver;
use super::snapshot::MembershipSnapshot;
use crate::commit::log::OpenError;
use crate::kafka::client::settings::Settings;
use crate::telemetry::health::PipelineHealth;

/// How long a refused member waits to be told about the newer generation before it tries again with what it has.
const REASSIGNMENT_WAIT: Duration = Duration::from_secs(60);

/// What the group has given to this instance, from one change to the next. A generation that changes nothing of it is none.
pub struct Assignment {
    /// Of the group's topic: all that is owned, with the numbers under which it was assigned.
    numbered: BTreeMap<i32, u64>,
    membership: Arc<GroupMembership>,
    /// In whose name was written last.
    used: Mutex<Option<Arc<MembershipSnapshot>>>,
    /// Cancelled when something of it is this instance's no more, and when more has come.
    pub revoked: CancellationToken,
}

/// Assignments, one after the other. The next one is there as soon as the last was revoked, unless the broker has refused it. That
/// says that a newer generation exists, of which the member has not heard yet, and so another snapshot is waited for,
/// [`REASSIGNMENT_WAIT`] at most.
pub struct WholeAssignments {
    membership: Arc<GroupMembership>,
    /// Ends what watches over the assignment in use.
    watch: Mutex<Option<DropGuard>>,
    latest: Mutex<Option<Arc<Assignment>>>,
    /// The last that the broker refused: only a later one counts.
    refused: Mutex<Option<Arc<MembershipSnapshot>>>,
}

impl Assignment {
    /// The partitions that are owned.
    pub fn partitions(&self) -> Vec<i32> {
        self.numbered.keys().copied().collect()
    }

    /// In whose name is written now.
    ///
    /// # Errors
    /// [`OpenError::Again`] where this is not what is owned any more.
    pub fn owner(&self) -> Result<Arc<MembershipSnapshot>, OpenError> {
        let now = self.membership.current().filter(|now| now.partitions == self.numbered);
        let now = now.ok_or_else(|| OpenError::Again("the partitions were revoked".into()))?;
        *self.used.lock() = Some(now.clone());
        Ok(now)
    }
}

impl WholeAssignments {
    /// In `group`, on the partitions of `topic`. Nobody joins before the first [`acquire`](Self::acquire).
    pub fn new(
        group: String,
        topic: String,
        observer: OwnershipObserver,
        health: Arc<PipelineHealth>,
    ) -> WholeAssignments {
        let membership = Arc::new(GroupMembership::new(group, topic, observer, health));
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
        let mut changes = self.membership.acquire(settings).await?;
        if let Some(refused) = refused {
            self.outlive(&refused).await?;
        }
        let snapshot = loop {
            if let AssignmentChange::Assigned(_) = changes.next().await?
                && let Some(snapshot) = self.membership.current()
                && !snapshot.partitions.is_empty()
            {
                break snapshot;
            }
        };
        let assignment = Arc::new(Assignment {
            numbered: snapshot.partitions.clone(),
            membership: self.membership.clone(),
            used: Mutex::default(),
            revoked: CancellationToken::new(),
        });
        *self.latest.lock() = Some(assignment.clone());
        self.watch(assignment.clone(), snapshot);
        Ok(assignment)
    }

    /// Whether this process is one of the group now.
    pub fn is_member(&self) -> bool {
        self.membership.current().is_some()
    }

    /// The broker has refused what was written last for the latest assignment: a newer generation may own the partitions.
    pub fn refuse(&self) {
        *self.refused.lock() = self.latest.lock().as_ref().and_then(|latest| latest.used.lock().clone());
    }

    /// Says that nothing is written under the assignment any more.
    pub fn release(&self) {
        self.watch.lock().take();
    }

    /// Should the refusal have had another cause than a newer generation, the snapshot is tried again after a while.
    ///
    /// # Errors
    /// [`OpenError::Again`] where none comes in time, or why none ever will.
    async fn outlive(&self, refused: &Arc<MembershipSnapshot>) -> Result<(), OpenError> {
        let changed = tokio::time::timeout(REASSIGNMENT_WAIT, self.membership.changed(refused)).await;
        *self.refused.lock() = None;
        changed
            .unwrap_or_else(|_| Err(OpenError::Again("no new assignment came after the last one was refused".into())))
    }

    /// Revokes the assignment as soon as something else is owned than in its first `snapshot`.
    fn watch(&self, assignment: Arc<Assignment>, mut snapshot: Arc<MembershipSnapshot>) {
        let released = CancellationToken::new();
        *self.watch.lock() = Some(released.clone().drop_guard());
        let membership = self.membership.clone();
        tokio::spawn(async move {
            loop {
                let changed = tokio::select! {
                    () = released.cancelled() => return,
                    changed = membership.changed(&snapshot) => changed,
                };
                match membership.current().filter(|now| changed.is_ok() && now.partitions == assignment.numbered) {
                    Some(now) => snapshot = now,
                    None => return assignment.revoked.cancel(),
                }
            }
        });
    }
}
