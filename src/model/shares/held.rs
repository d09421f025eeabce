//! What an instance has of the budgets: the parts of the partitions that it owns. [`super`] argues for it.

use std::collections::BTreeMap;

use super::note::{Division, DivisionNumber, PartitionNote, ShareNote};
use super::{WHOLE, equal, least};
use crate::model::quota_share::Share;
use crate::model::shard::{OwnedShards, Shard};

/// The parts of an instance's partitions.
#[derive(Debug, Default)]
pub struct HeldShares {
    owned: BTreeMap<i32, HeldPartition>,
    in_all: usize,
    /// Of the group; 0 while this process is no member.
    generation: i32,
    ceiling: Ceiling,
    /// Counts the readings that have begun.
    readings: u64,
}

/// What partitions that go by divisions have at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ceiling {
    /// Equal parts.
    #[default]
    Equal,
    /// The same, and it is noted that it may be more.
    Noted,
    /// What their divisions give to them.
    Lifted,
}

#[derive(Debug)]
struct HeldPartition {
    /// Readings that had begun when it was assigned: what they bring may be older than what its last owner went by.
    assigned_after: u64,
    parts: HeldParts,
}

#[derive(Debug)]
enum HeldParts {
    /// It has read no division, and somebody may have more than an equal part.
    Least,
    /// It has read no division, and nobody has more than an equal part.
    Equal,
    Divided {
        number: DivisionNumber,
        /// By budget; of others an equal part.
        parts: BTreeMap<String, u16>,
    },
}

impl HeldShares {
    /// This is owned from now on.
    pub fn own(&mut self, now: &OwnedShards) {
        let before = std::mem::replace(&mut self.generation, now.generation);
        if now.generation != before {
            self.ceiling = Ceiling::Equal;
        }
        // In a generation between the two somebody else may have had them, and have gone by a later division.
        if now.generation != before && now.generation != before.saturating_add(1) {
            self.owned.clear();
        }
        self.in_all = now.in_all;
        self.owned.retain(|partition, _| now.owned.contains(partition));
        let assigned_after = self.readings;
        for partition in &now.owned {
            self.owned.entry(*partition).or_insert(HeldPartition { assigned_after, parts: HeldParts::Least });
        }
    }

    /// A reading begins. Gives its number.
    pub fn begin_reading(&mut self) -> u64 {
        self.readings += 1;
        self.readings
    }

    /// What a reading has brought of all partitions. Of those that were assigned since it began it tells no division. `is_heard`: whoever
    /// has not heard of this generation by now is no member any more.
    pub fn take(&mut self, reading: u64, notes: &[PartitionNote], is_heard: bool) {
        if self.in_all != notes.len() {
            return;
        }
        if let Some(division) = told(notes) {
            for (partition, held) in self.owned.iter_mut().filter(|(_, held)| held.assigned_after < reading) {
                // The divider's own goes by what its owner makes of the ledger, once he has that.
                if *partition != Shard::DIVIDING.0 {
                    held.follow(division, *partition);
                }
            }
        }
        if notes.iter().all(|note| self.is_equal_at_most(note, is_heard)) && self.is_undivided_noted(notes) {
            let least = self.owned.values_mut().filter(|held| matches!(held.parts, HeldParts::Least));
            least.for_each(|held| held.parts = HeldParts::Equal);
        }
        self.ceiling = match self.ceiling {
            _ if !self.has_more_than_equal() || !self.is_settled(notes) => Ceiling::Equal,
            Ceiling::Equal => Ceiling::Noted,
            Ceiling::Noted if self.is_ceiling_noted(notes) => Ceiling::Lifted,
            ceiling => ceiling,
        };
    }

    /// The owner of the divider's partition tells this division, whose ledger is durable.
    pub fn tell(&mut self, division: &Division) {
        if division.partitions == self.in_all
            && let Some(held) = self.owned.get_mut(&Shard::DIVIDING.0)
        {
            held.follow(division, Shard::DIVIDING.0);
        }
    }

    /// Whether the divider may begin a ledger by these notes: nobody has more than an equal part, nor will before the divider's own
    /// partition goes by a division.
    pub fn may_begin(&self, notes: &[PartitionNote]) -> bool {
        let is_undivided = self.owned.contains_key(&Shard::DIVIDING.0) && self.goes_by(Shard::DIVIDING.0).is_none();
        let is_equal = |note: &PartitionNote| self.of_this_generation(note).is_some_and(|note| !note.is_lifted);
        let are_equal = notes.len() == self.in_all && notes.iter().all(is_equal);
        is_undivided && are_equal && self.is_undivided_noted(notes)
    }

