//! Whether the brokers have ended a transaction wherever it had written: one that was aborted, or whose commit came late.
//!
//! An abort is carried out by markers in each of its partitions, and `init` of the next producer waits for these. But a broker that
//! leads nothing for a moment, as one that fences itself behind a standstill, takes the partitions for deleted then and never writes
//! them, though it has answered that the transaction is over (`docs/runbook.md`, *A transaction that brokers have forgotten*). Its records
//! stand open there, and the next marker of the same producer id in that partition is one for them, too: a commit of the repetition would
//! publish them beside it, and an abort behind a late commit would take its records back. So nothing is written again before they are ended.
//! Where that does not come to be, the log is opened anew: a restore reads to the end of the state before it writes anything there, and says
//! what it waits for.
//!
//! They are where a reader of what is committed gets past the last of them. One who does not may be held up by somebody else's transaction,
//! which is no reason to wait: then they are where something stands behind the last, which is their marker. Where somebody else writes to the
//! same partition in that moment, that something may be his; of a transaction's partitions others tell it then.
//!
//! Of records that were never acknowledged nobody knows whether, and where, they stand; they are not looked for. Nor does a restore look at
//! the topics of events: what is open there alone, with the state's end written, is met by the next commit.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::Consumer;

use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::topics::watermarks::{self, uncommitted_client};

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
#[error("topic {topic} partition {partition}: the brokers have not ended what was written there, at offset {last}")]
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

    /// Waits until all of them are ended. `committed` is told ends as whoever reads what is committed. Blocks.
    ///
    /// # Errors
    /// [`NotEnded`] with the first that is not within [`ENDED_WITHIN`].
    pub fn wait_until_ended<C: ClientContext>(
        &self,
        committed: &Client<C>,
        settings: &Settings,
    ) -> Result<(), NotEnded> {
        let until = Instant::now() + ENDED_WITHIN;
        let uncommitted = OnceCell::new();
        let is_followed = |known: &AcknowledgedPartition, timeout: Duration| {
            // Connected only where it is needed.
            let client = uncommitted.get_or_init(|| uncommitted_client(settings, LogContext::default()).ok());
            client.as_ref().is_some_and(|client| known.end(client.client(), timeout) > known.last + 1)
        };
        self.0.iter().try_for_each(|known| {
            loop {
                let left = until.saturating_duration_since(Instant::now()).max(LOOK_PAUSE);
                if known.end(committed, left) > known.last || is_followed(known, left) {
                    return Ok(());
                }
                if Instant::now() >= until {
                    return Err(known.not_ended());
                }
                std::thread::sleep(LOOK_PAUSE);
            }
        })
    }
}

impl AcknowledgedPartition {
    /// Where the partition ends for that client. Before everything, where it can't be told now: it may be in a moment.
    fn end<C: ClientContext>(&self, client: &Client<C>, timeout: Duration) -> i64 {
        watermarks::of_partition(client, &self.topic, self.partition, timeout).map_or(-1, |(_, end)| end)
    }

    fn not_ended(&self) -> NotEnded {
        let AcknowledgedPartition { topic, partition, last } = self.clone();
        NotEnded { topic, partition, last }
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
