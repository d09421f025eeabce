//! A producer outside transactions, which repeats nothing twice and tells what its topic has taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::context::{self, LogContext};
use super::error::ClientError;
use super::rights;
use super::supplied::{ClientSetup, Supplied};

/// Why a record was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// An operator has to give a right.
    #[error("{}", rights::may_not_write(Some(topic)))]
    NoRight {
        topic: String,
        #[source]
        missing: MissingRight,
    },
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What a producer may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingRight {
    #[error("the broker refuses it")]
    Topic,
    #[error(
        "the broker refuses a producer that may write no topic; before 3.0 it wants IDEMPOTENT_WRITE on the cluster, too"
    )]
    Cluster,
}

/// Of one topic. All calls block.
pub(in crate::kafka) struct AcknowledgedProducer {
    producer: Supplied<BaseProducer<DeliveryContext>>,
    topic: String,
}

impl AcknowledgedProducer {
    /// Of the topic `name`, which exists.
    ///
    /// # Errors
    /// [`ClientError`] where librdkafka makes no producer of `setup`.
    pub fn open(setup: &ClientSetup, name: &str) -> Result<AcknowledgedProducer, ClientError> {
        let producer = setup
            .create_with_context(DeliveryContext::default())
            .map_err(|error| ClientError::new("the producer can't be made", error))?;
        Ok(AcknowledgedProducer { producer, topic: name.to_owned() })
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Hands the record to librdkafka, unless its queue is full. `what` is what the topic takes, in a word.
    ///
    /// # Errors
    /// [`PutError`] where librdkafka takes no such record, or nothing any more. That its queue is full is none.
    pub fn send(&self, record: BaseRecord<'_, str, [u8]>, what: &str) -> Result<QueueRoom, PutError> {
        match self.producer.send(record) {
            Ok(()) => Ok(QueueRoom::Taken),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(QueueRoom::Full),
            Err((error, _)) => Err(self.failed(error, what)),
        }
    }

    /// Serves what was acknowledged, for `wait` at most.
    ///
    /// # Errors
    /// [`PutError`], why a record was refused, which may be an earlier one.
    pub fn serve(&self, wait: Duration, what: &str) -> Result<(), PutError> {
        self.producer.poll(wait);
        self.refusal().map_or(Ok(()), |error| Err(self.failed(error, what)))
    }

    /// Waits until all that was sent is acknowledged, for `bound` at most.
    ///
    /// # Errors
    /// [`PutError`], why a record was refused, or that some are still under way: nobody knows then whether they are
    /// taken.
    pub fn flush(&self, bound: Duration, what: &str) -> Result<(), PutError> {
        let flushed = self.producer.flush(bound);
        // That nothing is under way any more need not mean that it was taken.
        match self.refusal().or(flushed.err()) {
            Some(error) => Err(self.failed(error, what)),
            None => Ok(()),
        }
    }

    /// How many records the topic has taken.
    pub fn acknowledged(&self) -> u64 {
        self.producer.context().acknowledged.load(Ordering::Relaxed)
    }

    fn refusal(&self) -> Option<KafkaError> {
        self.producer.context().refusal.lock().take()
    }

    fn failed(&self, error: KafkaError, what: &str) -> PutError {
        // What has ended the producer for good is the cause of what it says of each record.
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        match fatal.or(error.rdkafka_error_code()).and_then(right_missing) {
            Some(missing) => PutError::NoRight { topic: self.topic.clone(), missing },
            None => {
                let what = format!("topic {} takes no {what}", self.topic);
                ClientError::new(what, self.producer.context().log.explained(error)).into()
            }
        }
    }
}

/// Whether a record had room in librdkafka's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum QueueRoom {
    Taken,
    /// Send it again once some have been acknowledged.
    Full,
}

/// Why a broker refuses a producer that repeats nothing twice, where it is for want of rights.
fn right_missing(code: RDKafkaErrorCode) -> Option<MissingRight> {
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => Some(MissingRight::Topic),
        RDKafkaErrorCode::ClusterAuthorizationFailed => Some(MissingRight::Cluster),
        _ => None,
    }
}

/// Counts what was taken, and keeps why something was not.
#[derive(Default)]
struct DeliveryContext {
    log: LogContext,
    acknowledged: AtomicU64,
    /// The first that nobody was told of yet: those behind it follow from it.
    refusal: Mutex<Option<KafkaError>>,
}

impl rdkafka::client::ClientContext for DeliveryContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
        self.log.note_log(facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }
}

impl rdkafka::producer::ProducerContext for DeliveryContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.acknowledged.fetch_add(1, Ordering::Relaxed)),
            Err((error, _)) => drop(self.refusal.lock().get_or_insert_with(|| error.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_want_of_a_right_is_known_in_either_form() {
        for code in [RDKafkaErrorCode::TopicAuthorizationFailed, RDKafkaErrorCode::ClusterAuthorizationFailed] {
            assert!(right_missing(code).is_some(), "{code}");
        }
        assert_eq!(right_missing(RDKafkaErrorCode::MessageTimedOut), None);
    }
}
