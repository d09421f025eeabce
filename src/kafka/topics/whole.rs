//! Reads one topic, or one of its partitions, to where it ends now, whoever writes to it.
//!
//! **Where that is.** Behind all that anybody has got into it, as [`TopicReader::ends`] argues, and not before the first transaction
//! that is open then. So a transaction is waited for until it ends, and the records of those that are committed are given, whoever
//! asks: a command that writes by what it has read writes over nothing that it has not seen, and one that says what is not there
//! (`verify`, `where`, `list`, `status`) does not say so of what stands there already. One that somebody leaves open ends the reading
//! with its place when the time is up, and is told before.

use std::time::{Duration, Instant};

use super::reader::{OpenTransaction, ReadFrom, ReadRecord, TopicEnds, TopicReadError, TopicReader};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::settings::Settings;
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;

const POLL: Duration = Duration::from_millis(100);
/// How long nothing comes before it is looked whether an open transaction is waited for.
const HELD_UP_AFTER: Duration = Duration::from_secs(10);

/// Gives the committed records one by one. All calls block.
pub struct WholeTopic {
    reader: TopicReader,
    ends: TopicEnds,
    topic: String,
    until: Instant,
}

impl WholeTopic {
    /// From its beginning. Given up at `until`.
    ///
    /// # Errors
    /// [`TopicReadError`] where the topic is missing or refused, or the brokers do not answer in time.
    pub fn open(settings: &Settings, topic: &str, until: Instant) -> Result<WholeTopic, TopicReadError> {
        let reader = TopicReader::open(settings, &[topic], ReadFrom::Beginning, left(until))?;
        WholeTopic::to_end(settings, reader, topic, until)
    }

    /// One partition from its beginning. Given up at `until`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_partition(
        settings: &Settings,
        topic: &str,
        partition: i32,
        until: Instant,
    ) -> Result<WholeTopic, TopicReadError> {
        let reader = TopicReader::open_partition(settings, topic, |_| partition, ReadFrom::Beginning, left(until))?;
        WholeTopic::to_end(settings, reader, topic, until)
    }

    /// The partition in which the records of `promoter` stand. Given up at `until`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_promoter(
        settings: &Settings,
        topic: &str,
        promoter: &Promoter,
        from: ReadFrom,
        until: Instant,
    ) -> Result<WholeTopic, TopicReadError> {
        let home = |partitions| Shard::of(promoter, partitions).0;
        let reader = TopicReader::open_partition(settings, topic, home, from, left(until))?;
        WholeTopic::to_end(settings, reader, topic, until)
    }

    /// # Errors
    /// Where the ends of the partitions are not told.
    fn to_end(
        settings: &Settings,
        reader: TopicReader,
        topic: &str,
        until: Instant,
    ) -> Result<WholeTopic, TopicReadError> {
        let ends = reader.ends(settings)?;
        Ok(WholeTopic { reader, ends, topic: topic.to_owned(), until })
    }

    /// The next record, or nothing where there are no more. What is written meanwhile may come along.
    ///
    /// # Errors
    /// [`TopicReadError`] where it can't be read on, or its end is not reached in time.
    pub fn next_record(&self) -> Result<Option<ReadRecord>, TopicReadError> {
        self.next_before(&self.ends)
    }

    /// Where the topic ends now: what is read from there on came later.
    ///
    /// # Errors
    /// [`TopicReadError`] where the brokers do not tell.
    pub fn ends_now(&self, settings: &Settings) -> Result<TopicEnds, TopicReadError> {
        Ok(self.reader.ends(settings)?)
    }

    /// How many records, with marks of transactions among them, stand before `ends` that were not given.
    ///
    /// # Errors
    /// [`TopicReadError`] where librdkafka does not tell its positions.
    pub fn count_left(&self, ends: &TopicEnds) -> Result<u64, TopicReadError> {
        Ok(self.reader.count_left(ends)?)
    }

    /// As [`next_record`](Self::next_record), up to `ends`.
    ///
    /// # Errors
    /// As there.
    pub fn next_before(&self, ends: &TopicEnds) -> Result<Option<ReadRecord>, TopicReadError> {
        let mut look_at = Instant::now() + HELD_UP_AFTER;
        let mut is_told = false;
        loop {
            if let Some(record) = self.reader.next(POLL)? {
                return Ok(Some(record));
            }
            // Only when nothing comes: asking for positions with every record would only cost.
            if self.reader.has_reached(ends)? {
                return Ok(None);
            }
            let now = Instant::now();
            if now >= self.until {
                let held_up = self.reader.held_up_by(ends)?;
                return Err(held_up.map_or_else(|| TopicReadError::TooLate(self.topic.clone()), TopicReadError::HeldUp));
            }
            if !is_told && now >= look_at {
                look_at = now + HELD_UP_AFTER;
                let held_up = self.reader.held_up_by(ends)?;
                is_told = held_up.is_some();
                held_up.iter().for_each(say);
            }
        }
    }

    /// How many the topic has, read or not.
    pub fn partitions(&self) -> i32 {
        i32::try_from(self.reader.partition_count()).unwrap_or(i32::MAX)
    }
}

fn say(OpenTransaction { topic, partition, offset }: &OpenTransaction) {
    tracing::warn!(
        topic,
        partition,
        offset,
        "waiting for a transaction that somebody has open: what stands behind it is not known yet"
    );
}

/// How long one request to the brokers may take.
fn left(until: Instant) -> Duration {
    // librdkafka takes none for "for ever".
    until.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), CALL_TIMEOUT)
}
