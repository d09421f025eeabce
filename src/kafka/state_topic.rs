//! Reading the state back.
//!
//! Called after `init_transactions`, which has ended whatever an earlier process left open under this
//! `transactional.id`. The barrier is the end of each partition as a `read_uncommitted` reader sees it: the offset
//! behind everything that any earlier owner got into the partition, committed or not. The state is whole when the
//! *position* of the `read_committed` reader has reached the barrier. Reaching the end of the partition is not enough,
//! for that is also reported at an open transaction, below the barrier; the reader then stays there until the
//! transaction ends, and so does this.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::context::LogContext;
use super::partition;
use super::settings::Settings;
use crate::commit::log::OpenError;
use crate::domain::state::State;
use crate::domain::state_record::{StateKey, StateValue};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// How long a restore may go without progress. An open transaction of another instance holds it for that one's
/// `transaction.timeout.ms` at most, which brokers limit to 15 minutes.
const STALL_MAX: Duration = Duration::from_secs(16 * 60);
const STALL_REPORT: Duration = Duration::from_secs(10);

/// Blocks until the state of `partitions` is whole. Cancelled by `cancel`. A record whose promoter belongs elsewhere
/// among `partitions_in_all` tells that their number was changed: what its owner would not find is published again.
pub fn restore(
    settings: &Settings,
    partitions: &[i32],
    partitions_in_all: i32,
    cancel: &CancellationToken,
) -> Result<State, OpenError> {
    let topic = settings.topics.state.as_str();
    let mut open = barriers(settings, topic, partitions)?;
    tracing::debug!(topic, partitions = open.len(), "reading the state to its barriers");
    let mut state = State::default();
    if open.is_empty() {
        return Ok(state);
    }
    let reader: BaseConsumer<LogContext> =
        settings.reader_config().create_with_context(LogContext::default()).map_err(again)?;
    // A leader that is not yet connected when the reading begins is tried again only half a second later.
    for partition in open.keys() {
        let _ = reader.fetch_watermarks(topic, *partition, CALL_TIMEOUT);
    }
    let mut assignment = TopicPartitionList::new();
    for partition in open.keys() {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning).map_err(again)?;
    }
    reader.assign(&assignment).map_err(again)?;

    let mut progress = Instant::now();
    let mut reported = Instant::now();
    while !open.is_empty() {
        if cancel.is_cancelled() {
            return Err(OpenError::Again("the partitions were revoked during the restore".into()));
        }
        match reader.poll(POLL) {
            Some(Ok(message)) => {
                progress = Instant::now();
                restore_record(&mut state, &message, partitions_in_all)?;
                if open.get(&message.partition()).is_some_and(|barrier| message.offset() + 1 >= *barrier) {
                    open.remove(&message.partition());
                }
                continue;
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(again(error)),
            Some(Err(error)) => reader.context().error(&error, "reading the state topic"),
        }
        let before = open.len();
        close_reached(&reader, &mut open)?;
        if open.len() < before {
            progress = Instant::now();
        }
        if progress.elapsed() > STALL_MAX {
            return Err(OpenError::Again(format!("the state topic {topic} could not be read to its end")));
        }
        if progress.elapsed() > STALL_REPORT && reported.elapsed() > STALL_REPORT {
            reported = Instant::now();
            tracing::info!(topic, partitions = open.len(), "waiting for an open transaction or an unreachable broker");
        }
    }
    state.restored();
    Ok(state)
}

/// The end offset of each partition that is not empty.
fn barriers(settings: &Settings, topic: &str, partitions: &[i32]) -> Result<HashMap<i32, i64>, OpenError> {
    let mut config = settings.plain_config();
    // The end that a consumer is told follows its isolation level; the barrier lies behind open transactions.
    config.set("isolation.level", "read_uncommitted");
    let consumer: BaseConsumer<LogContext> = config.create_with_context(LogContext::default()).map_err(again)?;
    let mut barriers = HashMap::new();
    for &partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, CALL_TIMEOUT).map_err(again)?;
        if high > low {
            barriers.insert(partition, high);
        }
    }
    Ok(barriers)
}

/// Positions also count what a reader never sees: markers of transactions, and aborted records.
fn close_reached(reader: &BaseConsumer<LogContext>, open: &mut HashMap<i32, i64>) -> Result<(), OpenError> {
    for element in reader.position().map_err(again)?.elements() {
        let Offset::Offset(position) = element.offset() else { continue };
        if open.get(&element.partition()).is_some_and(|barrier| position >= *barrier) {
            open.remove(&element.partition());
        }
    }
    Ok(())
}

fn restore_record(state: &mut State, message: &BorrowedMessage<'_>, partitions: i32) -> Result<(), OpenError> {
    let stop = |error: crate::domain::state_record::Unreadable| {
        OpenError::Stop(format!(
            "the state record at {} partition {} offset {} can't be used: {error}",
            message.topic(),
            message.partition(),
            message.offset()
        ))
    };
    let key = StateKey::decode(message.key().unwrap_or_default()).map_err(stop)?;
    let place = partition::of(key.promoter(), partitions);
    if message.partition() != place {
        return Err(OpenError::Stop(format!(
            "topic {} was written when it had another number of partitions: what is known of {} stands in partition {}, \
             and is looked for in {place}; go back to a topic with that number",
            message.topic(),
            key.promoter(),
            message.partition()
        )));
    }
    let value = message.payload().map(|bytes| StateValue::decode(&key, bytes)).transpose().map_err(stop)?;
    state.restore(key, value);
    Ok(())
}

fn again(error: KafkaError) -> OpenError {
    OpenError::Again(format!("the state topic can't be read: {error}"))
}
