//! A program that asks in JSON.

use anyhow::Result;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::world::BOUND;
use crate::harness::client;
use crate::harness::context::Context;

pub struct JsonRequester {
    producer: BaseProducer,
    topic: String,
}

impl JsonRequester {
    pub fn open(context: &Context) -> Result<JsonRequester> {
        let topic = context.topics().name("material.requests");
        Ok(JsonRequester { producer: client::config(context.bootstrap()).create()?, topic })
    }

    /// A record, at its own time where one is given.
    pub fn put(&self, value: &str, timestamp: Option<i64>) -> Result<()> {
        let content_type = Header { key: "Content-Type", value: Some("Application/JSON; charset=UTF-8") };
        let headers = OwnedHeaders::new().insert(content_type);
        let mut record =
            BaseRecord::to(&self.topic).key("wx_simulated/oSimulated000001").payload(value).headers(headers);
        record.timestamp = timestamp;
        self.producer.send(record).map_err(|(error, _)| error)?;
        Ok(())
    }

    /// Waits until everything is there.
    pub fn flush(&self) -> Result<()> {
        Ok(self.producer.flush(BOUND)?)
    }
}
