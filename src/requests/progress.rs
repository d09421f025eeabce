//! How far the request topic is answered, as it is kept on the state topic: in the transaction of the replies, under the
//! name of the request topic, so that it belongs to the topics and to no consumer group.
//!
//! | key, behind `answered/<request topic>/` | value |
//! |---|---|
//! | `<partition>` | version, the next offset to be read |
//! | `<partition>/app/<app>` | version, the first request of the app without an answer, the answered ones behind it, the deadlines that have passed behind it; none where all are answered |
//! | `<partition>/schemas/<strand>` | version, what waits or has waited for a schema (see [`super::strand`]): the offset of the first, that of the first that nobody has looked at, the connector's own schema id, up to which offset it was that |
//! | `<partition>/schemas/<strand>/app/<app>` | the same of these requests as of the app's others |
//! | `<partition>/log/<slot>` | version, fingerprints of records that were read (see [`super::trail`]) |
//!
//! A request before the next offset is answered unless its app's record says otherwise; in a strand, unless the strand's
//! or its app's record there does. Numbers are big-endian.

use std::collections::{BTreeMap, BTreeSet};

use super::strand::{StrandNumber, StrandRecord, WindowKey};
use super::trail::Trail;
use super::window::{Expired, WindowRecord};

const VERSION: u8 = 1;
/// Neither an offset nor the id of a schema.
const NONE: i64 = i64::MIN;

/// How far one partition is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub partition: i32,
    /// The offset that is read next.
    pub next: i64,
    /// Where there are requests without an answer.
    pub windows: BTreeMap<WindowKey, WindowRecord>,
    /// Of whom something is kept that is not so any more.
    pub stale: BTreeSet<WindowKey>,
    /// What waits, or has waited, for schemas.
    pub strands: BTreeMap<StrandNumber, StrandRecord>,
    /// Of which something is kept that is not so any more.
    pub stale_strands: BTreeSet<StrandNumber>,
    pub trail: Trail,
}

/// One record; no value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressRecord {
    /// As in the table above.
    pub key: String,
    pub value: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the record {0} is damaged; write a tombstone over it to have its requests answered again")]
    Damaged(String),
    #[error("the record {0} has version {1}, written by a newer promoter-connector; run that one")]
    Version(String, u8),
}

impl Progress {
    /// Where nothing was ever answered.
    pub fn at(partition: i32, next: i64) -> Progress {
        Progress { partition, next, ..Progress::default() }
    }

    /// The offset of the first request without an answer.
    pub fn first(&self) -> i64 {
        let windows = self.windows.values().map(|window| window.first);
        let behind = self.strands.values().filter_map(|strand| strand.behind);
        windows.chain(behind).fold(self.next, i64::min)
    }

    /// Compares what is known with what stands in the log now: it begins at `low`, and `found` are the fingerprints of
    /// its records, as far as they are known here. Tells from where on it is another log, and forgets what was known of
    /// that part.
    pub fn settle(&mut self, low: i64, found: &BTreeMap<i64, u64>) -> Option<i64> {
        let divergence = self.trail.divergence(low, found);
        divergence.into_iter().for_each(|end| self.cut(end));
        self.next = self.next.max(low);
        divergence
    }

    /// Takes what stands under `<strand>`, or `<strand>/app/<app>`; nothing where it is damaged.
    fn take_of_strand(&mut self, key: &str, numbers: &[i64]) -> Option<()> {
        match key.split_once("/app/") {
            Some((number, app)) => {
                let key = WindowKey::new(Some(number.parse().ok()?), app);
                self.windows.insert(key, window(numbers)?);
            }
            None => drop(self.strands.insert(key.parse().ok()?, strand(numbers)?)),
        }
        Some(())
    }

    /// What is known of the log from `end` on was another's.
    pub fn cut(&mut self, end: i64) {
        self.next = self.next.min(end);
        self.stale_strands.extend(self.strands.keys());
        self.strands.retain(|_, strand| strand.cut(end));
        self.stale.extend(self.windows.keys().cloned());
        self.windows.retain(|_, window| window.first < end);
        self.windows.values_mut().for_each(|window| window.cut(end));
        self.trail.cut(end);
    }
}

pub fn position(partition: i32, next: i64) -> ProgressRecord {
    ProgressRecord { key: partition.to_string(), value: Some(encode(std::iter::once(next))) }
}

pub fn strand_record(partition: i32, number: StrandNumber, strand: Option<&StrandRecord>) -> ProgressRecord {
    let value = strand.map(|StrandRecord { since, behind, own }| {
        let behind = behind.unwrap_or(NONE);
        let (own, until) = own.map_or((NONE, NONE), |(own, until)| (i64::from(own), until));
        encode([*since, behind, own, until].into_iter())
    });
    ProgressRecord { key: format!("{partition}/schemas/{number}"), value }
}

