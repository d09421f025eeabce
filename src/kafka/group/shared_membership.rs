//! What the parts of a membership share: how this process stands in its group.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::consumer::ConsumerGroupMetadata;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::member_id::MemberId;
use super::observer::{ObservedOwnership, OwnershipObserver};
use super::owned_partitions::OwnedPartitions;
use super::snapshot::{MembershipSnapshot, Standing};
use crate::commit::log::OpenError;
use crate::kafka::client::context::LogContext;

/// What the membership thread, its consumer's callbacks and the subscriber share.
pub struct SharedMembership {
    pub log: LogContext,
    pub group: String,
    pub topic: String,
    /// Ends the membership, and every wait of it.
    pub stop: CancellationToken,
    /// Others are to take over what is owned. Cancelled with [`stop`](Self::stop), too.
    pub hand_over: CancellationToken,
    state: watch::Sender<MembershipState>,
    owned: Mutex<Owned>,
}

/// What is published.
pub struct MembershipState {
    pub standing: Standing,
    /// The number of the one that is served.
    pub subscription: Option<u64>,
    last_subscription: u64,
    /// Nobody takes over what is owned.
    is_alone: bool,
}

struct Owned {
    partitions: OwnedPartitions,
    /// Of the snapshots from here to the loss of the membership.
    lost: CancellationToken,
    /// Of what is assigned. What is taken away is none of it any more, though it is used until the generation ends: its next
    /// owner counts it only then.
    observed: ObservedOwnership,
}

/// This process as a member, as a callback finds it.
#[derive(Clone)]
pub struct Membership {
    pub metadata: Arc<ConsumerGroupMetadata>,
    /// What the same metadata says.
    pub member: MemberId,
}

impl SharedMembership {
    /// Of a process that has not joined yet.
    pub fn new(group: &str, topic: &str, may_miss_generations: bool, observer: OwnershipObserver) -> SharedMembership {
        let partitions = OwnedPartitions::new(may_miss_generations);
        let standing = Standing::NoMember;
        let state = MembershipState { standing, subscription: None, last_subscription: 0, is_alone: false };
        let stop = CancellationToken::new();
        SharedMembership {
            log: LogContext::default(),
            group: group.to_owned(),
            topic: topic.to_owned(),
            hand_over: stop.child_token(),
            stop,
            state: watch::Sender::new(state),
            owned: Mutex::new(Owned {
                partitions,
                lost: CancellationToken::new(),
                observed: ObservedOwnership::new(observer),
            }),
        }
    }

    /// The latest snapshot; none while this process is no member.
    pub fn current(&self) -> Option<Arc<MembershipSnapshot>> {
        match &self.state.borrow().standing {
            Standing::Member(snapshot) => Some(snapshot.clone()),
            Standing::NoMember | Standing::Failed(_) => None,
        }
    }

    /// Waits until the latest snapshot is not `than`.
    ///
    /// # Errors
    /// Why there will never be another.
    pub async fn changed(&self, than: &Arc<MembershipSnapshot>) -> Result<(), OpenError> {
        let is_another = |state: &MembershipState| match &state.standing {
            Standing::Member(snapshot) => !Arc::ptr_eq(snapshot, than),
            Standing::NoMember | Standing::Failed(_) => true,
        };
        let mut observer = self.state.subscribe();
        let state = observer.wait_for(is_another).await.map_err(|_| ended())?;
        match &state.standing {
            Standing::Failed(reason) => Err(reason.clone()),
            Standing::NoMember | Standing::Member(_) => Ok(()),
        }
    }

    /// Has others take over what is owned, and waits until they have, or it is known that nobody does.
    pub async fn handed_over(&self) {
        self.hand_over.cancel();
        let is_over = |state: &MembershipState| match &state.standing {
            Standing::Member(snapshot) => state.is_alone || snapshot.partitions.is_empty(),
            Standing::NoMember | Standing::Failed(_) => true,
        };
        // The sender lives as long as this.
        let _ = self.state.subscribe().wait_for(is_over).await;
    }

    /// Nobody is there to take over.
    pub fn alone(&self) {
        self.state.send_modify(|state| state.is_alone = true);
    }

    /// Ends the subscription that there may be. Returns the number of the new one.
    pub fn subscribe(&self) -> (u64, watch::Receiver<MembershipState>) {
        let mut number = 0;
        self.state.send_modify(|state| {
            state.last_subscription += 1;
            number = state.last_subscription;
            state.subscription = Some(number);
        });
        (number, self.state.subscribe())
    }

