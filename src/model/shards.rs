//! What the connector knows, shard by shard: each comes with its assignment, and goes as a whole.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::batch::Batch;
use super::disposition::RowCounts;
use super::promoter::Promoter;
use super::queued_write::QueuedWrite;
use super::shard::{AssignedShard, Shard};
use super::state::{Cursors, State};

/// The shards of one write: one, but for what begins promoters of several.
pub type WriteShards = SmallVec<[AssignedShard; 1]>;

/// The states of the shards that this instance owns. Each write goes to the state of its promoter's shard; one whose shard is
/// not there comes to nothing, for whoever owns the shard now asks for the same again.
#[derive(Debug)]
pub struct Shards {
    /// Of the registry and of the state: promoters are placed by it.
    partitions: i32,
    states: HashMap<Shard, (u64, State)>,
}

impl Shards {
    /// None yet, of `partitions` in all.
    pub fn new(partitions: i32) -> Shards {
        Shards { partitions, states: HashMap::new() }
    }

    /// Takes a shard whose state was read whole.
    pub fn open(&mut self, AssignedShard { shard, number }: AssignedShard, mut state: State) {
        state.of_shard(shard);
        self.states.insert(shard, (number, state));
    }

    /// Drops what is known of a shard that is another's now, unless it has come back meanwhile.
    pub fn close(&mut self, AssignedShard { shard, number }: AssignedShard) {
        if self.states.get(&shard).is_some_and(|(opened, _)| *opened == number) {
            self.states.remove(&shard);
        }
    }

    /// How many facts are remembered in all of them.
    pub fn facts(&self) -> usize {
        self.states.values().map(|(_, state)| state.facts()).sum()
    }

    /// Of each of `promoters`, in their order, for whoever is about to poll them. Nothing of one whose shard is not there.
    pub fn cursors_of(&mut self, promoters: &[Promoter]) -> Vec<Cursors> {
        let cursors = |promoter: &Promoter| {
            let state = self.states.get_mut(&Shard::of(promoter, self.partitions));
            state.map(|(_, state)| state.share_cursors(promoter)).unwrap_or_default()
        };
        promoters.iter().map(cursors).collect()
    }

    /// Plans a write as [`State::take`] does, each part of it in its shard. Tells which shards it was planned in.
    pub fn take(&mut self, write: QueuedWrite, batch: &mut Batch) -> (RowCounts, WriteShards) {
        match write {
            QueuedWrite::PageFacts(page_facts) => {
                let Some((assigned, state)) = self.state_of(&page_facts.promoter) else { return Default::default() };
                let counts = state.take(page_facts, batch);
                (counts, WriteShards::from_elem(assigned, 1))
            }
            QueuedWrite::FirstCursors(cursors) => {
                let mut shards = WriteShards::new();
                for first in cursors {
                    let Some((assigned, state)) = self.state_of(&first.0) else { continue };
                    state.begin(vec![first], batch);
                    if !shards.contains(&assigned) {
                        shards.push(assigned);
                    }
                }
                (RowCounts::default(), shards)
            }
            QueuedWrite::ShardRecords(records) => {
                // Also where the shard is not there: its fence is written first, and its state is read up to that.
                let shards = records.iter().map(|record| record.assigned).collect();
                batch.shard_records.extend(records);
                (RowCounts::default(), shards)
            }
            QueuedWrite::UnreadableRegistrations(assigned, letters) => {
                let Some(state) = self.assigned_state(assigned) else { return Default::default() };
                (state.take_registrations(assigned, letters, batch), WriteShards::from_elem(assigned, 1))
            }
            QueuedWrite::Removals(assigned, removals) => {
                let Some(state) = self.assigned_state(assigned) else { return Default::default() };
                state.take_removals(removals, batch);
                (RowCounts::default(), WriteShards::from_elem(assigned, 1))
            }
            QueuedWrite::UntoldDays(assigned) => {
                let Some(state) = self.assigned_state(assigned) else { return Default::default() };
                state.tell_untold_days(batch);
                (RowCounts::default(), WriteShards::from_elem(assigned, 1))
            }
            QueuedWrite::Rewinds(rewinds) => {
                let mut shards = WriteShards::new();
                for (promoter, feed, rewind) in rewinds {
                    let Some((assigned, state)) = self.state_of(&promoter) else { continue };
                    state.rewind(promoter, feed, rewind, batch);
                    if !shards.contains(&assigned) {
                        shards.push(assigned);
                    }
                }
                (RowCounts::default(), shards)
            }
        }
    }

