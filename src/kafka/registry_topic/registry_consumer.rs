//! The one consumer of those who follow the registry: it reads some partitions, outside of any group.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::commit::log::OpenError;
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::event_queue::EventQueue;
use crate::kafka::client::rights;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::kafka::topics::lookup;
use crate::kafka::topics::watermarks;

/// Between two requests where a partition ends.
const ENDS_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct RegistryConsumer {
    /// Before the consumer, as it demands.
    events: EventQueue,
    consumer: LoggedConsumer,
    topic: String,
}

impl RegistryConsumer {
    /// # Errors
    /// Where librdkafka makes no client of the settings.
    pub fn new(settings: &Settings) -> KafkaResult<RegistryConsumer> {
        let consumer: LoggedConsumer = settings.follower_config().create_with_context(LogContext::outside_groups())?;
        let events = EventQueue::of_consumer(&*consumer)?;
        Ok(RegistryConsumer { events, consumer, topic: settings.topics.registry.clone() })
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What comes next, waited for until `stop` is cancelled, and for a few seconds at most.
    ///
    /// # Errors
    /// What librdkafka says; it goes on by itself after most of it.
    pub fn poll(&self, stop: &CancellationToken) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.events.wait(stop);
        self.consumer.poll(Duration::ZERO)
    }

    /// Reads the partition from `offset` on.
    ///
    /// # Errors
    /// Where librdkafka takes no such partition or offset.
    pub fn read_from(&self, partition: i32, offset: i64) -> KafkaResult<()> {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        self.consumer.incremental_assign(&assignment)
    }

    /// Reads the partition, which it did, no more.
    ///
    /// # Errors
    /// Where it was not read.
    pub fn stop_reading(&self, partition: i32) -> KafkaResult<()> {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition(&self.topic, partition);
        self.consumer.incremental_unassign(&assignment)
    }

    /// The offset that comes next, where that is known: markers of transactions and aborted records are behind it, too.
    pub fn position(&self, partition: i32) -> Option<i64> {
        let positions = self.consumer.position().ok()?;
        positions.find_partition(&self.topic, partition)?.offset().to_raw()
    }

    /// Where a partition that is read ends behind all that stands there, committed or not, as it was fetched last.
    pub fn fetched_end(&self, partition: i32) -> Option<i64> {
        watermarks::fetched_end(self.consumer.client(), &self.topic, partition)
    }

    /// Where the partition begins and ends, as a read_committed client sees it. A leader that moves meanwhile is waited for, as long
    /// as `is_wanted` says. Blocks.
    ///
    /// # Errors
    /// [`OpenError`] where a right or the partition is missing, or no leader answers in time, or none is waited for any
    /// more.
    pub fn ends(&self, partition: i32, is_wanted: impl Fn() -> bool) -> Result<(i64, i64), OpenError> {
        let until = Instant::now() + CALL_TIMEOUT;
        loop {
            match watermarks::of_partition(self.consumer.client(), &self.topic, partition, CALL_TIMEOUT) {
                Ok(ends) => return Ok(ends),
                Err(error) if lookup::is_missing_in(&error) => return Err(self.why_missing(partition, error)),
                Err(error) if rights::may_not(&error) || Instant::now() >= until || !is_wanted() => {
                    return Err(self.failure(error));
                }
                Err(_) => std::thread::sleep(ENDS_PAUSE),
            }
        }
    }

    /// A topic that may not be looked at is missing to librdkafka. Blocks.
    fn why_missing(&self, partition: i32, error: KafkaError) -> OpenError {
        let topic = &self.topic;
        let Ok(metadata) = self.consumer.fetch_metadata(Some(topic), CALL_TIMEOUT) else { return self.failure(error) };
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map(|found| found.error().map(RDKafkaErrorCode::from)) {
            Some(Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                OpenError::Stop(rights::may_not_read(topic).into())
            }
            Some(None) => OpenError::Again(format!("topic {topic} has no partition {partition}").into()),
            _ => self.failure(error),
        }
    }

    /// Logs what a poll has failed with. Where it is for good, says what to do about it: of which partition is not told.
    pub fn classify(&self, error: KafkaError) -> Option<OpenError> {
        self.consumer.context().error(&error, "reading the registry topic");
        let is_final = matches!(error, KafkaError::MessageConsumptionFatal(_))
            || rights::may_not(&error)
            || lookup::is_missing_in(&error);
        is_final.then(|| self.failure(error))
    }

    /// Why the topic can't be read, by what to do.
    pub fn failure(&self, error: KafkaError) -> OpenError {
        let topic = &self.topic;
        if rights::may_not(&error) {
            return OpenError::Stop(rights::may_not_read(topic).into());
        }
        if lookup::is_missing_in(&error) {
            return OpenError::Stop(format!("topic {topic} does not exist").into());
        }
        let cause = self.consumer.context().explained(error);
        OpenError::Again(ClientError::new(format!("topic {topic} can't be read"), cause).into())
    }
}
