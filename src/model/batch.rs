//! Events, dead letters and state records that become durable together or not at all.

use super::day_record::DayRecord;
use super::dead_letter::DeadLetter;
use super::fact::Fact;
use super::fence::Fence;
use super::promoter::Promoter;
use super::shard::AssignedShard;
use super::state_record::StateRecord;
use super::time::{UnixMillis, UnixTime};

/// A fact on its way to its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub promoter: Promoter,
    pub fact: Fact,
    /// When the page that showed it was read.
    pub observed_at: UnixMillis,
    /// As [`PageFacts::asked_before`](super::page_facts::PageFacts::asked_before) of that page.
    pub asked_before: Option<UnixTime>,
}

/// A record of a shard itself: whose it is, how far its registry is read, how budgets are divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRecord {
    pub assigned: AssignedShard,
    pub key: String,
    /// Nothing for one that is taken back: a fence.
    pub value: Option<Vec<u8>>,
}

impl ShardRecord {
    pub(crate) fn is_fence(&self) -> bool {
        Fence::connector_of(self.key.as_bytes()).is_some()
    }
}

/// What one transaction writes. The committer bounds it, by records and by bytes.
///
/// The offsets that a Kafka transaction also carries are not listed here: they say which generation of the group
/// writes, not what it writes, so the log adds them itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub events: Vec<Event>,
    pub dead_letters: Vec<DeadLetter>,
    pub state: Vec<StateRecord>,
    pub shard_records: Vec<ShardRecord>,
    /// Of each day the last one alone counts.
    pub days: Vec<DayRecord>,
    /// Whose all of these are, each once: it may be written only as long as they are this instance's.
    pub shards: Vec<AssignedShard>,
    /// About how many bytes of memory it holds.
    pub weight: usize,
}

/// How much a batch holds of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchSize {
    pub events: usize,
    pub dead_letters: usize,
    pub state: usize,
    pub shard_records: usize,
    pub days: usize,
    pub weight: usize,
}

impl BatchSize {
    /// What of this is left behind `cut`.
    pub fn behind(self, cut: BatchSize) -> BatchSize {
        BatchSize {
            events: self.events - cut.events,
            dead_letters: self.dead_letters - cut.dead_letters,
            state: self.state - cut.state,
            shard_records: self.shard_records - cut.shard_records,
            days: self.days - cut.days,
            weight: self.weight - cut.weight,
        }
    }
}

impl Batch {
    pub fn size(&self) -> BatchSize {
        let (events, dead_letters, state) = (self.events.len(), self.dead_letters.len(), self.state.len());
        let (shard_records, days) = (self.shard_records.len(), self.days.len());
        BatchSize { events, dead_letters, state, shard_records, days, weight: self.weight }
    }

    /// Keeps what it held when it was as large as `cut`, and gives the rest. Both have the shards of the whole.
    pub fn split_off(&mut self, cut: BatchSize) -> Batch {
        let weight = self.weight - cut.weight;
        self.weight = cut.weight;
        Batch {
            events: self.events.split_off(cut.events),
            dead_letters: self.dead_letters.split_off(cut.dead_letters),
            state: self.state.split_off(cut.state),
            shard_records: self.shard_records.split_off(cut.shard_records),
            days: self.days.split_off(cut.days),
            shards: self.shards.clone(),
            weight,
        }
    }

    /// Adds what `other` holds.
    pub fn append(&mut self, mut other: Batch) {
        self.events.append(&mut other.events);
        self.dead_letters.append(&mut other.dead_letters);
        self.state.append(&mut other.state);
        self.shard_records.append(&mut other.shard_records);
        self.days.append(&mut other.days);
        self.weight += other.weight;
    }

    /// Whether it takes a shard over, or gives that up again.
    pub(crate) fn has_fences(&self) -> bool {
        self.shard_records.iter().any(ShardRecord::is_fence)
    }

    pub fn is_empty(&self) -> bool {
        self.records() == 0
    }

    pub fn records(&self) -> usize {
        self.events.len() + self.dead_letters.len() + self.state.len() + self.shard_records.len() + self.days.len()
    }

    pub(super) fn push_day(&mut self, record: DayRecord) {
        self.weight += size_of::<DayRecord>();
        self.days.push(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shard::Shard;
    use crate::model::state::REGISTRY_READ_KEY;

    #[test]
    fn only_fences_take_a_shard_over() {
        let of = |key: String| {
            let assigned = AssignedShard { shard: Shard(0), number: 1 };
            Batch { shard_records: vec![ShardRecord { assigned, key, value: None }], ..Batch::default() }.has_fences()
        };
        assert!(of(Fence::key_of("shop")));
        assert!(!of(REGISTRY_READ_KEY.to_owned()), "how far the registry is read");
    }
}
