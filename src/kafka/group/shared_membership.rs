//! What the parts of a membership share: how this process stands in its group, and what is being given back.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::member_id::MemberId;
use super::observer::{ObservedOwnership, OwnershipObserver};
use super::owned_partitions::OwnedPartitions;
use super::refusal::Remedy;
use super::snapshot::{MembershipSnapshot, Standing};
use crate::commit::log::OpenError;
use crate::commit::under_way::{Settled, UnderWay, under_way};
use crate::kafka::client::context::LogContext;
use crate::kafka::client::waiting;

/// How long a revocation waits for what is under way; well below `max.poll.interval.ms`.
pub const RELEASE_WAIT: Duration = Duration::from_secs(20);

/// What the membership thread, its consumer's callbacks and the subscriber share.
pub struct SharedMembership {
    pub log: LogContext,
    group: String,
    pub topic: String,
    /// Ends the membership, and every wait of it.
    pub stop: CancellationToken,
    state: watch::Sender<MembershipState>,
    owned: Mutex<Owned>,
}

/// What is published.
pub struct MembershipState {
    pub standing: Standing,
    /// Partitions that are being given back, and are in the snapshot as long as they may be written for.
    pub revoking: Vec<i32>,
    /// For the subscriber, who holds the revocation up with it; taken once.
    pub under_way: Option<UnderWay>,
    /// The number of the one that is served.
    pub subscription: Option<u64>,
    last_subscription: u64,
}

struct Owned {
    partitions: OwnedPartitions,
    /// Of the snapshots from here to the loss of the membership.
    lost: CancellationToken,
    /// Of what is owned and not being given back.
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
        let state = MembershipState {
            standing: Standing::NoMember,
            revoking: Vec::new(),
            under_way: None,
            subscription: None,
            last_subscription: 0,
        };
        SharedMembership {
            log: LogContext::default(),
            group: group.to_owned(),
            topic: topic.to_owned(),
            stop: CancellationToken::new(),
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
                state.under_way = None;
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
            owned.observed.own(std::iter::empty());
        }
        self.state.send_if_modified(|state| {
            let is_first = !matches!(state.standing, Standing::Failed(_));
            if is_first {
                state.standing = Standing::Failed(reason);
            }
            is_first
        });
    }

    /// The group can't be joined. At start that never worked, and there is a `remedy`; later it may pass.
    pub fn refused(&self, error: &KafkaError, reason: &str, remedy: &Remedy) {
        if self.owned.lock().partitions.last_number() > 0 {
            return self.log.error(error, reason);
        }
        let told = |remedy| format!("the consumer group {} may not be joined; {remedy}", self.group).into();
        self.fail(match remedy {
            Remedy::Settings(remedy) => OpenError::Unfit(told(remedy)),
            Remedy::Elsewhere(remedy) => OpenError::Stop(told(remedy)),
        });
    }

    /// The group has given `added`, none among them, to what is held already.
    pub fn assigned(&self, added: &[i32], now: Option<Membership>) {
        let mut owned = self.owned.lock();
        owned.partitions.add(now.as_ref().map(|now| now.member.clone()), added);
        let partitions = owned.partitions.numbered().len();
        tracing::info!(topic = self.topic, partitions, added = added.len(), "partitions assigned");
        if let Some(now) = now {
            return self.publish(&mut owned, now, None);
        }
        // It joins again, and is then given another assignment.
        tracing::warn!(topic = self.topic, "the group has moved on before its assignment was taken");
        self.publish_loss(&mut owned);
    }

    /// The group takes back `removed`, which is this member's until the caller has answered. Waits until nothing is written for
    /// them any more, [`RELEASE_WAIT`] at most.
    pub fn revoked(&self, removed: &[i32], now: Membership) {
        let Some(mut settled) = self.begin_revocation(removed, now.clone()) else { return self.lost(removed) };
        let settled_or_stopped = async {
            tokio::select! {
                () = settled.wait() => {}
                () = self.stop.cancelled() => {}
            }
        };
        if waiting::block_on(settled_or_stopped, RELEASE_WAIT).is_none() {
            tracing::warn!(topic = self.topic, "revocation went ahead of a transaction that did not end in time");
        }
        let mut owned = self.owned.lock();
        owned.partitions.remove(Some(now.member.clone()), removed);
        self.publish(&mut owned, now, None);
    }

    /// Publishes that `removed` is to be given back, in a snapshot that still has it. Nothing if it may not be this member's any
    /// more.
    fn begin_revocation(&self, removed: &[i32], now: Membership) -> Option<Settled> {
        let mut owned = self.owned.lock();
        if !owned.partitions.is_continued_by(&now.member) {
            return None;
        }
        owned.partitions.add(Some(now.member.clone()), &[]);
        tracing::info!(topic = self.topic, partitions = removed.len(), "partitions revoked");
        let (under_way, settled) = under_way();
        self.publish(&mut owned, now, Some((removed, under_way)));
        Some(settled)
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

    fn publish(&self, owned: &mut Owned, now: Membership, revocation: Option<(&[i32], UnderWay)>) {
        let partitions = owned.partitions.numbered();
        let (revoking, under_way) = revocation.map_or((Vec::new(), None), |(gone, held)| (gone.to_vec(), Some(held)));
        owned.observed.own(partitions.keys().copied().filter(|partition| !revoking.contains(partition)));
        self.state.send_modify(|state| {
            state.revoking = revoking;
            // Nobody is there who could drop it.
            state.under_way = under_way.filter(|_| state.subscription.is_some());
            let is_same = match &state.standing {
                Standing::Failed(_) => return,
                Standing::NoMember => false,
                Standing::Member(before) => before.member == now.member && before.partitions == *partitions,
            };
            if !is_same {
                let Membership { metadata, member } = now;
                let (partitions, lost) = (partitions.clone(), owned.lost.clone());
                state.standing = Standing::Member(Arc::new(MembershipSnapshot { metadata, member, partitions, lost }));
            }
        });
    }

    fn publish_loss(&self, owned: &mut Owned) {
        std::mem::take(&mut owned.lost).cancel();
        owned.observed.own(std::iter::empty());
        self.state.send_modify(|state| {
            (state.revoking, state.under_way) = (Vec::new(), None);
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
