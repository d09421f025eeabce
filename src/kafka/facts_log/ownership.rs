//! Which shards the group has given to this instance, and how they are taken over.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::own_fence::OwnFences;
use super::peers;
use super::takeover::{RestoredState, Takeover};
use crate::commit::log::{
    LogError, NotesReader, OpenError, OwnershipChange, Restore, RestoredShard, Restores, ShardOwnership,
};
use crate::commit::queue::FenceSender;
use crate::kafka::client::settings::Settings;
use crate::kafka::group::changes::{AssignmentChange, MembershipChanges, NumberedPartitions};
use crate::kafka::group::membership::GroupMembership;
use crate::kafka::registry_topic::follower::{FollowedEvents, RegistryFollower};
use crate::model::fence::Fence;
use crate::model::refusal::EventRefusal;
use crate::model::shard::{AssignedShard, Shard};
use crate::registry::event::RegistryEvent;

/// How long others may take to take over. They hear of it with their next heartbeats; one that stands still holds up the group for
/// its session.
const HAND_OVER_MAX: Duration = Duration::from_secs(5);

pub(super) struct FactsOwnership {
    pub settings: Settings,
    pub fences: Arc<OwnFences>,
    pub membership: Arc<GroupMembership>,
    pub changes: MembershipChanges,
    /// Of the registry, and of the state.
    pub partitions: i32,
    /// What the topics do not take.
    pub refusal: EventRefusal,
    /// Whether there is a ledger of days.
    pub tells_days: bool,
    pub registry: RegistryFollower,
    pub registered: FollowedEvents,
}

/// What the takeover finds of one shard.
type StateReceiver = oneshot::Receiver<RestoredState>;

impl FactsOwnership {
    /// Those that are assigned, unless the registry has got more partitions than the log was opened with: then the next opening
    /// counts them anew, and compares that with the fences.
    fn assigned(&self, partitions: NumberedPartitions) -> OwnershipChange {
        match partitions.iter().any(|(partition, _)| *partition >= self.partitions) {
            true => OwnershipChange::Failed(OpenError::Again(
                "the registry has got more partitions than the log was opened with".into(),
            )),
            false => OwnershipChange::Assigned(shards(partitions)),
        }
    }

    /// The own fence, confirmed, before it has inherited anything.
    ///
    /// # Errors
    /// [`OpenError::Again`] where this process is no member any more.
    fn fence(&self) -> Result<Fence, OpenError> {
        let owner = self.membership.current().ok_or_else(lost)?;
        Ok(self.fences.next(&owner.member, self.partitions))
    }

    /// Takes the shards over where that may block, and tells of each by itself.
    fn take_over(
        &self,
        shards: Vec<AssignedShard>,
        fence: Fence,
        fences: FenceSender,
        given_up: CancellationToken,
    ) -> Vec<StateReceiver> {
        let (senders, receivers): (HashMap<_, _>, Vec<_>) = shards
            .iter()
            .map(|assigned| {
                let (sender, receiver) = oneshot::channel();
                ((*assigned, sender), receiver)
            })
            .unzip();
        let (settings, membership) = (self.settings.clone(), self.membership.clone());
        let (refusal, tells_days, runtime) = (self.refusal.clone(), self.tells_days, Handle::current());
        // librdkafka's calls block, and a takeover may wait for minutes.
        tokio::task::spawn_blocking(move || {
            let senders = RefCell::new(senders);
            let tell = |assigned: AssignedShard, restored: RestoredState| {
                let restored = restored.map(|mut state| {
                    state.refuse(refusal.clone());
                    state.tell_days(tells_days);
                    state
                });
                // Whoever waited may have given up.
                if let Some(waiting) = senders.borrow_mut().remove(&assigned) {
                    drop(waiting.send(restored));
                }
            };
            let taken_over = membership.consumer().ok_or_else(lost).and_then(|member| {
                let takeover = Takeover {
                    settings: &settings,
                    member: &member,
                    shards: &shards,
                    fences: &fences,
                    runtime: &runtime,
                    given_up: &given_up,
                    tell: &tell,
                };
                takeover.run(fence)
            });
            if let Err(error) = taken_over {
                shards.iter().for_each(|assigned| tell(*assigned, Err(error.clone())));
            }
        });
        receivers
    }
}

