//! What librdkafka tells the member's consumer: partitions that come and go, and errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::member_id;
use super::shared_membership::{SharedMembership, remedy};
use crate::commit::log::OpenError;
use crate::kafka::client::context;

/// The context of the group member's consumer.
pub struct MemberContext {
    shared: Arc<SharedMembership>,
    /// The consumer can't go on: it was fenced, or failed for good.
    lost: AtomicBool,
}

impl MemberContext {
    pub fn of(shared: &Arc<SharedMembership>) -> MemberContext {
        MemberContext { shared: shared.clone(), lost: AtomicBool::new(false) }
    }

    /// Whether the consumer can't go on.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes note of what an error means to the membership.
    pub fn judge(&self, error: &KafkaError, reason: &str) {
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
