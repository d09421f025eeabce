//! A batch on its way into the log, and in parts where the log is too slow for the whole.
//!
//! # Why a batch may be split
//!
//! A batch is what some writes have added to the state, one after the other. Had it been closed behind any of them, the
//! log would have been given what stands before that place, and then the rest. So the parts, committed in this order, are
//! a history that could have been without any split, whatever ends it in between: if only the first ones become
//! durable, the log holds what a batch that was closed there would have left, and the pages of the others are asked for
//! again. What must stay together (a page's events, dead letters, memory, cursor and counts of days) comes from one write, and
//! is never split. And only a batch of which nothing was written is: one whose outcome is unknown is never tried again.

use std::sync::Arc;

use super::feed_rows::FeedRows;
use crate::model::batch::{Batch, BatchSize};
use crate::model::disposition::RowCounts;
use crate::model::queued_write::QueuedWrite;
use crate::model::shard::AssignedShard;
use crate::model::shards::{Shards, WriteShards};

/// A batch, and where in it each of its writes ends: it may be cut there.
#[derive(Default)]
pub(super) struct PlannedBatch {
    pub batch: Arc<Batch>,
    ends: Vec<WriteEnd>,
}

/// Where a write ends that led to something.
struct WriteEnd {
    size: BatchSize,
    /// What it was counted as, and those behind it that led to nothing.
    rows: FeedRows,
    shards: WriteShards,
}

impl PlannedBatch {
    /// Adds what `write` leads to. Gives what it was counted as, and its shards: none where they are not there.
    pub fn take(&mut self, write: QueuedWrite, state: &mut Shards) -> (RowCounts, WriteShards) {
        // Nobody shares a batch that still grows.
        let batch = Arc::make_mut(&mut self.batch);
        let of = write.feed();
        let (counts, shards) = state.take(write, batch);
        let rows = FeedRows::of_write(of, counts);
        for shard in &shards {
            if !batch.shards.contains(shard) {
                batch.shards.push(*shard);
            }
        }
        let size = batch.size();
        match self.ends.last_mut() {
            // It has led to nothing, and is counted with the write before it: what it repeats may stand there, not durable yet.
            Some(end) if end.size == size => end.rows.add(rows),
            // So far there was nothing to write.
            Some(end) if end.size == BatchSize::default() => {
                end.rows.add(rows);
                (end.size, end.shards) = (size, shards.clone());
            }
            _ => self.ends.push(WriteEnd { size, rows, shards: shards.clone() }),
        }
        (counts, shards)
    }

    pub fn rows(&self) -> FeedRows {
        let mut rows = FeedRows::default();
        self.ends.iter().for_each(|end| rows.add(end.rows.clone()));
        rows
    }

    /// Whether it is more than one write's.
    pub fn may_be_halved(&self) -> bool {
        self.ends.len() > 1
    }

    /// Two parts of about the same size, in the order in which they have to be committed.
    pub fn halved(mut self) -> [PlannedBatch; 2] {
        let half = self.batch.weight / 2;
        let last = self.ends.len().saturating_sub(2);
        // Never behind the last write: each part has at least one.
        let middle = self.ends.iter().position(|end| end.size.weight >= half).unwrap_or(last).min(last);
        let second = self.split_off(middle + 1);
        [self, second]
    }

    /// What is left without the writes of shards that are not this instance's any more: whoever has them now asks for the same
    /// again. Writes of other shards know nothing of these.
    pub fn without(self, lost: &[AssignedShard]) -> PlannedBatch {
        let Batch { events, dead_letters, state, shard_records, days, .. } = Arc::unwrap_or_clone(self.batch);
        let (mut events, mut dead_letters) = (events.into_iter(), dead_letters.into_iter());
        let (mut state, mut shard_records) = (state.into_iter(), shard_records.into_iter());
        let mut days = days.into_iter();
        let (mut left, mut ends, mut cut) = (Batch::default(), Vec::new(), BatchSize::default());
        for end in self.ends {
            // Each list has the records in the order of the writes, so those of this one come next in each.
            let size = end.size.behind(cut);
            cut = end.size;
            let of_write = Batch {
                events: events.by_ref().take(size.events).collect(),
                dead_letters: dead_letters.by_ref().take(size.dead_letters).collect(),
                state: state.by_ref().take(size.state).collect(),
                shard_records: shard_records.by_ref().take(size.shard_records).collect(),
                days: days.by_ref().take(size.days).collect(),
                shards: Vec::new(),
                weight: size.weight,
            };
            if !end.shards.iter().any(|shard| lost.contains(shard)) {
                left.append(of_write);
                ends.push(WriteEnd { size: left.size(), ..end });
            }
        }
        let mut left = PlannedBatch { batch: Arc::new(left), ends };
        left.tell_shards();
        left
    }

    /// Keeps the first writes, and gives the others.
    fn split_off(&mut self, writes: usize) -> PlannedBatch {
        let cut = self.ends[writes - 1].size;
        let mut ends = self.ends.split_off(writes);
        ends.iter_mut().for_each(|end| end.size = end.size.behind(cut));
        let batch = Arc::make_mut(&mut self.batch).split_off(cut);
        let mut second = PlannedBatch { batch: Arc::new(batch), ends };
        self.tell_shards();
        second.tell_shards();
        second
    }

    /// Tells the batch whose it is.
    fn tell_shards(&mut self) {
        let mut shards: Vec<AssignedShard> = self.ends.iter().flat_map(|end| end.shards.iter().copied()).collect();
        shards.sort_unstable();
        shards.dedup();
        Arc::make_mut(&mut self.batch).shards = shards;
    }
}
