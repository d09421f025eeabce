//! What is known of one feed of one promoter: how far it is complete, and what was published since.
//!
//! The memory holds the facts at or after the cursor, and a list of the topic's records ("chunks") that hold them. A
//! chunk is dropped when all of it lies behind the cursor, in the transaction that moves the cursor there.

use super::batch::Batch;
use super::cursor::{Cursor, PackedCursor};
use super::fact::FactId;
use super::feed::{Feed, PulledBy};
use super::feed_memory::FeedMemory;
use super::promoter::Promoter;
use super::rewind::{MaybeForgotten, Rewind, published_since};
use super::state_record::{Remembered, StateKey, StateRecord, StateValue};
use super::time::{PackedTime, UnixMillis, UnixTime};

/// A cursor that moves without news is written once it has moved this far, in seconds: a restart then asks again
/// for an hour at most, and a quiet promoter costs the topic a record an hour.
const SILENT_MOVE: i64 = 3600;
/// Facts in one record of the topic: about 20 kB, which every topic takes.
const CHUNK_FACTS_MAX: usize = 1000;

/// One feed of one promoter: its cursor, and its memory of what was published at or after it. There may be millions that
/// remember nothing, which take sixteen bytes.
#[derive(Debug)]
pub(super) enum FeedState {
    Forgetful(FeedPosition),
    /// Its memory is empty at times, but not for long.
    Remembering(Box<RememberingFeed>),
}

#[derive(Debug)]
pub(super) struct RememberingFeed {
    position: FeedPosition,
    memory: FeedMemory,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FeedPosition {
    cursor: PackedCursor,
    /// Where the cursor goes when the pull ends whose page is taken.
    heads_for: PackedTime,
    /// How far the cursor has moved since its last record, in seconds: less than [`SILENT_MOVE`].
    unwritten: u16,
}

/// Where the cursor is to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub to: UnixTime,
    /// Whether what comes from now on was not there at the first pull: it is no history.
    pub ends_history: bool,
}

/// Whether something that is met was met before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dedup {
    /// To be published and remembered.
    New,
    /// Published before, and to be remembered again.
    Refresh,
    Duplicate,
}

impl FeedPosition {
    /// That of the cursor's record.
    fn at(cursor: Cursor) -> FeedPosition {
        FeedPosition { cursor: cursor.into(), heads_for: cursor.complete_before.into(), unwritten: 0 }
    }
}

impl FeedState {
    pub fn new(cursor: Cursor) -> FeedState {
        FeedState::Forgetful(FeedPosition::at(cursor))
    }

    fn position(&self) -> &FeedPosition {
        match self {
            FeedState::Forgetful(position) => position,
            FeedState::Remembering(feed) => &feed.position,
        }
    }

    fn position_mut(&mut self) -> &mut FeedPosition {
        match self {
            FeedState::Forgetful(position) => position,
            FeedState::Remembering(feed) => &mut feed.position,
        }
    }

    fn memory(&self) -> Option<&FeedMemory> {
        match self {
            FeedState::Forgetful(_) => None,
            FeedState::Remembering(feed) => Some(&feed.memory),
        }
    }

    fn memory_mut(&mut self) -> Option<&mut FeedMemory> {
        match self {
            FeedState::Forgetful(_) => None,
            FeedState::Remembering(feed) => Some(&mut feed.memory),
        }
    }

    /// The memory, which is begun where there is none.
    fn begun_memory(&mut self) -> &mut FeedMemory {
        if let FeedState::Forgetful(position) = *self {
            *self = FeedState::Remembering(Box::new(RememberingFeed { position, memory: FeedMemory::default() }));
        }
        self.memory_mut().expect("it was begun where there was none")
    }

    pub fn cursor(&self) -> Cursor {
        self.position().cursor.into()
    }

    /// Facts before it are forgotten.
    fn horizon(&self) -> UnixTime {
        self.cursor().complete_before
    }

    /// Where the cursor of the last record stands.
    pub fn written(&self) -> UnixTime {
        self.horizon().minus(self.position().unwritten.into())
    }

    /// How many facts are remembered.
    pub fn remembered(&self) -> usize {
        self.memory().map_or(0, FeedMemory::facts)
    }