pub fn window_record(
    partition: i32,
    WindowKey { strand, app }: &WindowKey,
    window: Option<&WindowRecord>,
) -> ProgressRecord {
    let value = window.map(|WindowRecord { first, answered, expired }| {
        let steps = expired.steps();
        let counts = [*first, steps.len().try_into().unwrap_or(i64::MAX)];
        let steps = steps.flat_map(|(offset, time)| [offset, time]);
        encode(counts.into_iter().chain(steps).chain(answered.iter().copied()))
    });
    let key = match strand {
        Some(strand) => format!("{partition}/schemas/{strand}/app/{app}"),
        None => format!("{partition}/app/{app}"),
    };
    ProgressRecord { key, value }
}

pub fn trail_records(partition: i32, trail: &mut Trail) -> impl Iterator<Item = ProgressRecord> {
    trail.take_changed().into_iter().map(move |(slot, block)| ProgressRecord {
        key: format!("{partition}/log/{slot}"),
        value: block.map(|block| [&[VERSION], block.as_slice()].concat()),
    })
}

/// The records of a topic, as they come in their order: of each key the last one counts.
#[derive(Debug, Default)]
pub struct Restored {
    records: BTreeMap<String, Vec<u8>>,
    /// Partitions whose record somebody has taken away.
    taken_away: BTreeSet<i32>,
}

impl Restored {
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

    /// Nothing where nothing of the partition was ever answered.
    pub fn progress(&self, partition: i32) -> Result<Option<Progress>, Unreadable> {
        let key = partition.to_string();
        let Some(value) = self.records.get(&key) else { return Ok(None) };
        let numbers = decode(&key, value)?;
        let [next] = numbers[..] else { return Err(Unreadable::Damaged(key)) };
        let mut progress = Progress::at(partition, next);
        for (key, value, app) in self.below(&format!("{key}/app/")) {
            let window = window(&decode(key, value)?).ok_or_else(|| Unreadable::Damaged(key.clone()))?;
            progress.windows.insert(WindowKey::new(None, app), window);
        }
        for (key, value, rest) in self.below(&format!("{key}/schemas/")) {
            let numbers = decode(key, value)?;
            progress.take_of_strand(rest, &numbers).ok_or_else(|| Unreadable::Damaged(key.clone()))?;
        }
        for (key, value, _) in self.below(&format!("{key}/log/")) {
            let block = versioned(key, value)?;
            progress.trail.restore(block).ok_or_else(|| Unreadable::Damaged(key.clone()))?;
        }
        Ok(Some(progress))
    }

    /// Keys that begin so, with their values and the rest of the key.
    fn below<'a>(&'a self, begin: &'a str) -> impl Iterator<Item = (&'a String, &'a [u8], &'a str)> {
        let from = self.records.range(begin.to_owned()..);
        from.map_while(move |(key, value)| Some((key, value.as_slice(), key.strip_prefix(begin)?)))
    }
}

fn strand(numbers: &[i64]) -> Option<StrandRecord> {
    let [since, behind, own, until] = *numbers else { return None };
    let own = if own == NONE { None } else { Some((i32::try_from(own).ok()?, until)) };
    Some(StrandRecord { since, behind: Some(behind).filter(|behind| *behind != NONE), own })
}

fn window(numbers: &[i64]) -> Option<WindowRecord> {
    let (first, rest) = numbers.split_first()?;
    let (steps, rest) = rest.split_first()?;
    let (steps, answered) = rest.split_at_checked(usize::try_from(*steps).ok()?.checked_mul(2)?)?;
    let steps = steps.as_chunks::<2>().0.iter().map(|[offset, time]| (*offset, *time));
    Some(WindowRecord { first: *first, answered: answered.iter().copied().collect(), expired: Expired::of(steps) })
}

fn encode(numbers: impl Iterator<Item = i64>) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    numbers.for_each(|number| bytes.extend(number.to_be_bytes()));
    bytes
}

fn versioned<'a>(key: &str, value: &'a [u8]) -> Result<&'a [u8], Unreadable> {
    match value.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((version, _)) => Err(Unreadable::Version(key.to_owned(), *version)),
        None => Err(Unreadable::Damaged(key.to_owned())),
    }
}

