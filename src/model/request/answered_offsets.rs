//! How far the request topic is answered, as it is kept on the state topic: in the transaction of the replies, under the
//! name of the request topic, so that it belongs to the topics and to no consumer group.
//!
//! | key, behind `answered/<request topic>/` | value |
//! |---|---|
//! | `<partition>` | version, the next offset to be read |
//! | `<partition>/app/<app>` | version, the first request of the app without an answer, the answered ones behind it, the deadlines that have passed behind it; none where all are answered |
//! | `<partition>/schemas/<bucket>` | version, what waits or has waited for a schema (see [`super::schema_bucket`]): the offset of the first, that of the first that nobody has looked at, the connector's own schema id, up to which offset it was that |
//! | `<partition>/schemas/<bucket>/app/<app>` | the same of these requests as of the app's others |
//! | `<partition>/log/<slot>` | version, fingerprints of records that were read (see [`super::log_fingerprints`]) |
//!
//! A request before the next offset is answered unless its app's record says otherwise; in a bucket, unless the bucket's
//! or its app's record there does. Numbers are big-endian.

use std::collections::{BTreeMap, BTreeSet};

use super::log_fingerprints::LogFingerprints;
use super::offset_tracker::{Expired, TrackerKey, TrackerRecord};
use super::schema_bucket::{BucketNumber, BucketRecord};

/// What the keys of all these records begin with. Whoever reads the state of the polls passes them by.
pub const ANSWERED_PREFIX: &str = "answered/";
const VERSION: u8 = 1;
/// Neither an offset nor the id of a schema.
const NONE: i64 = i64::MIN;

/// How far one partition is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnsweredOffsets {
    pub partition: i32,
    /// The offset that is read next.
    pub next: i64,
    /// Where there are requests without an answer.
    pub trackers: BTreeMap<TrackerKey, TrackerRecord>,
    /// Of whom something is kept that is not so any more.
    pub stale: BTreeSet<TrackerKey>,
    /// What waits, or has waited, for schemas.
    pub buckets: BTreeMap<BucketNumber, BucketRecord>,
    /// Of which something is kept that is not so any more.
    pub stale_buckets: BTreeSet<BucketNumber>,
    pub fingerprints: LogFingerprints,
}

/// One record; no value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetRecord {
    /// As in the table above.
    pub key: String,
    pub value: Option<Vec<u8>>,
}

/// Why it can't be told how far a partition is answered, with the key of the record that is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableOffsets {
    #[error("the record {0} is damaged; write a tombstone over it to have its requests answered again")]
    Damaged(String),
    #[error("the record {0} has version {1}, written by a newer promoter-connector; run that one")]
    Version(String, u8),
}

impl AnsweredOffsets {
    /// Where nothing was ever answered.
    pub fn at(partition: i32, next: i64) -> AnsweredOffsets {
        AnsweredOffsets { partition, next, ..AnsweredOffsets::default() }
    }

    /// Compares what is known with what stands in the log now: it begins at `low`, and `found` are the fingerprints of
    /// its records, as far as they are known here. Tells from where on it is another log, and forgets what was known of
    /// that part.
    pub fn settle(&mut self, low: i64, found: &BTreeMap<i64, u64>) -> Option<i64> {
        let divergence = self.fingerprints.divergence(low, found);
        divergence.into_iter().for_each(|end| self.cut(end));
        // What the topic has deleted nobody can answer any more.
        self.next = self.next.max(low);
        divergence
    }

    /// Takes what stands under `<bucket>`, or `<bucket>/app/<app>`; nothing where it is damaged.
    fn take_of_bucket(&mut self, key: &str, numbers: &[i64]) -> Option<()> {
        match key.split_once("/app/") {
            Some((number, app)) => {
                let key = TrackerKey::new(Some(number.parse().ok()?), app);
                self.trackers.insert(key, tracker(numbers)?);
            }
            None => drop(self.buckets.insert(key.parse().ok()?, bucket(numbers)?)),
        }
        Some(())
    }

    /// What is known of the log from `end` on was another's.
    pub fn cut(&mut self, end: i64) {
        self.next = self.next.min(end);
        self.stale_buckets.extend(self.buckets.keys());
        self.buckets.retain(|_, bucket| bucket.cut(end));
        // Before they are dropped: each has a record, which needs a tombstone or another one.
        self.stale.extend(self.trackers.keys().cloned());
        self.trackers.retain(|_, tracker| tracker.first < end);
        self.trackers.values_mut().for_each(|tracker| tracker.cut(end));
        self.fingerprints.cut(end);
    }
}

pub fn position(partition: i32, next: i64) -> OffsetRecord {
    OffsetRecord { key: partition.to_string(), value: Some(encode(std::iter::once(next))) }
}

pub fn bucket_record(partition: i32, number: BucketNumber, bucket: Option<&BucketRecord>) -> OffsetRecord {
    let value = bucket.map(|BucketRecord { since, behind, own }| {
        let behind = behind.unwrap_or(NONE);
        let (own, until) = own.map_or((NONE, NONE), |(own, until)| (i64::from(own), until));
        encode([*since, behind, own, until].into_iter())
    });
    OffsetRecord { key: format!("{partition}/schemas/{number}"), value }
}

