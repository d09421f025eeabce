//! Which shards the group has given to this instance, and how they are taken over.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::opener::FactsLogOpener;
use super::takeover::Takeover;
use crate::commit::log::{LogError, OpenError, OwnershipChange, ShardOwnership};
use crate::commit::queue::FenceSender;
use crate::kafka::group::changes::{AssignmentChange, MembershipChanges, NumberedPartitions};
use crate::kafka::group::membership::GroupMembership;
use crate::model::fence::Fence;
use crate::model::refusal::EventRefusal;
use crate::model::shard::{AssignedShard, Shard};
use crate::model::state::State;

pub(super) struct FactsOwnership {
    pub opener: Arc<FactsLogOpener>,
    pub membership: Arc<GroupMembership>,
    pub changes: MembershipChanges,
    /// Of the registry, and of the state.
    pub partitions: i32,
    /// What the topics do not take.
    pub refusal: EventRefusal,
}

impl FactsOwnership {
    /// The own fence for `shards`, confirmed, before it has inherited anything.
    fn fence(&self, shards: &[AssignedShard]) -> Result<Fence, OpenError> {
        if shards.iter().any(|assigned| assigned.shard.0 >= self.partitions) {
            // The next opening counts them anew, and compares that with the fences.
            return Err(OpenError::Again("the registry has got more partitions than the log was opened with".into()));
        }
        let lost = || OpenError::Again("the partitions were lost before the log was open".into());
        let owner = self.membership.current().ok_or_else(lost)?;
        Ok(self.opener.fence(&owner.member, self.partitions))
    }
}

impl ShardOwnership for FactsOwnership {
    fn next(&mut self) -> BoxFuture<'_, OwnershipChange> {
        Box::pin(async {
            match self.changes.next().await {
                Ok(AssignmentChange::Assigned(partitions)) => OwnershipChange::Assigned(shards(partitions)),
                Ok(AssignmentChange::Revoked(partitions, under_way)) => {
                    OwnershipChange::Revoked(shards(partitions), under_way)
                }
                Err(error) => OwnershipChange::Failed(error),
            }
        })
    }

    fn restore(
        &self,
        shards: Vec<AssignedShard>,
        fences: FenceSender,
        given_up: CancellationToken,
    ) -> BoxFuture<'static, Result<Vec<(AssignedShard, State)>, OpenError>> {
        let fence = match self.fence(&shards) {
            Ok(fence) => fence,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (opener, refusal, runtime) = (self.opener.clone(), self.refusal.clone(), Handle::current());
        let restoring = tokio::task::spawn_blocking(move || {
            let takeover = Takeover {
                settings: &opener.settings,
                shards: &shards,
                fences: &fences,
                runtime: &runtime,
                given_up: &given_up,
            };
            let mut states = takeover.run(fence)?;
            states.iter_mut().for_each(|(_, state)| state.refuse(refusal.clone()));
            Ok(states)
        });
        Box::pin(async move {
            restoring.await.unwrap_or_else(|error| Err(OpenError::Again(LogError::because("opening the log", error))))
        })
    }
}

fn shards(partitions: NumberedPartitions) -> Vec<AssignedShard> {
    partitions.into_iter().map(|(partition, number)| AssignedShard { shard: Shard(partition), number }).collect()
}