    pub fn unsubscribe(&self, number: u64) {
        self.with_state(|state| {
            if state.subscription == Some(number) {
                state.subscription = None;
            }
        });
    }

    /// Changes the state without telling those who observe it.
    pub fn with_state<R>(&self, change: impl FnOnce(&mut MembershipState) -> R) -> R {
        let mut result = None;
        self.state.send_if_modified(|state| {
            result = Some(change(state));
            false
        });
        result.expect("the closure is called once, before the call returns")
    }

    /// Ends the membership for good. Only the first reason counts: what comes later follows from it.
    pub fn fail(&self, reason: OpenError) {
        {
            let mut owned = self.owned.lock();
            owned.lost.cancel();
            owned.observed.own(std::iter::empty(), 0);
        }
        self.state.send_if_modified(|state| {
            let is_first = !matches!(state.standing, Standing::Failed(_));
            if is_first {
                state.standing = Standing::Failed(reason);
            }
            is_first
        });
    }

    /// Whether the group has ever given anything to this process. Before, what keeps it out at start never worked; later it may pass.
    pub fn was_assigned_some(&self) -> bool {
        self.owned.lock().partitions.last_number() > 0
    }

    /// The group has given `added`, none among them, to what is held already.
    pub fn assigned(&self, added: &[i32], now: Option<Membership>) {
        let mut owned = self.owned.lock();
        owned.partitions.add(now.as_ref().map(|now| now.member.clone()), added);
        let partitions = owned.partitions.numbered().len();
        tracing::info!(topic = self.topic, partitions, added = added.len(), "partitions assigned");
        if let Some(now) = now {
            return self.publish(&mut owned, now);
        }
        // It joins again, and is then given another assignment.
        tracing::warn!(topic = self.topic, "the group has moved on before its assignment was taken");
        self.publish_loss(&mut owned);
    }

    /// The group takes back `removed`. In this generation it has given that to nobody else, so it is this member's until the next
    /// one, and nobody is told before.
    pub fn revoked(&self, removed: &[i32], now: Membership) {
        let mut owned = self.owned.lock();
        if !owned.partitions.is_continued_by(&now.member) {
            drop(owned);
            return self.lost(removed);
        }
        owned.partitions.remove(Some(now.member.clone()), removed);
        tracing::info!(topic = self.topic, partitions = removed.len(), "partitions revoked");
        self.publish(&mut owned, now);
    }

    /// The membership is lost, and `removed` with it: others may own it already.
    pub fn lost(&self, removed: &[i32]) {
        tracing::info!(topic = self.topic, partitions = removed.len(), "partitions lost");
        let mut owned = self.owned.lock();
        owned.partitions.remove(None, removed);
        self.publish_loss(&mut owned);
    }

    /// The membership is lost with all that it had.
    pub fn lost_all(&self) {
        let held: Vec<i32> = self.owned.lock().partitions.numbered().keys().copied().collect();
        self.lost(&held);
    }

    /// So many partitions the topic has.
    pub fn counted(&self, partitions: usize) {
        self.owned.lock().observed.count(partitions);
    }

    /// How many partitions the topic has, as was counted last; 0 before.
    pub fn partitions(&self) -> usize {
        self.owned.lock().observed.counted()
    }

    fn publish(&self, owned: &mut Owned, Membership { metadata, member }: Membership) {
        let (partitions, generation) = (owned.partitions.held(), member.generation);
        self.state.send_if_modified(|state| {
            let is_another = match &state.standing {
                Standing::Failed(_) => false,
                Standing::NoMember => true,
                Standing::Member(before) => before.member != member || before.partitions != partitions,
            };
            if is_another {
                let lost = owned.lost.clone();
                state.standing = Standing::Member(Arc::new(MembershipSnapshot { metadata, member, partitions, lost }));
            }
            is_another
        });
        // Behind it, and before the callback answers: whoever observes may look at the snapshot, and nobody else has any of it yet.
        owned.observed.own(owned.partitions.numbered().keys().copied(), generation);
    }

    fn publish_loss(&self, owned: &mut Owned) {
        std::mem::take(&mut owned.lost).cancel();
        owned.observed.own(std::iter::empty(), 0);
        self.state.send_modify(|state| {
            if let Standing::Member(_) = state.standing {
                state.standing = Standing::NoMember;
            }
        });
    }
}

/// The membership is gone with its thread.
pub fn ended() -> OpenError {
    OpenError::Stop("the membership thread has ended".into())
}
