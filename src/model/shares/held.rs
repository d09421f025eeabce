//! What an instance has of the budgets: the parts of the partitions that it owns, by the divisions that it has read.

use std::collections::{BTreeMap, BTreeSet};

use super::note::{Division, ToldDivision};
use super::{WHOLE, equal, least};
use crate::model::quota_share::Share;
use crate::model::shard::OwnedShards;

/// The parts of an instance's partitions. Of one that it was given it has [`least`] until it has read a division.
#[derive(Debug, Default)]
pub struct HeldShares {
    owned: BTreeMap<i32, HeldParts>,
    in_all: usize,
    /// Counts the readings that have begun.
    readings: u64,
}

#[derive(Debug, Default)]
struct HeldParts {
    /// Readings that had begun when it was assigned: what they bring may be older than what its last owner went by.
    assigned_after: u64,
    goes_by: Option<u64>,
    /// By budget; of others an equal part, once it goes by something.
    parts: BTreeMap<String, u16>,
    /// By no division, but by equal parts at most, for there is somebody who knows of none.
    is_unfollowed: bool,
}

impl HeldShares {
    /// This is owned from now on.
    pub fn own(&mut self, now: &OwnedShards) {
        self.in_all = now.in_all;
        self.owned.retain(|partition, _| now.owned.contains(partition));
        let assigned_after = self.readings;
        for partition in &now.owned {
            self.owned.entry(*partition).or_insert_with(|| HeldParts { assigned_after, ..HeldParts::default() });
        }
    }

    /// A reading begins. Gives its number.
    pub fn begin_reading(&mut self) -> u64 {
        self.readings += 1;
        self.readings
    }

    /// What a reading has brought, of so many partitions. Of those that were assigned since it began it tells nothing.
    pub fn take(&mut self, reading: u64, told: &ToldDivision, partitions: usize) {
        if self.in_all != partitions {
            return;
        }
        let equal = equal(partitions);
        for (partition, held) in self.owned.iter_mut().filter(|(_, held)| held.assigned_after < reading) {
            match told {
                ToldDivision::Unknown => {}
                ToldDivision::NotFollowed => held.equal_at_most(equal),
                ToldDivision::Division(division) => held.follow(division, *partition, partitions),
            }
        }
    }

    /// Partitions of which it does not know yet what they have.
    pub fn unknown(&self) -> BTreeSet<i32> {
        let is_unknown = |held: &HeldParts| held.goes_by.is_none() && !held.is_unfollowed;
        self.owned.iter().filter(|(_, held)| is_unknown(held)).map(|(partition, _)| *partition).collect()
    }

    /// The division that it goes by in a partition.
    pub fn goes_by(&self, partition: i32) -> Option<u64> {
        self.owned.get(&partition)?.goes_by
    }

    /// Of one budget.
    pub fn share(&self, budget: &str) -> Share {
        if self.in_all == 0 {
            return Share::NONE;
        }
        if self.owned.len() >= self.in_all {
            return Share::ALL;
        }
        let parts = |held: &HeldParts| usize::from(held.parts(budget, self.in_all));
        Share::of_parts(self.owned.values().map(parts).sum(), WHOLE.into())
    }
}

impl HeldParts {
    fn follow(&mut self, division: &Division, partition: i32, partitions: usize) {
        let parts = usize::try_from(partition).ok().and_then(|partition| division.of(partition));
        // One that can't be read is as good as none.
        let Some(parts) = parts.filter(|_| division.partitions == partitions) else { return };
        *self = HeldParts {
            assigned_after: self.assigned_after,
            goes_by: Some(division.number),
            parts,
            is_unfollowed: false,
        };
    }

    fn equal_at_most(&mut self, equal: u16) {
        self.parts.values_mut().for_each(|parts| *parts = equal.min(*parts));
        self.is_unfollowed = true;
    }

    fn parts(&self, budget: &str, partitions: usize) -> u16 {
        match self.goes_by {
            None if !self.is_unfollowed => least(partitions),
            _ => self.parts.get(budget).copied().unwrap_or_else(|| equal(partitions)),
        }
    }
}
