//! Which log the progress belongs to.
//!
//! An offset alone does not tell: a topic that was made anew, or lost its tail with the broker that led it, has the same
//! offsets with other records. So of the last records that were read a fingerprint is kept each. Before anything is read
//! on, they are compared with what stands in the log now: where the first one differs, or is missing, another log begins.
//!
//! They are kept in blocks of [`BLOCK`] offsets, under as many keys as there are [`SLOTS`], one after the other: a
//! transaction writes the blocks that it adds to, and compaction leaves no more than the last.

use std::collections::{BTreeMap, BTreeSet};

/// Offsets of one block.
pub const BLOCK: i64 = 256;
/// Blocks that are kept. A log that has lost more than they span is answered from its beginning.
pub const SLOTS: i64 = 64;
/// Of one record: its offset within the block, and its fingerprint.
const FINGERPRINT_BYTES: usize = 9;

/// Fingerprints of the last records of one partition that were read: those of [`SLOTS`] blocks of [`BLOCK`] offsets at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFingerprints {
    /// Fingerprints by offset.
    by_offset: BTreeMap<i64, u64>,
    /// Slots that are not written as they are.
    changed: BTreeSet<i64>,
}

fn slot(offset: i64) -> i64 {
    offset.div_euclid(BLOCK).rem_euclid(SLOTS)
}

impl LogFingerprints {
    pub fn add(&mut self, offset: i64, fingerprint: u64) {
        self.by_offset.insert(offset, fingerprint);
        self.changed.insert(slot(offset));
        // The slots of older blocks are taken.
        let oldest = (offset.div_euclid(BLOCK) - SLOTS + 1) * BLOCK;
        if self.by_offset.first_key_value().is_some_and(|(first, _)| *first < oldest) {
            self.by_offset = self.by_offset.split_off(&oldest);
        }
    }

    /// The last record that is known.
    pub fn last(&self) -> Option<(i64, u64)> {
        self.by_offset.last_key_value().map(|(offset, fingerprint)| (*offset, *fingerprint))
    }

    /// The offset of the first record that is known at `low` or behind it.
    pub fn first_from(&self, low: i64) -> Option<i64> {
        self.by_offset.range(low..).next().map(|(offset, _)| *offset)
    }

    /// Where the log begins that is another now, if it does: `found` are fingerprints of what stands there, from `low`
    /// on. What has been deleted before `low` tells nothing.
    pub fn divergence(&self, low: i64, found: &BTreeMap<i64, u64>) -> Option<i64> {
        let mut same_until = low;
        for (offset, fingerprint) in self.by_offset.range(low..) {
            if found.get(offset) != Some(fingerprint) {
                return Some(same_until);
            }
            same_until = offset + 1;
        }
        None
    }

    /// Forgets what stood at `end` and behind it.
    pub fn cut(&mut self, end: i64) {
        let lost = self.by_offset.split_off(&end);
        self.changed.extend(lost.keys().map(|offset| slot(*offset)));
    }

