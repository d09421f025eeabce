//! Which records of the topic hold the memory of a feed.
//!
//! Each is looked at when it is written, when all of it has passed, and when the topic is read: never because of another
//! one. There may be hundreds of thousands of them, of a promoter whose facts come one by one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The `seen` records of one feed, by the time by which all of each has passed.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    by_time: BinaryHeap<Reverse<Chunk>>,
    /// What the topic says, as long as it is read.
    read: Vec<ReadChunk>,
    /// How many of these there were when the latest of each number had been picked out last.
    distinct: usize,
    next: u64,
}

/// One `seen` record of the topic.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Chunk {
    /// The latest time in it.
    newest: u32,
    number: u64,
    facts: u32,
}

/// A record as the topic has it.
#[derive(Debug)]
struct ReadChunk {
    number: u64,
    newest: u32,
    /// Nothing of a tombstone.
    facts: u32,
}

/// A chunk that has passed as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PassedChunk {
    pub number: u64,
    pub facts: usize,
}

/// So many records may be read before those that count are picked out of them.
const READ_MIN: usize = 64;

impl Chunks {
    /// How many there are, once the topic has been read.
    #[cfg(any(test, debug_assertions, feature = "testing"))]
    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty() && self.read.is_empty()
    }

    /// Adds one with so many facts, none of them later than `newest`, and gives its number.
    pub fn add(&mut self, newest: u32, facts: usize) -> u64 {
        let number = self.next;
        self.next += 1;
        self.by_time.push(Reverse(Chunk { newest, facts: bounded(facts), number }));
        number
    }

    /// Takes out one whose facts all lie before `horizon`, in Unix seconds.
    pub fn take_passed(&mut self, horizon: i64) -> Option<PassedChunk> {
        let Reverse(first) = self.by_time.peek()?;
        if i64::from(first.newest) >= horizon {
            return None;
        }
        let Reverse(Chunk { number, facts, .. }) = self.by_time.pop()?;
        Some(PassedChunk { number, facts: facts as usize })
    }

    /// Takes a record of the topic, in place of the one with its number; one without facts is a tombstone.
    pub fn read(&mut self, number: u64, newest: u32, facts: usize) {
        self.read.push(ReadChunk { number, newest, facts: bounded(facts) });
        if self.read.len() > READ_MIN + 2 * self.distinct {
            self.pick_latest();
        }
    }

    /// Of each number the latest record counts. Costs no more than reading as many as there have come since it was done last.
    fn pick_latest(&mut self) {
        // Those of one number stay in their order, and most come in the order of their numbers.
        self.read.sort_by_key(|chunk| Reverse(chunk.number));
        // Now the latest of each number comes first, which is the one that stays.
        self.read.reverse();
        self.read.dedup_by_key(|chunk| chunk.number);
        self.read.retain(|chunk| chunk.facts > 0);
        self.distinct = self.read.len();
    }

    /// The topic has been read to its end.
    pub fn restored(&mut self) {
        self.pick_latest();
        let read = std::mem::take(&mut self.read);
        self.next = read.last().map_or(0, |last| last.number + 1);
        let chunk = |ReadChunk { number, newest, facts }| Reverse(Chunk { newest, facts, number });
        self.by_time = read.into_iter().map(chunk).collect();
        self.distinct = 0;
    }
}

/// A chunk holds a page at most.
fn bounded(facts: usize) -> u32 {
    u32::try_from(facts).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn passed(chunks: &mut Chunks, horizon: i64) -> Vec<u64> {
        std::iter::from_fn(|| chunks.take_passed(horizon)).map(|chunk| chunk.number).collect()
    }

    #[test]
    fn a_chunk_passes_with_the_latest_of_its_facts_whatever_stands_before_it() {
        let mut chunks = Chunks::default();
        let numbers = [30, 10, 20].map(|newest| chunks.add(newest, 1));
        assert_eq!(numbers, [0, 1, 2]);
        assert!(passed(&mut chunks, 10).is_empty());
        assert_eq!(passed(&mut chunks, 21), [1, 2]);
        assert_eq!((chunks.len(), chunks.add(40, 1)), (1, 3));
    }

    proptest::proptest! {
        #[test]
        fn the_last_record_of_each_number_counts(
            records in proptest::collection::vec((0..200u64, 0..100u32, 0..3usize), 0..1000),
        ) {
            let (mut chunks, mut expected) = (Chunks::default(), BTreeMap::new());
            for (number, newest, facts) in records {
                chunks.read(number, newest, facts);
                match facts {
                    0 => drop(expected.remove(&number)),
                    _ => drop(expected.insert(number, newest)),
                }
            }
            chunks.restored();
            let next = expected.keys().next_back().map_or(0, |last| last + 1);
            proptest::prop_assert_eq!(chunks.len(), expected.len());
            let mut by_time: Vec<(u32, u64)> = expected.into_iter().map(|(number, newest)| (newest, number)).collect();
            by_time.sort_unstable();
            let numbers: Vec<u64> = by_time.into_iter().map(|(_, number)| number).collect();
            proptest::prop_assert_eq!(passed(&mut chunks, 1000), numbers);
            proptest::prop_assert_eq!(chunks.add(0, 1), next);
        }
    }
}