    /// How many own partitions have the least parts.
    pub fn least(&self) -> usize {
        self.owned.values().filter(|held| matches!(held.parts, HeldParts::Least)).count()
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// Whether it has, or is about to have, more than equal parts.
    pub fn is_lifted(&self) -> bool {
        self.ceiling != Ceiling::Equal
    }

    /// The division that it goes by in a partition.
    pub fn goes_by(&self, partition: i32) -> Option<DivisionNumber> {
        match self.owned.get(&partition)?.parts {
            HeldParts::Divided { number, .. } => Some(number),
            HeldParts::Least | HeldParts::Equal => None,
        }
    }

    /// Of one budget.
    pub fn share(&self, budget: &str) -> Share {
        if self.in_all == 0 {
            return Share::NONE;
        }
        if self.owned.len() >= self.in_all {
            return Share::ALL;
        }
        let parts = |held: &HeldPartition| usize::from(self.parts(held, budget));
        Share::of_parts(self.owned.values().map(parts).sum(), WHOLE.into())
    }

    fn parts(&self, held: &HeldPartition, budget: &str) -> u16 {
        let equal = equal(self.in_all);
        match &held.parts {
            HeldParts::Least => least(self.in_all),
            HeldParts::Equal => equal,
            HeldParts::Divided { parts, .. } => {
                let parts = parts.get(budget).copied().unwrap_or(equal);
                if self.ceiling == Ceiling::Lifted { parts } else { parts.min(equal) }
            }
        }
    }

    /// Whoever owns the partition of this note has no more than equal parts, by what it tells.
    fn is_equal_at_most(&self, note: &PartitionNote, is_heard: bool) -> bool {
        match note {
            PartitionNote::Absent | PartitionNote::Unfollowed => true,
            PartitionNote::Shares(note) if note.generation == self.generation => !note.is_lifted,
            PartitionNote::Shares(_) => is_heard,
        }
    }

    /// The notes let nobody take those of the own partitions that go by no division for such that do.
    fn is_undivided_noted(&self, notes: &[PartitionNote]) -> bool {
        let of = |partition: &i32| notes.get(usize::try_from(*partition).ok()?);
        let mut undivided = self.owned.keys().filter(|partition| self.goes_by(**partition).is_none());
        let division = |partition| self.of_this_generation(of(partition)?)?.goes_by;
        undivided.all(|partition| division(partition).is_none())
    }

    /// The notes of the own partitions tell everybody that they may have more than equal parts.
    fn is_ceiling_noted(&self, notes: &[PartitionNote]) -> bool {
        let of = |partition: &i32| notes.get(usize::try_from(*partition).ok()?);
        let is_noted = |partition| Some(self.of_this_generation(of(partition)?)?.is_lifted);
        self.owned.keys().all(|partition| is_noted(partition) == Some(true))
    }

    fn of_this_generation<'a>(&self, note: &'a PartitionNote) -> Option<&'a ShareNote> {
        match note {
            PartitionNote::Shares(note) if note.generation == self.generation => Some(note),
            PartitionNote::Shares(_) | PartitionNote::Absent | PartitionNote::Unfollowed => None,
        }
    }

    /// All go by divisions of one ledger in this generation.
    fn is_settled(&self, notes: &[PartitionNote]) -> bool {
        let ledger = |note| Some(self.of_this_generation(note)?.goes_by?.ledger);
        let first = notes.first().and_then(ledger);
        first.is_some() && notes.iter().all(|note| ledger(note) == first)
    }

    fn has_more_than_equal(&self) -> bool {
        let equal = equal(self.in_all);
        let has_more = |held: &HeldPartition| match &held.parts {
            HeldParts::Divided { parts, .. } => parts.values().any(|parts| *parts > equal),
            HeldParts::Least | HeldParts::Equal => false,
        };
        self.owned.values().any(has_more)
    }
}

impl HeldPartition {
    /// One that can't be read is as good as none, and none goes back.
    fn follow(&mut self, division: &Division, partition: i32) {
        let parts = usize::try_from(partition).ok().and_then(|partition| division.of(partition));
        let DivisionNumber { ledger, division: latest } = division.number;
        if matches!(self.parts, HeldParts::Divided { number, .. } if number.ledger == ledger && number.division > latest)
        {
            return;
        }
        if let Some(parts) = parts {
            self.parts = HeldParts::Divided { number: division.number, parts };
        }
    }
}

/// The latest division, where the divider knows it.
fn told(notes: &[PartitionNote]) -> Option<&Division> {
    match notes.first()? {
        PartitionNote::Shares(note) => note.division.as_ref().filter(|division| division.partitions == notes.len()),
        PartitionNote::Absent | PartitionNote::Unfollowed => None,
    }
}