    /// That of one assignment of a shard, and of no other.
    fn assigned_state(&mut self, AssignedShard { shard, number }: AssignedShard) -> Option<&mut State> {
        let (opened, state) = self.states.get_mut(&shard)?;
        (*opened == number).then_some(state)
    }

    fn state_of(&mut self, promoter: &Promoter) -> Option<(AssignedShard, &mut State)> {
        let shard = Shard::of(promoter, self.partitions);
        let (number, state) = self.states.get_mut(&shard)?;
        Some((AssignedShard { shard, number: *number }, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::dead_letter::DeadLetter;
    use crate::model::feed::Feed;
    use crate::model::time::UnixTime;

    const PARTITIONS: i32 = 3;

    fn first(key: &str) -> (Promoter, Feed, Cursor) {
        (Promoter::from_key(key).unwrap(), Feed::Touches, Cursor::begin(Feed::Touches, UnixTime(5)))
    }

    #[test]
    fn what_is_written_of_a_shard_that_is_not_there_comes_to_nothing() {
        let promoters: Vec<Promoter> = (0..20).map(|n| Promoter::from_key(&format!("wx1/o{n}")).unwrap()).collect();
        let mut shards = Shards::new(PARTITIONS);
        let assigned = AssignedShard { shard: Shard(1), number: 7 };
        shards.open(assigned, State::default());
        let mut batch = Batch::default();
        let write = QueuedWrite::FirstCursors(promoters.iter().map(|promoter| first(promoter.key())).collect());
        let (_, planned) = shards.take(write, &mut batch);
        assert_eq!(planned.as_slice(), [assigned]);
        let is_here = |promoter: &&Promoter| Shard::of(promoter, PARTITIONS) == Shard(1);
        let here = promoters.iter().filter(is_here).count();
        assert!(here > 0 && here < promoters.len());
        assert_eq!(batch.state.len(), here);
        let known = shards.cursors_of(&promoters).iter().filter(|cursors| cursors.touches.is_some()).count();
        assert_eq!(known, here);
    }

    #[test]
    fn a_shard_that_has_come_back_is_not_closed_with_the_one_that_was_lost() {
        let mut shards = Shards::new(1);
        let assigned = |number| AssignedShard { shard: Shard(0), number };
        shards.open(assigned(2), State::default());
        shards.close(assigned(1));
        let planned = |shards: &mut Shards| {
            shards.take(QueuedWrite::FirstCursors(vec![first("wx1/o1")]), &mut Batch::default()).1
        };
        assert_eq!(planned(&mut shards).as_slice(), [assigned(2)]);
        shards.close(assigned(2));
        assert!(planned(&mut shards).is_empty());
    }

    #[test]
    fn a_registration_that_can_not_be_read_is_a_dead_letter_once_however_often_the_registry_is_read() {
        let assigned = AssignedShard { shard: Shard(0), number: 1 };
        let letter = |offset: i64| {
            let raw = Vec::from(offset.to_string());
            let letter = DeadLetter::of_row(
                Feed::Touches,
                Promoter::from_key("wx1/o1").unwrap(),
                "not_json",
                String::new(),
                raw.into(),
                UnixTime(5).as_millis(),
            );
            (offset, letter)
        };
        let mut batch = Batch::default();
        let mut read = |offsets: &[i64]| {
            let mut shards = Shards::new(1);
            let mut state = State::default();
            // As the state topic has it.
            let last = batch.shard_records.last().and_then(|record| record.value.clone());
            state.restore_registry_read(last.as_deref());
            shards.open(assigned, state);
            let letters = offsets.iter().map(|offset| letter(*offset)).collect();
            shards.take(QueuedWrite::UnreadableRegistrations(assigned, letters), &mut batch).0.dead_lettered
        };
        assert_eq!((read(&[3, 7]), read(&[3, 7]), read(&[3, 7, 8])), (2, 0, 1));
        assert_eq!(batch.dead_letters.len(), 3);
    }
}
