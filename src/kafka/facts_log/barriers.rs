//! How far each partition of the state is to be read, and how long a reading has come no further.

use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Message};

use crate::commit::log::OpenError;
use crate::kafka::client::state_poll::STALL_MAX;
use crate::model::fence::Fence;

const STALL_REPORT: Duration = Duration::from_secs(10);
/// Longer than `transaction.timeout.ms` is unless somebody has set it: then somebody has to look at it.
const STALL_WARNING: Duration = Duration::from_secs(2 * 60);
/// How long nothing comes before something is looked for that could be done about it: longer than a fence takes to be committed.
const HELD_UP_AFTER: Duration = Duration::from_millis(150);

/// Where a partition is read to.
pub(super) enum Barrier {
    /// This offset.
    End(i64),
    /// This record.
    Fence { key: Vec<u8>, value: Vec<u8> },
}

impl Barrier {
    pub fn fence(fence: &Fence) -> Barrier {
        Barrier::Fence { key: fence.key().into_bytes(), value: fence.encode() }
    }

    /// Whether a reading that has come to this record is through.
    pub fn is_met_by(&self, message: &BorrowedMessage<'_>) -> bool {
        match self {
            Barrier::End(end) => message.offset() + 1 >= *end,
            Barrier::Fence { key, value } => {
                message.key() == Some(key.as_slice()) && message.payload() == Some(value.as_slice())
            }
        }
    }

    /// Whether a reading that goes on at this offset is through. Positions also count what a reader never sees: markers of
    /// transactions, and aborted records.
    pub fn is_passed_at(&self, position: i64) -> bool {
        matches!(self, Barrier::End(end) if position >= *end)
    }
}

/// How long a reading has made no progress.
pub(super) struct Stall {
    since: Instant,
    reported: Instant,
    noted: Instant,
}

impl Stall {
    pub fn begin() -> Stall {
        let now = Instant::now();
        Stall { since: now, reported: now, noted: now }
    }

    /// When it was last reported is kept: many short ones are not reported more often than a long one.
    pub fn end(&mut self) {
        self.since = Instant::now();
        self.noted = self.since;
    }

    /// Whether nothing has come for a while, since this was last said.
    pub fn is_held_up(&mut self) -> bool {
        let is_held_up = self.noted.elapsed() > HELD_UP_AFTER;
        if is_held_up {
            self.noted = Instant::now();
        }
        is_held_up
    }

    /// Says from time to time that it lasts, and how many partitions of `topic` are not read to their ends.
    ///
    /// # Errors
    /// [`OpenError::Again`] once it has lasted too long.
    pub fn check(&mut self, topic: &str, unfinished: &[i32]) -> Result<(), OpenError> {
        let lasted = self.since.elapsed();
        if lasted > STALL_MAX {
            return Err(OpenError::Again(format!("the state topic {topic} could not be read to its end").into()));
        }
        if lasted > STALL_REPORT && self.reported.elapsed() > STALL_REPORT {
            self.reported = Instant::now();
            let (partitions, first) = (unfinished.len(), unfinished.iter().min());
            let seconds = lasted.as_secs();
            if lasted > STALL_WARNING {
                // Brokers that were killed between the decision to commit and the markers have been seen to forget these.
                tracing::warn!(
                    topic,
                    partitions,
                    first,
                    seconds,
                    "still waiting for an open transaction or an unreachable broker: a transaction that is older than its \
                     transaction.timeout.ms was forgotten by the brokers, and kafka-transactions.sh find-hanging names it"
                );
            } else {
                tracing::info!(
                    topic,
                    partitions,
                    first,
                    seconds,
                    "waiting for an open transaction or an unreachable broker"
                );
            }
        }
        Ok(())
    }
}
