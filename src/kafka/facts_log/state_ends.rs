//! What is asked about the state before it is read: where its partitions end, and which of them were ever worked on.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use crate::commit::log::OpenError;
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::kafka::topics::watermarks::{self, uncommitted_client};

/// What a partition is given at least, if others without a leader have used up the time of all.
const CALL_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Stands with the offset of a partition whose fence was taken back: nothing else was ever written for it.
pub(super) const WITHDRAWN: &str = "withdrawn";

/// A partition, and where it ends.
type PartitionEnd = (i32, Result<Option<i64>, OpenError>);

/// Whom to ask about the state: an [`uncommitted`] client, or another one without transactions that is connected already.
pub(super) struct StateEnds<'a, C: ConsumerContext> {
    pub settings: &'a Settings,
    pub uncommitted: &'a BaseConsumer<C>,
}

impl<C: ConsumerContext> StateEnds<'_, C> {
    /// The end of each partition; none of one that is empty, and an [`OpenError::Again`] of one that nobody can tell of now: it
    /// holds up none of the others.
    pub fn of(&self, partitions: &[i32]) -> Vec<PartitionEnd> {
        let until = Instant::now() + CALL_TIMEOUT;
        let end = |partition: &i32| {
            let timeout = until.saturating_duration_since(Instant::now()).max(CALL_TIMEOUT_MIN);
            let ends =
                watermarks::of_partition(self.uncommitted.client(), &self.settings.topics.state, *partition, timeout);
            (*partition, ends.map(|(low, high)| (high > low).then_some(high)).map_err(again))
        };
        partitions.iter().map(end).collect()
    }

    /// Which of the registry's `partitions` the group has ever written for, as far as Kafka remembers: offsets are
    /// committed with every transaction, the first of which writes the fences.
    ///
    /// # Errors
    /// [`OpenError::Again`] where the group's offsets can't be asked for: one that nobody tells of would pass for one that
    /// was never worked on.
    pub fn worked_on(&self, partitions: &[i32]) -> Result<Vec<i32>, OpenError> {
        let mut requested = TopicPartitionList::new();
        for partition in partitions {
            requested.add_partition(&self.settings.topics.registry, *partition);
        }
        // Not to wait for transactions that are open: what they would tell is told by the fences.
        let committed = self.uncommitted.committed_offsets(requested, CALL_TIMEOUT).map_err(again)?;
        let mut known = Vec::new();
        for element in committed.elements() {
            // One that nobody could tell of looks like one that was never worked on.
            element.error().map_err(again)?;
            if matches!(element.offset(), Offset::Offset(_)) && element.metadata() != WITHDRAWN {
                known.push(element.partition());
            }
        }
        Ok(known)
    }
}

/// As [`uncommitted_client`], for the state.
///
/// # Errors
/// Where librdkafka makes no client of the settings.
pub(super) fn uncommitted(settings: &Settings) -> KafkaResult<LoggedConsumer> {
    uncommitted_client(settings, LogContext::default())
}

pub(super) fn again(error: KafkaError) -> OpenError {
    OpenError::Again(ClientError::new("the state topic can't be read", error).into())
}