    /// How many records of the topic hold them.
    #[cfg(any(test, debug_assertions, feature = "testing"))]
    pub fn chunks(&self) -> usize {
        self.memory().map_or(0, FeedMemory::chunks)
    }

    /// Drops all that is remembered. Gives the numbers of the records of the topic that hold it.
    pub fn drop_memory(&mut self) -> Vec<u64> {
        let numbers = self.memory_mut().map(|memory| memory.drop_passed(i64::MAX));
        *self = FeedState::Forgetful(*self.position());
        numbers.unwrap_or_default()
    }

    pub fn head_for(&mut self, heads_for: UnixTime) {
        self.position_mut().heads_for = heads_for.into();
    }

    /// From when on something without a time of its own is remembered that is observed now. Never behind where the cursor goes with
    /// this pull: it would be forgotten with it, and published by the next one. The clock of this host may have been set back.
    pub fn remembered_since(&self, observed_at: UnixMillis) -> UnixTime {
        observed_at.as_seconds().max(self.horizon()).max(self.position().heads_for.into())
    }

    pub fn knows(&self, id: FactId) -> bool {
        self.time(id).is_some()
    }

    /// Whether a fact that is not remembered is left alone, which happened at `time` and would be remembered under `remembered`: it
    /// lies behind the cursor, or was perhaps published and forgotten before the cursor went back.
    pub fn leaves_alone(&self, time: UnixTime, remembered: UnixTime) -> bool {
        remembered < self.horizon() || self.memory().is_some_and(|memory| memory.may_have_forgotten(time, remembered))
    }

    fn time(&self, id: FactId) -> Option<u32> {
        self.memory()?.time(id)
    }

    /// Whether `fact` is new to the memory.
    ///
    /// Something known is refreshed where it would be forgotten while the upstream still shows it: an order that is shown
    /// under a later date too, or an unreadable row that stays in view; that one only when half of its time has passed,
    /// to spare the topic, or when the end of the pull would forget it: a cursor that was long held up leaps.
    pub fn dedup(&self, feed: Feed, fact: Remembered) -> Dedup {
        let Some(known) = self.time(fact.id) else { return Dedup::New };
        let since_horizon = |time: u32| i64::from(time) - self.horizon().0;
        let outlived = match feed.pulled_by() {
            PulledBy::Day => fact.time > known,
            PulledBy::Window | PulledBy::Promoter => {
                let is_passed = i64::from(known) < UnixTime::from(self.position().heads_for).0;
                fact.time > known && (is_passed || since_horizon(known) * 2 < since_horizon(fact.time))
            }
        };
        if outlived { Dedup::Refresh } else { Dedup::Duplicate }
    }

    /// Takes a fact as known, for the longer of two times. [`settle`](Self::settle) writes it.
    pub fn remember(&mut self, fact: Remembered) {
        self.begun_memory().remember(fact);
    }

    /// Ends a page that has `added` to the memory: moves the cursor, and writes what the topic must know of it.
    pub fn settle(
        &mut self,
        promoter: &Promoter,
        feed: Feed,
        added: Vec<Remembered>,
        advance: Option<Move>,
        batch: &mut Batch,
    ) {
        let news = !added.is_empty();
        let written = self.written();
        // Before the chunks: what the cursor passes with this page is written into none.
        let history_ends = advance.is_some_and(|advance| self.advance(advance));
        let horizon = self.horizon();
        if let Some(memory) = self.memory_mut() {
            let (passed, lasting): (Vec<_>, Vec<_>) = added.into_iter().partition(|fact| fact.is_before(horizon));
            // One may have been refreshed by the same page.
            passed.iter().for_each(|fact| memory.forget_passed(fact.id, horizon.0));
            for chunk in lasting.chunks(CHUNK_FACTS_MAX) {
                let key = StateKey::Seen(promoter.clone(), feed, memory.add_chunk(chunk));
                push_state(batch, key, Some(StateValue::Seen(chunk.to_vec())));
            }
        }
        let moved = horizon.0.saturating_sub(written.0);
        // With news the cursor goes along: what it has passed stands in no chunk, and would be published again from the one
        // before.
        let is_written = (news && moved > 0) || moved >= SILENT_MOVE || history_ends;
        self.position_mut().unwritten = if is_written { 0 } else { seconds(moved) };
        if is_written {
            push_state(batch, StateKey::Cursor(promoter.clone(), feed), Some(StateValue::Cursor(self.cursor())));
            // Only beside the cursor's record: a chunk goes in the transaction that moves the cursor past all of it, or a
            // restart would meet its facts as new.
            for number in self.forget() {
                push_state(batch, StateKey::Seen(promoter.clone(), feed, number), None);
            }
        }
    }

