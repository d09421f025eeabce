//! What is known of one feed of one promoter: how far it is complete, and what was published since.
//!
//! The memory holds the facts at or after the cursor, and a list of the topic's records ("chunks") that hold them. A
//! chunk is dropped when all of it lies behind the cursor, in the transaction that moves the cursor there.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::batch::Batch;
use super::cursor::Cursor;
use super::fact::FactId;
use super::feed::{Feed, PulledBy};
use super::promoter::Promoter;
use super::state_record::{Remembered, StateKey, StateRecord, StateValue};
use super::time::UnixTime;

/// A cursor that moves without news is written once it has moved this far, in seconds: a restart then asks again
/// for an hour at most, and a quiet promoter costs the topic a record an hour.
const SILENT_MOVE: i64 = 3600;
/// Facts in one record of the topic: about 20 kB, which every topic takes.
const CHUNK_FACTS_MAX: usize = 1000;

/// One feed of one promoter: its cursor, and its memory of what was published at or after it. About 48 bytes for each fact.
#[derive(Debug)]
pub(super) struct FeedState {
    cursor: Cursor,
    /// Where the cursor goes when the pull ends whose page is taken.
    heads_for: UnixTime,
    /// Where the cursor of the last record stands.
    written: UnixTime,
    /// Its hash is keyed, for users can choose what an id is made of.
    seen: HashMap<FactId, u32, RandomState>,
    chunks: Vec<Chunk>,
    next_chunk: u64,
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

/// One `seen` record of the topic.
#[derive(Debug)]
struct Chunk {
    number: u64,
    /// The latest time in it.
    newest: u32,
}

impl FeedState {
    pub fn new(cursor: Cursor) -> FeedState {
        FeedState {
            cursor,
            heads_for: cursor.complete_before,
            written: cursor.complete_before,
            seen: HashMap::default(),
            chunks: Vec::new(),
            next_chunk: 0,
        }
    }

    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// How many facts are remembered.
    pub fn remembered(&self) -> usize {
        self.seen.len()
    }

    /// How many records of the topic hold them.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    pub fn head_for(&mut self, heads_for: UnixTime) {
        self.heads_for = heads_for;
    }

    pub fn knows(&self, id: FactId) -> bool {
        self.seen.contains_key(&id)
    }

    /// Whether `fact` is new to the memory.
    ///
    /// Something known is refreshed where it would be forgotten while the upstream still shows it: an order that is shown
    /// under a later date too, or an unreadable row that stays in view; that one only when half of its time has passed,
    /// to spare the topic, or when the end of the pull would forget it: a cursor that was long held up leaps.
    pub fn dedup(&self, feed: Feed, fact: Remembered) -> Dedup {
        let Some(&known) = self.seen.get(&fact.id) else { return Dedup::New };
        let since_horizon = |time: u32| i64::from(time) - self.cursor.complete_before.0;
        let outlived = match feed.pulled_by() {
            PulledBy::Day => fact.time > known,
            PulledBy::Window | PulledBy::Promoter => {
                let is_passed = i64::from(known) < self.heads_for.0;
                fact.time > known && (is_passed || since_horizon(known) * 2 < since_horizon(fact.time))
            }
        };
        if outlived { Dedup::Refresh } else { Dedup::Duplicate }
    }

    /// Takes a fact as known, for the longer of two times. [`settle`](Self::settle) writes it.
    pub fn remember(&mut self, fact: Remembered) {
        let time = self.seen.entry(fact.id).or_insert(fact.time);
        *time = (*time).max(fact.time);
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
        let history_ends = advance.is_some_and(|advance| self.advance(advance));
        let horizon = self.cursor.complete_before;
        let (passed, lasting): (Vec<_>, Vec<_>) = added.into_iter().partition(|fact| fact.is_before(horizon));
        for fact in passed {
            // It may have been refreshed by the same page.
            if self.seen.get(&fact.id).is_some_and(|time| i64::from(*time) < horizon.0) {
                self.seen.remove(&fact.id);
            }
        }
        for chunk in lasting.chunks(CHUNK_FACTS_MAX) {
            let number = self.next_chunk;
            self.add_chunk(number, chunk);
            let key = StateKey::Seen(promoter.clone(), feed, number);
            push_state(batch, key, Some(StateValue::Seen(chunk.to_vec())));
        }
        let moved = horizon.0.saturating_sub(self.written.0);
        if (news && moved > 0) || moved >= SILENT_MOVE || history_ends {
            self.written = horizon;
            push_state(batch, StateKey::Cursor(promoter.clone(), feed), Some(StateValue::Cursor(self.cursor)));
            for chunk in self.forget() {
                push_state(batch, StateKey::Seen(promoter.clone(), feed, chunk.number), None);
            }
        }
    }

    /// Moves the cursor. True where history has ended with it.
    fn advance(&mut self, Move { to, ends_history }: Move) -> bool {
        self.cursor.complete_before = self.cursor.complete_before.max(to);
        ends_history && !std::mem::replace(&mut self.cursor.history_seen, true)
    }

    /// Drops the chunks that lie behind the cursor, and what they held.
    fn forget(&mut self) -> Vec<Chunk> {
        let horizon = self.cursor.complete_before.0;
        let chunks = std::mem::take(&mut self.chunks);
        let (gone, kept): (Vec<_>, Vec<_>) = chunks.into_iter().partition(|chunk| i64::from(chunk.newest) < horizon);
        self.chunks = kept;
        if !gone.is_empty() {
            self.forget_facts();
        }
        gone
    }

    /// Forgets what lies behind the cursor. The table is then as small as its content allows: 21 bytes for each place, at
    /// least 7 of 16 taken, so 48 bytes a fact at most. That may copy the table, which walking it has read already.
    pub fn forget_facts(&mut self) {
        let horizon = self.cursor.complete_before.0;
        self.seen.retain(|_, time| i64::from(*time) >= horizon);
        self.seen.shrink_to_fit();
    }

    fn add_chunk(&mut self, number: u64, facts: &[Remembered]) {
        let newest = facts.iter().map(|fact| fact.time).max().unwrap_or(0);
        self.chunks.push(Chunk { number, newest });
        self.next_chunk = self.next_chunk.max(number + 1);
    }

    /// Takes another cursor for the same memory: that of the topic, or the first one of its own. No pull is under way then
    /// that would move it.
    pub fn restore_cursor(&mut self, cursor: Cursor) {
        self.cursor = cursor;
        self.heads_for = cursor.complete_before;
        self.written = cursor.complete_before;
    }

    /// Takes a chunk of the topic, in place of the one with its number.
    pub fn restore_chunk(&mut self, number: u64, facts: &[Remembered]) {
        self.drop_chunk(number);
        self.add_chunk(number, facts);
        for fact in facts {
            let time = self.seen.entry(fact.id).or_insert(fact.time);
            *time = (*time).max(fact.time);
        }
    }

    /// Takes a chunk's tombstone. What it held is forgotten by the cursor's move that came with it.
    pub fn drop_chunk(&mut self, number: u64) {
        self.chunks.retain(|chunk| chunk.number != number);
    }
}

/// Adds a record of the state to `batch`.
pub(super) fn push_state(batch: &mut Batch, key: StateKey, value: Option<StateValue>) {
    let facts = if let Some(StateValue::Seen(facts)) = &value { facts.len() } else { 0 };
    batch.weight += 128 + facts * size_of::<Remembered>();
    batch.state.push(StateRecord { key, value });
}