pub fn tracker_record(
    partition: i32,
    TrackerKey { bucket, app }: &TrackerKey,
    tracker: Option<&TrackerRecord>,
) -> OffsetRecord {
    let value = tracker.map(|TrackerRecord { first, answered, expired }| {
        let steps = expired.steps();
        let counts = [*first, steps.len().try_into().unwrap_or(i64::MAX)];
        let steps = steps.flat_map(|(offset, time)| [offset, time]);
        encode(counts.into_iter().chain(steps).chain(answered.iter().copied()))
    });
    let key = match bucket {
        Some(bucket) => format!("{partition}/schemas/{bucket}/app/{app}"),
        None => format!("{partition}/app/{app}"),
    };
    OffsetRecord { key, value }
}

pub fn fingerprint_records(partition: i32, fingerprints: &mut LogFingerprints) -> impl Iterator<Item = OffsetRecord> {
    fingerprints.take_changed().into_iter().map(move |(slot, block)| OffsetRecord {
        key: format!("{partition}/log/{slot}"),
        value: block.map(|block| [&[VERSION], block.as_slice()].concat()),
    })
}

/// The records of a topic, as they come in their order: of each key the last one counts.
#[derive(Debug, Default)]
pub struct RestoredOffsets {
    records: BTreeMap<String, Vec<u8>>,
    /// Partitions whose record somebody has taken away.
    taken_away: BTreeSet<i32>,
}

impl RestoredOffsets {
    /// `key` is what stands behind `answered/<request topic>/`.
    pub fn take(&mut self, key: &str, value: Option<&[u8]>) {
        let partition = key.parse::<i32>().ok();
        match value {
            Some(value) => {
                self.records.insert(key.to_owned(), value.to_owned());
                partition.map(|partition| self.taken_away.remove(&partition));
            }
            None => {
                self.records.remove(key);
                self.taken_away.extend(partition);
            }
        }
    }

    /// Whether somebody wants the requests of the partition to be answered again.
    pub fn is_taken_away(&self, partition: i32) -> bool {
        self.taken_away.contains(&partition)
    }

    /// How far the partition is answered; nothing where nothing of it ever was.
    ///
    /// # Errors
    /// [`UnreadableOffsets`] for a record of it that is damaged, or written by a newer version.
    pub fn answered(&self, partition: i32) -> Result<Option<AnsweredOffsets>, UnreadableOffsets> {
        let key = partition.to_string();
        let Some(value) = self.records.get(&key) else { return Ok(None) };
        let numbers = decode(&key, value)?;
        let [next] = numbers[..] else { return Err(UnreadableOffsets::Damaged(key)) };
        let mut answered = AnsweredOffsets::at(partition, next);
        for (key, value, app) in self.below(&format!("{key}/app/")) {
            let tracker = tracker(&decode(key, value)?).ok_or_else(|| UnreadableOffsets::Damaged(key.clone()))?;
            answered.trackers.insert(TrackerKey::new(None, app), tracker);
        }
        for (key, value, rest) in self.below(&format!("{key}/schemas/")) {
            let numbers = decode(key, value)?;
            answered.take_of_bucket(rest, &numbers).ok_or_else(|| UnreadableOffsets::Damaged(key.clone()))?;
        }
        for (key, value, _) in self.below(&format!("{key}/log/")) {
            let block = versioned(key, value)?;
            answered.fingerprints.restore(block).ok_or_else(|| UnreadableOffsets::Damaged(key.clone()))?;
        }
        Ok(Some(answered))
    }

    /// Keys that begin so, with their values and the rest of the key.
    fn below<'a>(&'a self, begin: &'a str) -> impl Iterator<Item = (&'a String, &'a [u8], &'a str)> {
        let from = self.records.range(begin.to_owned()..);
        from.map_while(move |(key, value)| Some((key, value.as_slice(), key.strip_prefix(begin)?)))
    }
}

fn bucket(numbers: &[i64]) -> Option<BucketRecord> {
    let [since, behind, own, until] = *numbers else { return None };
    let own = if own == NONE { None } else { Some((i32::try_from(own).ok()?, until)) };
    Some(BucketRecord { since, behind: Some(behind).filter(|behind| *behind != NONE), own })
}

fn tracker(numbers: &[i64]) -> Option<TrackerRecord> {
    let (first, rest) = numbers.split_first()?;
    let (steps, rest) = rest.split_first()?;
    let (steps, answered) = rest.split_at_checked(usize::try_from(*steps).ok()?.checked_mul(2)?)?;
    let steps = steps.as_chunks::<2>().0.iter().map(|[offset, time]| (*offset, *time));
    Some(TrackerRecord { first: *first, answered: answered.iter().copied().collect(), expired: Expired::of(steps) })
}

fn encode(numbers: impl Iterator<Item = i64>) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    numbers.for_each(|number| bytes.extend(number.to_be_bytes()));
    bytes
}

/// # Errors
/// [`UnreadableOffsets`] where it is empty, or of another version.
fn versioned<'a>(key: &str, value: &'a [u8]) -> Result<&'a [u8], UnreadableOffsets> {
    match value.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((version, _)) => Err(UnreadableOffsets::Version(key.to_owned(), *version)),
        None => Err(UnreadableOffsets::Damaged(key.to_owned())),
    }
}

/// # Errors
/// [`UnreadableOffsets`] where it is of a later release, or no whole numbers.
fn decode(key: &str, value: &[u8]) -> Result<Vec<i64>, UnreadableOffsets> {
    let (numbers, rest) = versioned(key, value)?.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(UnreadableOffsets::Damaged(key.to_owned()));
    }
    Ok(numbers.iter().map(|number| i64::from_be_bytes(*number)).collect())
}

#[cfg(test)]
mod tests;