    /// Moves the cursor. True where history has ended with it.
    fn advance(&mut self, Move { to, ends_history }: Move) -> bool {
        let before = self.cursor();
        let (complete_before, history_seen) = (before.complete_before.max(to), before.history_seen || ends_history);
        self.position_mut().cursor = Cursor { complete_before, history_seen, ..before }.into();
        history_seen && !before.history_seen
    }

    /// Drops the chunks that lie behind the cursor, and what they held. Gives their numbers.
    fn forget(&mut self) -> Vec<u64> {
        let horizon = self.horizon().0;
        let numbers = self.memory_mut().map(|memory| memory.drop_passed(horizon));
        self.let_go_of_nothing();
        numbers.unwrap_or_default()
    }

    /// An empty memory takes no room. The next one numbers its chunks anew: nothing stands under a number that was dropped.
    fn let_go_of_nothing(&mut self) {
        if self.memory().is_some_and(FeedMemory::is_empty) {
            *self = FeedState::Forgetful(*self.position());
        }
    }

    /// Takes another cursor for the same memory: that of the topic, or the first one of its own. No pull is under way then
    /// that would move it.
    pub fn restore_cursor(&mut self, cursor: Cursor) {
        *self.position_mut() = FeedPosition::at(cursor);
    }

    /// Moves the cursor back to where the feed is to be asked again from, and its start where that is later. False, and nothing has
    /// changed, where both stand there or before, where the feed is not polled, or where more may be forgotten than can be kept in mind.
    /// See [`super::rewind`].
    pub fn rewind(&mut self, feed: Feed, Rewind { to, republish, .. }: Rewind) -> bool {
        let before = self.cursor();
        let after = before.rewound(feed, to);
        if after == before {
            return false;
        }
        // Facts are forgotten only in the transaction of a cursor's record, so the memory is whole from that on.
        let forgotten = MaybeForgotten { from: published_since(feed, before.start), until: self.written() };
        if !self.begun_memory().rewind(feed, forgotten, republish.then_some(to)) {
            return false;
        }
        self.restore_cursor(after);
        true
    }

    /// Forgets what is remembered under a time before `time`.
    pub fn forget_before(&mut self, time: UnixTime) {
        if let Some(memory) = self.memory_mut() {
            memory.forget_before(time.0);
        }
    }

    /// What a cursor that has gone back may meet and the memory may have forgotten.
    pub fn maybe_forgotten(&self) -> &[MaybeForgotten] {
        self.memory().map_or(&[], FeedMemory::maybe_forgotten)
    }

    /// Takes that from the topic.
    pub fn restore_maybe_forgotten(&mut self, maybe_forgotten: Vec<MaybeForgotten>) {
        if !maybe_forgotten.is_empty() {
            self.begun_memory().restore_maybe_forgotten(maybe_forgotten);
        }
    }

    /// Takes a chunk of the topic, in place of the one with its number; one without facts is its tombstone.
    pub fn read_chunk(&mut self, number: u64, facts: &[Remembered]) {
        self.begun_memory().read_chunk(number, facts);
    }

    /// The topic has been read to its end: what stands behind the cursor is forgotten.
    pub fn restored(&mut self) {
        let horizon = self.horizon().0;
        if let Some(memory) = self.memory_mut() {
            memory.restored(horizon);
        }
        self.let_go_of_nothing();
    }
}

/// Of a move that is not written yet.
fn seconds(moved: i64) -> u16 {
    u16::try_from(moved).expect("a cursor never moves back there, and a longer move is written")
}

/// Adds a record of the state to `batch`.
pub(super) fn push_state(batch: &mut Batch, key: StateKey, value: Option<StateValue>) {
    let facts = if let Some(StateValue::Seen(facts)) = &value { facts.len() } else { 0 };
    batch.weight += 128 + facts * size_of::<Remembered>();
    batch.state.push(StateRecord { key, value });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_remembers_nothing_takes_sixteen_bytes() {
        assert_eq!(size_of::<Option<FeedState>>(), 16);
    }
}
