//! What becomes of each row that a page has shown.

use smallvec::{SmallVec, smallvec};

use super::feed_state::{Dedup, FeedState};
use super::page_facts::ObservedFact;
use super::state_record::Remembered;

/// What became of the rows of one write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    pub published: u64,
    pub dead_lettered: u64,
    /// Published before.
    pub duplicates: u64,
    /// Behind the cursor: can't be recognised, and is left alone.
    pub behind_cursor: u64,
    /// Older than `start_from`.
    pub before_start: u64,
}

impl std::ops::AddAssign for RowCounts {
    fn add_assign(&mut self, other: RowCounts) {
        self.published += other.published;
        self.dead_lettered += other.dead_lettered;
        self.duplicates += other.duplicates;
        self.behind_cursor += other.behind_cursor;
        self.before_start += other.before_start;
    }
}

impl RowCounts {
    pub(super) fn count(&mut self, disposition: Disposition) {
        *match disposition {
            Disposition::Publish => &mut self.published,
            Disposition::Duplicate => &mut self.duplicates,
            Disposition::BehindCursor => &mut self.behind_cursor,
            Disposition::BeforeStart => &mut self.before_start,
        } += 1;
    }
}

/// What becomes of a fact that a page showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    Publish,
    Duplicate,
    BehindCursor,
    BeforeStart,
}

/// What is to be remembered of a fact that a page showed: one thing, or three of a refund. Each fact has such a list, so it
/// takes no allocation.
pub(super) type Marks = SmallVec<[Remembered; 3]>;

/// What becomes of a touch or a payment, and what is to be remembered of it.
pub(super) fn dedup_fact(state: &FeedState, ObservedFact { fact, remembered }: &ObservedFact) -> (Disposition, Marks) {
    let cursor = state.cursor();
    if fact.time < cursor.start {
        return (Disposition::BeforeStart, Marks::new());
    }
    // Before the memory is asked, which has forgotten what lies there: it would pass for new.
    if state.leaves_alone(fact.time, *remembered) {
        return (Disposition::BehindCursor, Marks::new());
    }
    let memory = Remembered::new(fact.id, *remembered);
    match state.dedup(fact.memory, memory) {
        Dedup::New => (Disposition::Publish, smallvec![memory]),
        Dedup::Refresh => (Disposition::Duplicate, smallvec![memory]),
        Dedup::Duplicate => (Disposition::Duplicate, Marks::new()),
    }
}
