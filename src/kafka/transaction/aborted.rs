//! Whether the brokers have ended an aborted transaction wherever it had written.
//!
//! An abort is carried out by markers in each of its partitions, and `init` of the next producer waits for these. But a broker that
//! leads nothing for a moment, as one that fences itself behind a standstill, takes the partitions for deleted then and never writes
//! them, though it has answered that the transaction is over (`docs/runbook.md`, *A transaction that brokers have forgotten*). Its records
//! stand open there, and the next marker of the same producer id in that partition is one for them, too: a commit of the repetition would
//! publish them beside it. So nothing is written again before whoever reads what is committed gets past them. Where that does not
//! come to be, the log is opened anew: a restore reads to the end of the state before it writes anything there, and says what it waits for.
//!
//! Of records that were never acknowledged nobody knows whether, and where, they stand; they are not looked for. Nor does a restore look at
//! the topics of events: what is open there alone, with the state's end written, is met by the next commit.

use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};

use super::offsets::OwnedOffsets;
use crate::kafka::topics::watermarks;

/// How long the ends are waited for, all together. Markers take milliseconds.
const ENDED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Where records of one transaction were acknowledged.
#[derive(Debug, Default)]
pub struct AcknowledgedRecords(Vec<AcknowledgedPartition>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct AcknowledgedPartition {
    topic: String,
    partition: i32,
    /// The greatest of the offsets.
    last: i64,
}

/// Why no transaction may follow.
#[derive(Debug, thiserror::Error)]
#[error("topic {topic} partition {partition}: the brokers have not ended what was aborted there, at offset {last}")]
pub struct NotEnded {
    topic: String,
    partition: i32,
    last: i64,
}

impl AcknowledgedRecords {
    /// Called for every record that is delivered: those of a partition mostly follow on one another.
    pub fn add(&mut self, topic: &str, partition: i32, offset: i64) {
        let is_of = |known: &&mut AcknowledgedPartition| known.partition == partition && known.topic == topic;
        match self.0.iter_mut().rev().find(is_of) {
            Some(known) => known.last = known.last.max(offset),
            None => self.0.push(AcknowledgedPartition { topic: topic.to_owned(), partition, last: offset }),
        }
    }

    /// Only those of partitions with the numbers that go with the transaction. Nobody else writes there, so that no transaction of
    /// somebody else's holds up their ends; with topics of different counts of partitions others may.
    pub fn of_owned(self, offsets: &OwnedOffsets) -> AcknowledgedRecords {
        let is_owned = |partition| offsets.committed.iter().any(|committed| committed.partition == partition);
        AcknowledgedRecords(self.0.into_iter().filter(|known| is_owned(known.partition)).collect())
    }

    /// Waits until a client that reads what is committed gets past all of them. Blocks.
    ///
    /// # Errors
    /// [`NotEnded`] with the first that it does not get past within [`ENDED_WITHIN`].
    pub fn wait_until_ended<C: ClientContext>(&self, committed: &Client<C>) -> Result<(), NotEnded> {
        let until = Instant::now() + ENDED_WITHIN;
        self.0.iter().try_for_each(|known| known.wait_until_ended(committed, until))
    }
}

impl AcknowledgedPartition {
    /// # Errors
    /// [`NotEnded`] where it has not by `until`.
    fn wait_until_ended<C: ClientContext>(&self, committed: &Client<C>, until: Instant) -> Result<(), NotEnded> {
        let AcknowledgedPartition { topic, partition, last } = self;
        loop {
            let left = until.saturating_duration_since(Instant::now()).max(LOOK_PAUSE);
            // Whoever can't tell now may in a moment.
            let end = watermarks::of_partition(committed, topic, *partition, left).map_or(-1, |(_, end)| end);
            if end > *last {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(NotEnded { topic: topic.clone(), partition: *partition, last: *last });
            }
            std::thread::sleep(LOOK_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_each_partition_counts() {
        let mut records = AcknowledgedRecords::default();
        let acknowledged = [("state", 0, 5), ("state", 0, 6), ("touches", 0, 9), ("state", 1, 3), ("state", 0, 4)];
        acknowledged.into_iter().for_each(|(topic, partition, offset)| records.add(topic, partition, offset));
        let last = |topic: &str, partition, last| AcknowledgedPartition { topic: topic.into(), partition, last };
        assert_eq!(records.0, [last("state", 0, 6), last("touches", 0, 9), last("state", 1, 3)]);
    }
}
