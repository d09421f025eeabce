//! Puts requests on the request topic, as any program does that asks for material.

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::kafka::client::acknowledged_producer::{AcknowledgedProducer, PutError};
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;

/// What the topic takes.
const REQUEST: &str = "request";

/// All calls block.
pub struct RequestProducer(AcknowledgedProducer);

impl RequestProducer {
    /// The topic `name`, which exists.
    ///
    /// # Errors
    /// [`ClientError`] where librdkafka makes no producer of the settings.
    pub fn open(settings: &Settings, name: &str) -> Result<RequestProducer, ClientError> {
        AcknowledgedProducer::open(&settings.request_producer_config(), name).map(RequestProducer)
    }

    /// Puts a request, and waits until it is acknowledged, for `bound` at most. `content_type` says how `value` is written.
    ///
    /// # Errors
    /// [`PutError`] where the topic refuses it, or nobody knows whether it is taken.
    pub fn put(&self, key: &str, content_type: &str, value: &[u8], bound: Duration) -> Result<(), PutError> {
        let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some(content_type) });
        // The queue is empty: each request is waited for.
        self.0.send(BaseRecord::to(self.0.topic()).key(key).payload(value).headers(headers), REQUEST)?;
        self.0.flush(bound, REQUEST)
    }
}
