//! What comes and goes of the partitions, as the one who works with them is told it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::shared_membership::{MembershipState, SharedMembership, ended};
use super::snapshot::Standing;
use crate::commit::log::OpenError;

/// Partitions with the numbers of their assignments.
pub(crate) type NumberedPartitions = Vec<(i32, u64)>;

pub enum AssignmentChange {
    Assigned(NumberedPartitions),
    /// They are another member's by now, or nobody's: what is still written for them is refused.
    Revoked(NumberedPartitions),
}

/// The changes from one subscription on. The first one has all that is owned by then. Only one subscription is served at a time,
/// the latest.
///
/// Nothing is queued: each change is the difference between what was told and what is the case. So one who is slow misses nothing
/// but detours, and a partition that has come and gone meanwhile is never heard of.
pub struct MembershipChanges {
    shared: Arc<SharedMembership>,
    observer: watch::Receiver<MembershipState>,
    number: u64,
    reported: BTreeMap<i32, u64>,
}

impl MembershipChanges {
    pub(super) fn subscribe(shared: &Arc<SharedMembership>) -> MembershipChanges {
        let (number, observer) = shared.subscribe();
        MembershipChanges { shared: shared.clone(), observer, number, reported: BTreeMap::new() }
    }

    /// The next change, waiting for one if need be. May be dropped and called again.
    ///
    /// # Errors
    /// Why there will never be another: the membership is over, or a later subscription is served. What was told before is
    /// lost with it.
    pub async fn next(&mut self) -> Result<AssignmentChange, OpenError> {
        loop {
            // Before the look: what changes between it and the wait ends that wait at once.
            self.observer.mark_unchanged();
            if let Some(change) = self.take()? {
                return Ok(change);
            }
            self.wait().await?;
        }
    }

    /// Until something is owned.
    ///
    /// # Errors
    /// Why nothing will ever be owned.
    pub(super) async fn owning(&mut self) -> Result<(), OpenError> {
        let owns = |state: &MembershipState| match &state.standing {
            Standing::Member(snapshot) => !snapshot.partitions.is_empty(),
            Standing::Failed(_) => true,
            Standing::NoMember => false,
        };
        match self.observer.wait_for(owns).await {
            Ok(state) => match &state.standing {
                Standing::Failed(reason) => Err(reason.clone()),
                Standing::NoMember | Standing::Member(_) => Ok(()),
            },
            Err(_) => Err(ended()),
        }
    }

    /// # Errors
    /// [`OpenError`] once the member has ended.
    async fn wait(&mut self) -> Result<(), OpenError> {
        self.observer.changed().await.map_err(|_| ended())
    }

    /// # Errors
    /// [`OpenError::Again`] where somebody else has subscribed since; else as `next_change`.
    fn take(&mut self) -> Result<Option<AssignmentChange>, OpenError> {
        let (number, reported) = (self.number, &mut self.reported);
        self.shared.with_state(|state| {
            if state.subscription != Some(number) {
                return Err(OpenError::Again("the partitions have been acquired anew".into()));
            }
            state.next_change(reported)
        })
    }
}

impl Drop for MembershipChanges {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.number);
    }
}

impl MembershipState {
    /// What is to be told next to one who knows what was `reported`.
    ///
    /// # Errors
    /// Why there will never be another.
    fn next_change(&self, reported: &mut BTreeMap<i32, u64>) -> Result<Option<AssignmentChange>, OpenError> {
        let stays = match &self.standing {
            Standing::Failed(reason) => return Err(reason.clone()),
            Standing::NoMember => BTreeMap::new(),
            Standing::Member(snapshot) => snapshot.partitions.clone(),
        };
        let gone: NumberedPartitions = difference(reported, &stays);
        // First: a partition that was lost and has come back is both, under two numbers.
        if !gone.is_empty() {
            reported.retain(|partition, number| stays.get(partition) == Some(number));
            return Ok(Some(AssignmentChange::Revoked(gone)));
        }
        let come = difference(&stays, reported);
        *reported = stays;
        Ok((!come.is_empty()).then_some(AssignmentChange::Assigned(come)))
    }
}

/// What is in `these` and not in `those`.
fn difference(these: &BTreeMap<i32, u64>, those: &BTreeMap<i32, u64>) -> NumberedPartitions {
    let missing = |(partition, number): &(&i32, &u64)| those.get(*partition) != Some(*number);
    these.iter().filter(missing).map(|(partition, number)| (*partition, *number)).collect()
}