fn decode(key: &str, value: &[u8]) -> Result<Vec<i64>, Unreadable> {
    let (numbers, rest) = versioned(key, value)?.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Unreadable::Damaged(key.to_owned()));
    }
    Ok(numbers.iter().map(|number| i64::from_be_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_window() -> impl Strategy<Value = WindowRecord> {
        let steps = prop::collection::btree_map(any::<i64>(), any::<i64>(), 0..5);
        (any::<i64>(), prop::collection::btree_set(any::<i64>(), 0..20), steps)
            .prop_map(|(first, answered, steps)| WindowRecord { first, answered, expired: Expired::of(steps) })
    }

    fn any_strand() -> impl Strategy<Value = StrandRecord> {
        let own = prop::option::of((any::<i32>(), 0..i64::MAX));
        (0..i64::MAX, prop::option::of(0..i64::MAX), own).prop_map(|(since, behind, own)| StrandRecord {
            since,
            behind,
            own,
        })
    }

    fn any_progress() -> impl Strategy<Value = Progress> {
        let marks = prop::collection::btree_set(0..3000i64, 0..40);
        let key = (any::<Option<u8>>(), "wx[0-9a-f]{1,3}").prop_map(|(strand, app)| WindowKey { strand, app });
        let windows = prop::collection::btree_map(key, any_window(), 0..4);
        let strands = prop::collection::btree_map(any::<u8>(), any_strand(), 0..4);
        (0..3i32, any::<i64>(), windows, strands, marks).prop_map(|(partition, next, windows, strands, marks)| {
            let mut trail = Trail::default();
            marks.into_iter().for_each(|offset| trail.mark(offset, u64::MAX - offset.cast_unsigned()));
            Progress { partition, next, windows, strands, trail, ..Progress::default() }
        })
    }

    fn records(progress: &mut Progress) -> Vec<ProgressRecord> {
        let Progress { partition, next, windows, strands, .. } = &*progress;
        let windows = windows.iter().map(|(key, window)| window_record(*partition, key, Some(window)));
        let strands = strands.iter().map(|(number, strand)| strand_record(*partition, *number, Some(strand)));
        let mut records: Vec<_> = std::iter::once(position(*partition, *next)).chain(windows).chain(strands).collect();
        records.extend(trail_records(progress.partition, &mut progress.trail));
        records
    }

    proptest! {
        #[test]
        fn progress_is_read_back_as_it_was_written(
            progress in prop::collection::btree_map(Just(()), any_progress(), 1..2), other in any_progress(),
        ) {
            let mut progress = progress.into_values().next().unwrap();
            let mut other = Progress { partition: progress.partition + 10, ..other };
            let mut restored = Restored::default();
            for record in records(&mut other).into_iter().chain(records(&mut progress)) {
                restored.take(&record.key, record.value.as_deref());
            }
            prop_assert_eq!(restored.progress(progress.partition).unwrap(), Some(progress));
            prop_assert_eq!(restored.progress(other.partition).unwrap(), Some(other));
            prop_assert_eq!(restored.progress(99).unwrap(), None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(values in prop::collection::vec(any::<Vec<u8>>(), 5)) {
            let mut restored = Restored::default();
            for (key, value) in ["0", "0/app/wx1", "0/log/5", "0/schemas/7", "0/schemas/7/app/wx1"].into_iter().zip(&values) {
                restored.take(key, Some(value));
            }
            let _ = restored.progress(0);
        }
    }

    #[test]
    fn what_a_newer_release_wrote_or_nobody_can_read_is_told_by_its_key_and_healed_by_a_tombstone() {
        let mut restored = Restored::default();
        restored.take("0", Some(&[VERSION, 0, 0, 0, 0, 0, 0, 0, 7]));
        restored.take("0/app/wx1", Some(&[9, 1, 2]));
        assert_eq!(restored.progress(0), Err(Unreadable::Version("0/app/wx1".into(), 9)));
        restored.take("0/app/wx1", Some(&[VERSION, 1]));
        assert_eq!(restored.progress(0), Err(Unreadable::Damaged("0/app/wx1".into())));
        restored.take("0/app/wx1", None);
        assert_eq!(restored.progress(0), Ok(Some(Progress::at(0, 7))));
    }

    #[test]
    fn what_stood_in_the_lost_tail_is_forgotten() {
        let window = |first, answered: &[i64]| WindowRecord {
            first,
            answered: answered.iter().copied().collect(),
            expired: Expired::of([(first, 5), (first + 20, 3)]),
        };
        let mut progress = Progress::at(0, 100);
        let [a, b] = ["a", "b"].map(|app| WindowKey::new(Some(1), app));
        let strand = |since, behind| StrandRecord { behind, ..StrandRecord::begin(since, None) };
        progress.strands = [(1, strand(10, Some(20))), (2, strand(10, Some(60))), (3, strand(60, Some(60)))].into();
        progress.windows = [(a.clone(), window(30, &[40, 50, 70])), (b.clone(), window(50, &[]))].into();
        progress.cut(50);
        assert_eq!((progress.next, progress.first()), (50, 20));
        assert_eq!(progress.strands, [(1, strand(10, Some(20))), (2, strand(10, None))].into());
        let cut = WindowRecord { expired: Expired::of([(30, 5)]), ..window(30, &[40]) };
        assert_eq!(progress.windows, [(a.clone(), cut)].into());
        assert_eq!((progress.stale, progress.stale_strands), ([a, b].into(), [1, 2, 3].into()));
    }
}
