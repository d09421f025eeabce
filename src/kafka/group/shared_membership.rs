//! What the parts of a membership share: what the group has given, and whether it is in use.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::assignment::{Assignment, MembershipState};
use super::member_id::MemberId;
use crate::commit::log::OpenError;
use crate::kafka::client::context::LogContext;

/// How long a revocation waits for the transaction under way; well below `max.poll.interval.ms`.
const RELEASE_WAIT: Duration = Duration::from_secs(20);

/// What the membership thread, its consumer's callbacks and the observers share.
pub struct SharedMembership {
    pub log: LogContext,
    group: String,
    pub topic: String,
    state: watch::Sender<MembershipState>,
    /// The number of the last assignment, and whether it is in use.
    usage: Mutex<Usage>,
    unused: Condvar,
}

#[derive(Default)]
struct Usage {
    last_number: u64,
    in_use: bool,
}

impl SharedMembership {
    /// Of a process that has not joined yet, with what observes it.
    pub fn new(group: &str, topic: &str) -> (SharedMembership, watch::Receiver<MembershipState>) {
        let (state, observer) = watch::channel(MembershipState::Waiting);
        let (group, topic) = (group.to_owned(), topic.to_owned());
        let (log, usage, unused) = (LogContext::default(), Mutex::default(), Condvar::new());
        (SharedMembership { log, group, topic, state, usage, unused }, observer)
    }

    /// Marks the assignment as in use, unless it is revoked already.
    pub fn begin_use(&self, assignment: &Assignment) -> bool {
        // Under the lock, so that a revocation is either seen here or waits for the release.
        let mut usage = self.usage();
        let is_owned = !assignment.revoked.is_cancelled();
        usage.in_use |= is_owned;
        is_owned
    }

    /// Nothing is written under the assignment any more.
    pub fn release(&self) {
        self.usage().in_use = false;
        self.unused.notify_all();
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock()
    }

    /// Ends the membership for good. Only the first reason counts: what comes later follows from it.
    pub fn fail(&self, reason: OpenError) {
        if let MembershipState::Assigned(assignment) = &*self.state.borrow() {
            assignment.revoked.cancel();
        }
        self.state.send_if_modified(|membership| {
            let first = !matches!(membership, MembershipState::Failed(_));
            if first {
                *membership = MembershipState::Failed(reason);
            }
            first
        });
    }

    /// The group can't be joined. At start that never worked, and there is a `remedy`; later it may pass.
    pub fn refused(&self, error: &KafkaError, reason: &str, remedy: &Remedy) {
        if self.usage().last_number > 0 {
            return self.log.error(error, reason);
        }
        let told = |remedy| format!("the consumer group {} may not be joined; {remedy}", self.group).into();
        self.fail(match remedy {
            Remedy::Settings(remedy) => OpenError::Unfit(told(remedy)),
            Remedy::Elsewhere(remedy) => OpenError::Stop(told(remedy)),
        });
    }

    /// The group has given these partitions, none among them.
    pub fn assigned(&self, partitions: Vec<i32>, metadata: ConsumerGroupMetadata, member: MemberId) {
        let number = {
            let mut usage = self.usage();
            usage.last_number += 1;
            usage.last_number
        };
        tracing::info!(topic = self.topic, partitions = partitions.len(), "partitions assigned");
        let assignment = Assignment { number, partitions, metadata, member, revoked: CancellationToken::new() };
        self.state.send_replace(MembershipState::Assigned(Arc::new(assignment)));
    }

    /// The group takes back what it has given. Waits until nothing is written under it any more, [`RELEASE_WAIT`] at most:
    /// the group hands the partitions on when the caller has answered.
    pub fn revoked(&self) {
        // First the state, so that nobody acquires it any more; then the lease.
        let previous = self.state.send_replace(MembershipState::Waiting);
        let MembershipState::Assigned(assignment) = previous else { return };
        // Under the lock, so that `begin_use` either sees the revocation or is waited for.
        let mut usage = self.usage();
        assignment.revoked.cancel();
        tracing::info!(topic = self.topic, partitions = assignment.partitions.len(), "partitions revoked");
        let waited = self.unused.wait_while_for(&mut usage, |usage| usage.in_use, RELEASE_WAIT);
        if waited.timed_out() && usage.in_use {
            tracing::warn!(topic = self.topic, "revocation went ahead of a transaction that did not end in time");
        }
    }
}

/// What an operator has to change where the broker refuses to let a member into its group.
#[derive(Debug, PartialEq, Eq)]
pub enum Remedy {
    /// In the settings of this connector.
    Settings(&'static str),
    Elsewhere(&'static str),
}

/// Nothing where the refusal may pass.
pub fn remedy(code: RDKafkaErrorCode) -> Option<Remedy> {
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
