//! Who owns what: membership in a consumer group on one topic.
//!
//! Partition *p* of `promoter.registry` is owned by the group's member that it is assigned to; its owner polls the
//! promoters of *p* and writes partition *p* of `promoter.state`. In the same way, in a group of their own, the members
//! share the partitions of the request topic, whose owner answers what stands in them. What an owner writes carries the group metadata of
//! the generation in which it became the owner, so the broker refuses a zombie of an older one.
//!
//! The metadata is taken when the assignment is handed over, in the rebalance callback, and never asked for later:
//! a member that was thrown out rejoins in librdkafka's background, and would then get the metadata of a generation
//! in which it no longer owns what it writes. The broker checks the generation, not the partitions. And it checks nothing
//! at all where the metadata has no generation, as that of a consumer outside of any group: a member that has lost its
//! generation before the callback could take it is handed no assignment.
//!
//! On a revocation the callback cancels the lease and waits, for a bounded time, until whoever uses it has let go;
//! only then does the member answer the group. If the wait is cut short, the generation still protects the topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::duplicate_instance;
use super::member_id::{self, MemberId};
use crate::commit::log::OpenError;
use crate::kafka::client::context::{self, LogContext};
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::Supplied;

/// How long a revocation waits for the transaction under way; well below `max.poll.interval.ms`.
const RELEASE_WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

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

/// This process as a member of one group, which a thread of its own serves for as long as this value lives. The partitions
/// that the group assigns come as [`Assignment`]s; one that is in use holds up the next rebalance, for [`RELEASE_WAIT`] at
/// most, until it is [released](Self::release).
pub struct GroupMember {
    shared: Arc<MemberThread>,
    observer: watch::Receiver<MembershipState>,
    thread: Option<JoinHandle<()>>,
}

/// What the membership thread, its consumer's callbacks and the observers share.
struct MemberThread {
    log: LogContext,
    settings: Settings,
    group: String,
    topic: String,
    membership: watch::Sender<MembershipState>,
    /// The number of the last assignment, and whether it is in use.
    usage: Mutex<Usage>,
    unused: Condvar,
    stop: AtomicBool,
}

#[derive(Default)]
struct Usage {
    last_number: u64,
    in_use: bool,
}

