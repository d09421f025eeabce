//! Compares the request topic with what is known of its answers: it may be another log meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use tokio_util::sync::CancellationToken;

use super::chunk_reader::ChunkReader;
use super::request_reader::again;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::topics::watermarks;
use crate::model::request::answered_offsets::{AnsweredOffsets, RestoredOffsets};
use crate::requests::log::FETCH_RECORDS_MAX;

const POLL: Duration = Duration::from_millis(50);
/// How long a log may look shorter than it was before it is believed: a new leader does not know its end at once.
const SHORTER_MAX: Duration = Duration::from_secs(10);

/// The comparison of one topic. All calls block.
pub struct Comparison<'a> {
    pub topic: &'a str,
    pub restored: &'a RestoredOffsets,
    pub chunks: &'a mut ChunkReader,
    pub stop: &'a CancellationToken,
}

impl Comparison<'_> {
    /// What is known of each partition, as far as its log is still the same.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where what is known can't be understood, and [`OpenError::Again`] where the request topic
    /// can't be read now.
    pub fn settle(&mut self, partitions: &[i32]) -> Result<Vec<AnsweredOffsets>, OpenError> {
        // One patience for all of them: they lie on the same brokers.
        let patience = Instant::now() + SHORTER_MAX;
        partitions.iter().map(|partition| self.settle_one(*partition, patience)).collect()
    }

    /// # Errors
    /// [`OpenError::Again`] where the partition can't be read now, [`OpenError::Stop`] where what is known of it can't be
    /// understood.
    fn settle_one(&mut self, partition: i32, patience: Instant) -> Result<AnsweredOffsets, OpenError> {
        let known = self.known(partition)?;
        let (low, _) = self.watermarks(partition)?;
        let Some(mut answered) = known else { return Ok(AnsweredOffsets::at(partition, low)) };
        let Some((last, fingerprint)) = answered.fingerprints.last().filter(|(last, _)| *last >= low) else {
            // Nothing is left of what was answered last, so there is nothing to compare.
            answered.settle(low, &BTreeMap::new());
            return Ok(answered);
        };
        let end = self.end(partition, last + 1, patience)?;
        // The last one alone first: where it is the same the log is, and nothing more has to be read.
        let found = self.fingerprints(partition, last.min(end), end.min(last + 1))?;
        if found.get(&last) == Some(&fingerprint) {
            answered.next = answered.next.min(end).max(last + 1);
            return Ok(answered);
        }
        let from = answered.fingerprints.first_from(low).unwrap_or(low);
        let found = self.fingerprints(partition, from, end.min(last + 1))?;
        if let Some(offset) = answered.settle(low, &found) {
            tracing::error!(
                topic = self.topic,
                partition,
                offset,
                last,
                "the request topic is another log from this offset on: was it made anew, or has it lost its tail? its \
                 requests are answered from there"
            );
        }
        Ok(answered)
    }

    /// # Errors
    /// [`OpenError::Stop`] where the records are damaged, or of a later release.
    fn known(&self, partition: i32) -> Result<Option<AnsweredOffsets>, OpenError> {
        self.restored.answered(partition).map_err(|error| {
            OpenError::Stop(LogError::because(format!("how far {} is answered can't be read", self.topic), error))
        })
    }

    /// The end of the partition, waited for where it should be at `expected` at least.
    ///
    /// # Errors
    /// [`OpenError::Again`] where the brokers can't be asked.
    fn end(&self, partition: i32, expected: i64, patience: Instant) -> Result<i64, OpenError> {
        loop {
            let (_, end) = self.watermarks(partition)?;
            if end >= expected || self.stop.is_cancelled() || Instant::now() >= patience {
                return Ok(end);
            }
            std::thread::sleep(POLL);
        }
    }

    /// # Errors
    /// [`OpenError::Again`] where the brokers do not tell them.
    fn watermarks(&self, partition: i32) -> Result<(i64, i64), OpenError> {
        watermarks::of_partition(self.chunks.consumer().client(), self.topic, partition, CALL_TIMEOUT).map_err(again)
    }

    /// Of the records from `from` to before `to`, all of which are there.
    ///
    /// # Errors
    /// [`OpenError::Again`] where they can't be read now.
    fn fingerprints(&mut self, partition: i32, mut from: i64, to: i64) -> Result<BTreeMap<i64, u64>, OpenError> {
        let mut found = BTreeMap::new();
        while from < to {
            let until = Instant::now() + CALL_TIMEOUT;
            let chunk = self.chunks.read(partition, from..to, FETCH_RECORDS_MAX, until, self.stop).map_err(again)?;
            if chunk.next <= from {
                // Without progress the loop would have no end.
                return Err(OpenError::Again(
                    format!("the requests of partition {partition} can't be read now").into(),
                ));
            }
            from = chunk.next;
            found.extend(chunk.records.iter().map(|record| (record.location.offset, record.fingerprint())));
        }
        Ok(found)
    }
}
