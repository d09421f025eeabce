//! Puts requests on the request topic, as any program does that asks for material.

use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::kafka::client::context;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::rights;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::Supplied;

/// Why a request was not taken.
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

/// All calls block.
pub struct RequestProducer {
    producer: Supplied<BaseProducer<RequestContext>>,
    name: String,
}

impl RequestProducer {
    /// The topic `name`, which exists.
    pub fn open(settings: &Settings, name: &str) -> Result<RequestProducer, ClientError> {
        let producer = settings
            .request_producer_config()
            .create_with_context(RequestContext::default())
            .map_err(|error| ClientError::new("the producer can't be made", error))?;
        Ok(RequestProducer { producer, name: name.to_owned() })
    }

    /// Puts a request, and waits until it is acknowledged, for `bound` at most. `content_type` says how `value` is written.
    pub fn put(&self, key: &str, content_type: &str, value: &[u8], bound: Duration) -> Result<(), PutError> {
        let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some(content_type) });
        let record = BaseRecord::to(&self.name).key(key).payload(value).headers(headers);
        self.producer.send(record).map_err(|(error, _)| self.failed(error))?;
        let flushed = self.producer.flush(bound);
        // That nothing is under way any more need not mean that it was taken.
        match self.producer.context().refusal().or(flushed.err()) {
            Some(error) => Err(self.failed(error)),
            None => Ok(()),
        }
    }

    fn failed(&self, error: KafkaError) -> PutError {
        // What has ended the producer for good is the cause of what it says of each record.
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        match fatal.or(error.rdkafka_error_code()).and_then(right_missing) {
            Some(missing) => PutError::NoRight { topic: self.name.clone(), missing },
            None => {
                let what = format!("topic {} takes no request", self.name);
                ClientError::new(what, self.producer.context().log.explained(error)).into()
            }
        }
    }
}

/// Why a broker refuses a producer that repeats nothing twice, where it is for want of rights.
fn right_missing(code: RDKafkaErrorCode) -> Option<MissingRight> {
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => Some(MissingRight::Topic),
        RDKafkaErrorCode::ClusterAuthorizationFailed => Some(MissingRight::Cluster),
        _ => None,
    }
}

/// Keeps why a request was not taken.
#[derive(Default)]
struct RequestContext {
    log: LogContext,
    refusal: Mutex<Option<KafkaError>>,
}

impl RequestContext {
    /// Of the last request.
    fn refusal(&self) -> Option<KafkaError> {
        self.refusal.lock().take()
    }
}

impl rdkafka::client::ClientContext for RequestContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
        self.log.hear(facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }
}

impl rdkafka::producer::ProducerContext for RequestContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.refusal.lock() = Some(error.clone());
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
