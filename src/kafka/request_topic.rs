//! Puts requests on the request topic, as any program does that asks for material.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::context::LogContext;
use super::settings::Settings;
use super::supplied::Supplied;

/// All calls block.
pub struct RequestTopic {
    producer: Supplied<BaseProducer<RequestContext>>,
    name: String,
}

impl RequestTopic {
    /// The topic `name`, which exists.
    pub fn open(settings: &Settings, name: &str) -> Result<RequestTopic, String> {
        let producer = settings
            .request_producer_config()
            .create_with_context(RequestContext::default())
            .map_err(|error| format!("the producer can't be made: {error}"))?;
        Ok(RequestTopic { producer, name: name.to_owned() })
    }

    /// Puts a request, and waits until it is acknowledged, for `bound` at most. `content_type` says how `value` is written.
    pub fn put(&self, key: &str, content_type: &str, value: &[u8], bound: Duration) -> Result<(), String> {
        let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some(content_type) });
        let record = BaseRecord::to(&self.name).key(key).payload(value).headers(headers);
        let failed = |error: KafkaError| format!("topic {} takes no request: {error}", self.name);
        self.producer.send(record).map_err(|(error, _)| failed(error))?;
        self.producer.flush(bound).map_err(failed)?;
        match self.producer.context().refusal() {
            Some(error) => Err(failed(error)),
            None => Ok(()),
        }
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
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl rdkafka::client::ClientContext for RequestContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        super::context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }
}

impl rdkafka::producer::ProducerContext for RequestContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    }
}
