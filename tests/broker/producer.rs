//! A transactional producer for the cases that need no connector.

use std::time::Duration;

use anyhow::Result;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use crate::harness::client;

const BOUND: Duration = Duration::from_secs(30);

pub struct Transactional {
    producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
}

impl Transactional {
    /// A producer whose `init_transactions` is done.
    pub fn open(bootstrap: &str, transactional_id: &str) -> Result<Transactional> {
        let producer: ThreadedProducer<_> = client::config(bootstrap)
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", "60000")
            .set("linger.ms", "0")
            .create()?;
        producer.init_transactions(BOUND)?;
        Ok(Transactional { producer })
    }

    pub fn begin(&self) -> KafkaResult<()> {
        self.producer.begin_transaction()
    }

    /// Sends one record to partition 0, and waits until the broker has it.
    pub fn write(&self, topic: &str, key: &str, value: &str) -> KafkaResult<()> {
        self.write_to(topic, 0, key, value)
    }

    /// The same to another partition.
    pub fn write_to(&self, topic: &str, partition: i32, key: &str, value: &str) -> KafkaResult<()> {
        let record = BaseRecord::to(topic).partition(partition).key(key).payload(value);
        self.producer.send(record).map_err(|(error, _)| error)?;
        self.producer.flush(BOUND)
    }

    pub fn send_offsets(&self, offsets: &TopicPartitionList, group: &ConsumerGroupMetadata) -> KafkaResult<()> {
        self.producer.send_offsets_to_transaction(offsets, group, BOUND)
    }

    pub fn commit(&self) -> KafkaResult<()> {
        self.producer.commit_transaction(BOUND)
    }

    pub fn abort(&self) -> KafkaResult<()> {
        self.producer.abort_transaction(BOUND)
    }

    /// A transaction of these values, committed.
    pub fn commit_all(&self, topic: &str, values: &[&str]) -> KafkaResult<()> {
        self.begin()?;
        values.iter().try_for_each(|value| self.write(topic, "key", value))?;
        self.commit()
    }
}
