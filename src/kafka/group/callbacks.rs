//! What librdkafka tells the member's consumer: partitions that come and go, and errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use super::member_id;
use super::refusal::{Remedy, remedy};
use super::shared_membership::{Membership, SharedMembership};
use crate::commit::log::OpenError;
use crate::kafka::client::context;

/// The context of the group member's consumer.
pub struct MemberContext {
    shared: Arc<SharedMembership>,
    /// The consumer can't go on: it was fenced, or failed for good.
    lost: AtomicBool,
    /// It was given partitions of another topic.
    elsewhere: AtomicBool,
    /// Members that share out in another way have not let it into the group.
    kept_out: AtomicBool,
}

impl MemberContext {
    pub fn of(shared: &Arc<SharedMembership>) -> MemberContext {
        let [lost, elsewhere, kept_out] = [const { AtomicBool::new(false) }; 3];
        MemberContext { shared: shared.clone(), lost, elsewhere, kept_out }
    }

    /// Whether the consumer can't go on.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether it was given partitions of another topic than the one that counts since this was asked last.
    pub fn was_given_others(&self) -> bool {
        self.elsewhere.swap(false, Ordering::Relaxed)
    }

    /// Whether members that share out in another way keep it out.
    pub fn is_kept_out(&self) -> bool {
        self.kept_out.load(Ordering::Relaxed)
    }

    /// Takes note of what an error means to the membership.
    pub fn classify(&self, error: &KafkaError, reason: &str) {
        let lost = matches!(error, KafkaError::MessageConsumptionFatal(_))
            || matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId));
        if lost {
            return self.lost.store(true, Ordering::Relaxed);
        }
        match error.rdkafka_error_code().and_then(remedy) {
            Some(remedy) if !self.shared.was_assigned_some() => self.refused(&remedy),
            _ => self.shared.log.error(error, reason),
        }
    }

    /// The group can't be joined.
    fn refused(&self, remedy: &Remedy) {
        let told = |remedy| format!("the consumer group {} may not be joined; {remedy}", self.shared.group).into();
        match remedy {
            Remedy::Settings(remedy) => self.shared.fail(OpenError::Unfit(told(remedy))),
            Remedy::Elsewhere(remedy) => self.shared.fail(OpenError::Stop(told(remedy))),
            // They are looked for outside of a callback.
            Remedy::Members => self.kept_out.store(true, Ordering::Relaxed),
        }
    }

    /// The group adds `added`, none where only its generation has moved.
    ///
    /// As what it is a member is asked first, while librdkafka waits for the answer and joins nothing.
    fn assign(&self, consumer: &BaseConsumer<Self>, added: &TopicPartitionList) {
        let now = membership(consumer);
        self.tell(consumer.incremental_assign(added), "taking the assigned partitions");
        // Membership alone is wanted here; who wants the records reads them with a consumer of its own.
        self.tell(consumer.pause(added), "pausing the assigned partitions");
        let numbers = self.numbers(added);
        if numbers.len() < added.count() {
            self.elsewhere.store(true, Ordering::Relaxed);
        }
        self.shared.assigned(&numbers, now);
    }

    /// The group takes `removed` back; with the answer this member joins again, without it.
    fn revoke(&self, consumer: &BaseConsumer<Self>, removed: &TopicPartitionList) {
        // Before the answer, too: behind it there may be another generation, in which they are another's.
        let is_lost = consumer.assignment_lost();
        match membership(consumer) {
            Some(now) if !is_lost => self.shared.revoked(&self.numbers(removed), now),
            _ => self.shared.lost(&self.numbers(removed)),
        }
        self.tell(consumer.incremental_unassign(removed), "giving back the revoked partitions");
    }

    /// Of the partitions of the one topic that counts: one that hands over is given some of another.
    fn numbers(&self, partitions: &TopicPartitionList) -> Vec<i32> {
        partitions.elements_for_topic(&self.shared.topic).iter().map(|element| element.partition()).collect()
    }

    fn tell(&self, result: Result<(), KafkaError>, what: &str) {
        if let Err(error) = result {
            self.shared.log.error(&error, what);
        }
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.classify(&error, reason);
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            // After an error librdkafka takes all partitions back as well.
            _ => self.revoke(consumer, partitions),
        }
    }
}

/// Nothing while it is no member. A membership can be lost in a callback but not begin there, so asked in this order the id is
/// that of the metadata, or there is none.
fn membership(consumer: &BaseConsumer<MemberContext>) -> Option<Membership> {
    let metadata = consumer.group_metadata()?;
    let member = member_id::of(consumer)?;
    Some(Membership { metadata: Arc::new(metadata), member })
}