impl ShardOwnership for FactsOwnership {
    fn next(&mut self) -> BoxFuture<'_, OwnershipChange> {
        Box::pin(async {
            tokio::select! {
                // What is gone first, for nothing of it counts any more.
                biased;
                change = self.changes.next() => match change {
                    Ok(AssignmentChange::Assigned(partitions)) => self.assigned(partitions),
                    Ok(AssignmentChange::Revoked(partitions)) => {
                        let revoked = shards(partitions);
                        // Here, and not by whoever is told: nothing of them may come out as news behind this.
                        revoked.iter().for_each(|assigned| self.registry.leave(*assigned));
                        OwnershipChange::Revoked(revoked)
                    }
                    Err(error) => OwnershipChange::Failed(error),
                },
                (assigned, burst) = self.registered.next() => OwnershipChange::Registered(assigned, burst),
            }
        })
    }

    fn restore(&self, shards: Vec<AssignedShard>, fences: FenceSender, given_up: CancellationToken) -> Restores {
        let fence = match self.fence() {
            Ok(fence) => fence,
            Err(error) => return shards.into_iter().map(|assigned| failed(assigned, error.clone())).collect(),
        };
        let receivers = self.take_over(shards.clone(), fence, fences, given_up);
        let restored = shards.into_iter().zip(receivers).map(|(assigned, state)| {
            // At once, beside the takeover: each is read by a client of its own.
            let registered = self.registry.follow(assigned);
            Box::pin(async move { (assigned, whole(state, registered).await) }) as Restore
        });
        restored.collect()
    }

    fn notes(&self) -> NotesReader {
        let (registry, membership) = (self.settings.topics.registry.clone(), self.membership.clone());
        let partitions = self.partitions;
        Arc::new(move || {
            let (registry, membership) = (registry.clone(), membership.clone());
            let read = move || {
                let member = membership.consumer().ok_or(LogError::from("this process is no member"))?;
                let partitions: Vec<i32> = (0..partitions).collect();
                let notes = peers::notes_by(&member, &registry, &partitions).map_err(LogError::new)?;
                Ok(notes.iter().map(|note| peers::shares_of(note)).collect())
            };
            let reading = tokio::task::spawn_blocking(read);
            Box::pin(
                async move { reading.await.unwrap_or_else(|error| Err(LogError::because("reading notes", error))) },
            )
        })
    }

    fn hand_over(&self) -> BoxFuture<'static, ()> {
        let membership = self.membership.clone();
        Box::pin(async move {
            if tokio::time::timeout(HAND_OVER_MAX, membership.hand_over()).await.is_err() {
                tracing::info!("nobody has taken over yet: what was polled is committed, and the group is left");
            }
        })
    }
}

fn lost() -> OpenError {
    OpenError::Again("the partitions were lost before the log was open".into())
}

/// A shard once both halves of it are there. That of the registry is taken last: what is said from then on is told by itself, and
/// comes to nothing where the shard is not there.
///
/// # Errors
/// That of the half that failed.
async fn whole(
    state: StateReceiver,
    registered: BoxFuture<'static, Result<Vec<RegistryEvent>, OpenError>>,
) -> Result<RestoredShard, OpenError> {
    // A panic of the takeover ends the process.
    let ended = |error| OpenError::Again(LogError::because("opening the log", error));
    let state = state.await.unwrap_or_else(|error| Err(ended(error)))?;
    Ok(RestoredShard { state, registered: registered.await? })
}

fn failed(assigned: AssignedShard, error: OpenError) -> Restore {
    Box::pin(std::future::ready((assigned, Err(error))))
}

fn shards(partitions: NumberedPartitions) -> Vec<AssignedShard> {
    partitions.into_iter().map(|(partition, number)| AssignedShard { shard: Shard(partition), number }).collect()
}
