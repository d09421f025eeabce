//! What is on its way to the one writer.

use super::batch::ShardRecord;
use super::dead_letter::DeadLetter;
use super::feed::Feed;
use super::page_facts::PageFacts;
use super::promoter::Promoter;
use super::removal::Removal;
use super::rewind::Rewind;
use super::shard::AssignedShard;
use super::state::FirstCursor;

/// One thing that is put into the write queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueuedWrite {
    /// First cursors, for feeds that have none, or only a memory that another feed keeps. Cursors of feeds that are
    /// polled stay as they are.
    FirstCursors(Vec<FirstCursor>),
    PageFacts(PageFacts),
    /// Records of shards themselves: whose they are, where they are taken over; how budgets are divided among them; and what only makes
    /// room for a note beside the offsets. [`super::state_record`] lists the keys.
    ShardRecords(Vec<ShardRecord>),
    /// Records of the registry that can't be read, of one shard, with their offsets in order.
    UnreadableRegistrations(AssignedShard, Vec<(i64, DeadLetter)>),
    /// Promoters of one shard that were removed, or have returned.
    Removals(AssignedShard, Vec<Removal>),
    /// The ledger is to be told of days of this shard that changed while there was none.
    UntoldDays(AssignedShard),
    /// Feeds that are to be asked again. Nothing comes of those that were met before.
    Rewinds(Vec<(Promoter, Feed, Rewind)>),
}

impl QueuedWrite {
    /// Whose page it is, and of which feed.
    pub fn feed(&self) -> Option<(Promoter, Feed)> {
        match self {
            QueuedWrite::FirstCursors(_)
            | QueuedWrite::ShardRecords(_)
            | QueuedWrite::UnreadableRegistrations(..)
            | QueuedWrite::Removals(..)
            | QueuedWrite::UntoldDays(_)
            | QueuedWrite::Rewinds(_) => None,
            QueuedWrite::PageFacts(page_facts) => Some((page_facts.promoter.clone(), page_facts.feed)),
        }
    }

    /// About how many bytes of memory it holds.
    pub fn weight(&self) -> usize {
        match self {
            QueuedWrite::FirstCursors(cursors) => 64 + cursors.len() * 128,
            QueuedWrite::ShardRecords(records) => 64 + records.len() * 1024,
            QueuedWrite::UnreadableRegistrations(_, letters) => {
                64 + letters.iter().map(|(_, letter)| 256 + letter.raw.len()).sum::<usize>()
            }
            QueuedWrite::Removals(_, removals) => 64 + removals.len() * 128,
            QueuedWrite::UntoldDays(_) => 64,
            QueuedWrite::Rewinds(rewinds) => 64 + rewinds.len() * 128,
            QueuedWrite::PageFacts(page_facts) => page_facts.weight(),
        }
    }
}