impl GroupMember {
    /// Joins `group` on `topic`, in a thread of its own.
    pub fn join(settings: &Settings, group: &str, topic: &str) -> KafkaResult<GroupMember> {
        let (membership, observer) = watch::channel(MembershipState::Waiting);
        let shared = Arc::new(MemberThread {
            log: LogContext::default(),
            settings: settings.clone(),
            group: group.to_owned(),
            topic: topic.to_owned(),
            membership,
            usage: Mutex::default(),
            unused: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let consumer = shared.subscribe()?;
        let thread = std::thread::Builder::new()
            .name("membership".into())
            .spawn({
                let shared = shared.clone();
                move || shared.follow(consumer)
            })
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(GroupMember { shared, observer, thread: Some(thread) })
    }

    /// Waits for an assignment with partitions whose number is above `after`, and marks it as in use. The error
    /// says why there will never be one.
    pub async fn acquire(&self, after: u64) -> Result<Arc<Assignment>, OpenError> {
        let mut observer = self.observer.clone();
        loop {
            match observer.borrow_and_update().clone() {
                MembershipState::Assigned(assignment)
                    if assignment.number > after && !assignment.partitions.is_empty() =>
                {
                    let mut usage = self.shared.usage();
                    if !assignment.revoked.is_cancelled() {
                        usage.in_use = true;
                        return Ok(assignment);
                    }
                }
                MembershipState::Failed(reason) => return Err(reason),
                MembershipState::Assigned(_) | MembershipState::Waiting => {}
            }
            if observer.changed().await.is_err() {
                return Err(OpenError::Stop("the membership thread has ended".into()));
            }
        }
    }

    /// Says that nothing is written under the assignment any more.
    pub fn release(&self) {
        self.shared.usage().in_use = false;
        self.shared.unused.notify_all();
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.release();
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl MemberThread {
    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock()
    }

    fn subscribe(self: &Arc<MemberThread>) -> KafkaResult<Supplied<BaseConsumer<MemberContext>>> {
        let consumer: Supplied<BaseConsumer<MemberContext>> =
            self.settings.member_config(&self.group).create_with_context(MemberContext::of(self))?;
        consumer.subscribe(&[&self.topic])?;
        Ok(consumer)
    }

    /// Serves the membership, with one consumer after the other, until told to stop or displaced by another process.
    fn follow(self: Arc<MemberThread>, mut consumer: Supplied<BaseConsumer<MemberContext>>) {
        while !self.stopped() {
            // All partitions are paused, so no record comes: polling runs the callbacks, which is where partitions come and go,
            // and tells the group that this member lives.
            if let Some(Err(error)) = consumer.poll(POLL) {
                consumer.context().judge(&error, "");
            }
            if !consumer.context().lost.load(Ordering::Relaxed) {
                continue;
            }
            // What was assigned is lost, whether or not a callback has said so.
            self.revoked();
            tracing::warn!(instance = self.settings.instance_id, "fenced in the group, looking for who did it");
            if duplicate_instance::lives(&self.settings, &self.group, || self.stopped()) && self.decides() {
                let instance = &self.settings.instance_id;
                let reason = format!(
                    "another process runs as connector.instance_id \"{instance}\" and has taken over; give each its own"
                );
                return self.fail(OpenError::Stop(reason.into()));
            }
            // A fenced consumer never joins again; another one does, under the same name.
            match self.subscribe() {
                Ok(joined) => consumer = joined,
                Err(error) => {
                    let error = ClientError::new("the group can't be joined again", error);
                    return self.fail(OpenError::Stop(error.into()));
                }
            }
        }
    }

    /// Of two processes of one name each may displace the other in one of the two groups, and only one of them may end for
    /// it. So the group of those who poll decides: its loser leaves the other group as well, where the winner takes its
    /// place again.
    fn decides(&self) -> bool {
        self.group == self.settings.name
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn fail(&self, reason: OpenError) {
        if let MembershipState::Assigned(assignment) = &*self.membership.borrow() {
            assignment.revoked.cancel();
        }
        self.membership.send_if_modified(|membership| {
            let first = !matches!(membership, MembershipState::Failed(_));
            if first {
                *membership = MembershipState::Failed(reason);
            }
            first
        });
    }

    /// The group can't be joined. At start that never worked, and there is a `remedy`; later it may pass.
    fn refused(&self, error: &KafkaError, reason: &str, remedy: &Remedy) {
        if self.usage().last_number > 0 {
            return self.log.error(error, reason);
        }
        let told = |remedy| format!("the consumer group {} may not be joined; {remedy}", self.group).into();
        self.fail(match remedy {
            Remedy::Settings(remedy) => OpenError::Unfit(told(remedy)),
            Remedy::Elsewhere(remedy) => OpenError::Stop(told(remedy)),
        });
    }

    fn assigned(&self, partitions: Vec<i32>, metadata: ConsumerGroupMetadata, member: MemberId) {
        let number = {
            let mut usage = self.usage();
            usage.last_number += 1;
            usage.last_number
        };
        tracing::info!(topic = self.topic, partitions = partitions.len(), "partitions assigned");
        let assignment = Assignment { number, partitions, metadata, member, revoked: CancellationToken::new() };
        self.membership.send_replace(MembershipState::Assigned(Arc::new(assignment)));
    }

    fn revoked(&self) {
        let previous = self.membership.send_replace(MembershipState::Waiting);
        let MembershipState::Assigned(assignment) = previous else { return };
        // Under the lock, so that `acquire` either sees the revocation or is waited for.
        let mut usage = self.usage();
        assignment.revoked.cancel();
        tracing::info!(topic = self.topic, partitions = assignment.partitions.len(), "partitions revoked");
        let waited = self.unused.wait_while_for(&mut usage, |usage| usage.in_use, RELEASE_WAIT);
        if waited.timed_out() && usage.in_use {
            tracing::warn!(topic = self.topic, "revocation went ahead of a transaction that did not end in time");
        }
    }
}

/// The context of the group member's consumer.
struct MemberContext {
    shared: Arc<MemberThread>,
    /// The consumer can't go on: it was fenced, or failed for good.
    lost: AtomicBool,
}

impl MemberContext {
    fn of(shared: &Arc<MemberThread>) -> MemberContext {
        MemberContext { shared: shared.clone(), lost: AtomicBool::new(false) }
    }

    fn judge(&self, error: &KafkaError, reason: &str) {
        let lost = matches!(error, KafkaError::MessageConsumptionFatal(_))
            || matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId));
        if lost {
            self.lost.store(true, Ordering::Relaxed);
        } else if let Some(remedy) = error.rdkafka_error_code().and_then(remedy) {
            self.shared.refused(error, reason, &remedy);
        } else {
            self.shared.log.error(error, reason);
        }
    }
}

/// What an operator has to change where the broker refuses to let a member into its group.
#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    /// In the settings of this connector.
    Settings(&'static str),
    Elsewhere(&'static str),
}

fn remedy(code: RDKafkaErrorCode) -> Option<Remedy> {
    match code {
        RDKafkaErrorCode::GroupAuthorizationFailed => Some(Remedy::Elsewhere("allow this user to READ it")),
        RDKafkaErrorCode::InvalidSessionTimeout => Some(Remedy::Settings(
            "kafka.\"session.timeout.ms\" is not between the brokers' group.min.session.timeout.ms and \
             group.max.session.timeout.ms",
        )),
        RDKafkaErrorCode::InconsistentGroupProtocol => Some(Remedy::Elsewhere(
            "its members are not instances of this connector; give it a connector.name of its own",
        )),
        _ => None,
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.judge(&error, reason);
    }
}

impl ConsumerContext for MemberContext {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // After an error librdkafka takes all partitions back as well.
        if let Rebalance::Revoke(_) | Rebalance::Error(_) = rebalance {
            self.shared.revoked();
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(partitions) = rebalance else { return };
        // Membership alone is wanted here; who wants the records reads them with a consumer of its own.
        if let Err(error) = consumer.pause(partitions) {
            self.shared.log.error(&error, "pausing the assigned partitions");
        }
        let numbers = partitions.elements().iter().map(|element| element.partition()).collect();
        let Some(metadata) = consumer.group_metadata() else {
            return self.shared.fail(OpenError::Stop("the group gave an assignment without metadata".into()));
        };
        // Asked after the metadata was taken: what has no generation now may have had none then.
        match member_id::of(consumer) {
            Some(member) => self.shared.assigned(numbers, metadata, member),
            // It joins again, and is then given another assignment.
            None => tracing::warn!(topic = self.shared.topic, "the group has moved on before its assignment was taken"),
        }
    }
}