    /// The slots that have changed, and what they hold now; nothing is a tombstone.
    pub fn take_changed(&mut self) -> Vec<(i64, Option<Vec<u8>>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|slot| (slot, self.encode(slot))).collect()
    }

    /// The last block that belongs there, which may stand where one was that is lost.
    fn encode(&self, in_slot: i64) -> Option<Vec<u8>> {
        let last = self.by_offset.keys().rev().find(|offset| slot(**offset) == in_slot)?;
        let begin = last.div_euclid(BLOCK) * BLOCK;
        let by_offset = self.by_offset.range(begin..begin + BLOCK);
        let mut bytes = begin.to_be_bytes().to_vec();
        for (offset, fingerprint) in by_offset {
            bytes.push(u8::try_from(offset - begin).unwrap_or(u8::MAX));
            bytes.extend(fingerprint.to_be_bytes());
        }
        Some(bytes)
    }

    /// Takes a block as it was written; nothing where it is damaged.
    pub fn restore(&mut self, bytes: &[u8]) -> Option<()> {
        let (begin, by_offset) = bytes.split_first_chunk::<8>()?;
        let begin = i64::from_be_bytes(*begin);
        let (by_offset, rest) = by_offset.as_chunks::<FINGERPRINT_BYTES>();
        for [offset, fingerprint @ ..] in by_offset {
            self.by_offset.insert(begin.checked_add(i64::from(*offset))?, u64::from_be_bytes(*fingerprint));
        }
        rest.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(fingerprints: &mut LogFingerprints, slots: &mut BTreeMap<i64, Vec<u8>>) {
        for (slot, value) in fingerprints.take_changed() {
            match value {
                Some(value) => drop(slots.insert(slot, value)),
                None => drop(slots.remove(&slot)),
            }
        }
    }

    fn restored(slots: &BTreeMap<i64, Vec<u8>>) -> LogFingerprints {
        let mut fingerprints = LogFingerprints::default();
        slots.values().for_each(|bytes| fingerprints.restore(bytes).unwrap());
        fingerprints
    }

    fn number_of_blocks(fingerprints: &LogFingerprints) -> i64 {
        fingerprints.last().map_or(0, |(offset, _)| offset.div_euclid(BLOCK))
    }

    #[test]
    fn as_many_blocks_are_kept_as_there_are_slots() {
        let (mut fingerprints, mut slots) = (LogFingerprints::default(), BTreeMap::new());
        for offset in 0..BLOCK * SLOTS * 2 + 7 {
            fingerprints.add(offset, offset.cast_unsigned());
            if offset % 100 == 0 {
                written(&mut fingerprints, &mut slots);
            }
        }
        written(&mut fingerprints, &mut slots);
        assert_eq!(i64::try_from(slots.len()).unwrap(), SLOTS);
        let fingerprints = restored(&slots);
        let first = BLOCK * (SLOTS + 1);
        assert_eq!((fingerprints.first_from(0), fingerprints.last().unwrap().0), (Some(first), BLOCK * SLOTS * 2 + 6));
    }

    #[test]
    fn a_damaged_block_is_told() {
        assert_eq!(LogFingerprints::default().restore(&[0; 12]), None);
        assert_eq!(LogFingerprints::default().restore(&[0; 3]), None);
    }

    proptest! {
        /// Over any number of logs of which each lost its tail to the next one: the divergence is exactly where the
        /// tail was lost, also after a restart.
        #[test]
        fn a_log_that_lost_its_tail_is_told_exactly(
            logs in prop::collection::vec((prop::collection::vec(1..400i64, 1..80), any::<prop::sample::Index>()), 1..5),
            writes_at_once in any::<bool>(),
        ) {
            let (mut log, mut slots, mut fingerprints) = (BTreeMap::new(), BTreeMap::new(), LogFingerprints::default());
            for (number, (gaps, cut)) in logs.into_iter().enumerate() {
                let mut next = log.last_key_value().map_or(0, |(offset, _)| offset + 1);
                for gap in gaps {
                    next += gap;
                    let fingerprint = u64::try_from(next).unwrap() * 10 + number as u64;
                    log.insert(next, fingerprint);
                    fingerprints.add(next, fingerprint);
                }
                written(&mut fingerprints, &mut slots);
                fingerprints = restored(&slots);
                prop_assert_eq!(fingerprints.divergence(0, &log), None);
                // From there on every record is known.
                let known = log.keys().rev().take_while(|offset| fingerprints.by_offset.contains_key(offset)).last().copied();
                let oldest = (number_of_blocks(&fingerprints) - SLOTS + 1) * BLOCK;
                prop_assert!(number > 0 || known.unwrap() <= oldest.max(0) + 400, "as many as there is room for");
                let offsets: Vec<i64> = log.keys().copied().collect();
                let lost = offsets[cut.index(offsets.len())];
                log.split_off(&lost);
                let last = log.keys().last().copied();
                let same_until = last.map_or(0, |last| last + 1);
                let found = fingerprints.divergence(0, &log).unwrap();
                prop_assert!(found <= same_until, "nothing is skipped");
                if last >= known {
                    prop_assert_eq!(found, same_until, "and nothing is answered twice");
                }
                fingerprints.cut(found);
                log.split_off(&found);
                if writes_at_once {
                    written(&mut fingerprints, &mut slots);
                    fingerprints = restored(&slots);
                }
            }
        }
    }
}
