//! Which shards the group has given to this instance, and how they are taken over.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::opener::FactsLogOpener;
use super::takeover::Takeover;
use crate::commit::log::{LogError, OpenError, OwnershipChange, RestoredShard, ShardOwnership};
use crate::commit::queue::FenceSender;
use crate::kafka::group::changes::{AssignmentChange, MembershipChanges, NumberedPartitions};
use crate::kafka::group::membership::GroupMembership;
use crate::kafka::registry_topic::follower::{FollowedEvents, RegistryFollower};
use crate::model::fence::Fence;
use crate::model::refusal::EventRefusal;
use crate::model::shard::{AssignedShard, Shard};

pub(super) struct FactsOwnership {
    pub opener: Arc<FactsLogOpener>,
    pub membership: Arc<GroupMembership>,
    pub changes: MembershipChanges,
    /// Of the registry, and of the state.
    pub partitions: i32,
    /// What the topics do not take.
    pub refusal: EventRefusal,
    pub registry: RegistryFollower,
    pub registered: FollowedEvents,
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
            tokio::select! {
                // What is to be given back first, for the group waits for it.
                biased;
                change = self.changes.next() => match change {
                    Ok(AssignmentChange::Assigned(partitions)) => OwnershipChange::Assigned(shards(partitions)),
                    Ok(AssignmentChange::Revoked(partitions, under_way)) => {
                        let revoked = shards(partitions);
                        revoked.iter().for_each(|assigned| self.registry.leave(*assigned));
                        OwnershipChange::Revoked(revoked, under_way)
                    }
                    Err(error) => OwnershipChange::Failed(error),
                },
                (assigned, events) = self.registered.next() => OwnershipChange::Registered(assigned, events),
            }
        })
    }

    fn restore(
        &self,
        shards: Vec<AssignedShard>,
        fences: FenceSender,
        given_up: CancellationToken,
    ) -> BoxFuture<'static, Result<Vec<RestoredShard>, OpenError>> {
        let fence = match self.fence(&shards) {
            Ok(fence) => fence,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let registered: Vec<_> = shards.iter().map(|assigned| self.registry.follow(*assigned)).collect();
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
            let states = restoring.await;
            let states =
                states.unwrap_or_else(|error| Err(OpenError::Again(LogError::because("opening the log", error))));
            let (states, registered) = (states?, futures_util::future::try_join_all(registered).await?);
            let restored = states.into_iter().zip(registered);
            Ok(restored.map(|((assigned, state), registered)| RestoredShard { assigned, state, registered }).collect())
        })
    }
}

fn shards(partitions: NumberedPartitions) -> Vec<AssignedShard> {
    partitions.into_iter().map(|(partition, number)| AssignedShard { shard: Shard(partition), number }).collect()
}
