//! What the connector knows: for each feed of each promoter its cursor and its memory.
//!
//! `State` has one writer, the committer, and is always the topic's content plus the batches that are planned on top
//! of it but not yet durable. It never has to be rolled back: a batch whose transaction is known to have left nothing
//! is committed again as it is, and whenever an outcome is unknown the whole of `State` is dropped and read again
//! from the topic.
//!
//! Deduplication is [`State::take`]. It is exact because of three invariants:
//!
//! 1. A fact at or after the cursor that was published is in the memory: both were written in one transaction, and a
//!    chunk of memory is dropped only in a transaction that moves the cursor past all of it.
//! 2. A fact before the cursor is never published.
//! 3. What a batch holds is in the memory before the next intake is compared with it.

use std::collections::HashMap;

use super::batch::{Batch, Event};
use super::cursor::Cursor;
use super::dead_letter::DeadLetter;
use super::fact::FactId;
use super::feed::Feed;
use super::harvest::{Advance, DeadRow, Harvest, Sighting, fact_weight};
use super::promoter::Promoter;
use super::state_record::{Remembered, StateKey, StateRecord, StateValue};
use super::time::{UnixMillis, UnixTime};

/// A cursor that moves without news is written once it has moved this far, in seconds: a restart then asks again
/// for an hour at most, and a quiet promoter costs the topic a record an hour.
const SILENT_MOVE: i64 = 3600;
/// Facts in one record of the topic: about 20 kB, which every topic takes.
const CHUNK_FACTS_MAX: usize = 1000;

/// Where a feed of a promoter begins.
pub type FirstCursor = (Promoter, Feed, Cursor);

/// What comes out of the intake queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intake {
    /// First cursors, for feeds that have none. Cursors that exist stay as they are.
    Begin(Vec<FirstCursor>),
    Harvest(Harvest),
}

impl Intake {
    /// About how many bytes of memory it holds.
    pub fn weight(&self) -> usize {
        match self {
            Intake::Begin(cursors) => 64 + cursors.len() * 128,
            Intake::Harvest(harvest) => harvest.weight(),
        }
    }
}

/// What became of the rows of one intake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub published: u64,
    pub dead_lettered: u64,
    /// Published before.
    pub known: u64,
    /// Behind the cursor: can't be recognised, and is left alone.
    pub behind: u64,
    /// Older than `start_from`.
    pub before_start: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.published += other.published;
        self.dead_lettered += other.dead_lettered;
        self.known += other.known;
        self.behind += other.behind;
        self.before_start += other.before_start;
    }
}

#[derive(Debug, Default)]
pub struct State {
    promoters: HashMap<Promoter, [Option<FeedState>; 3]>,
}

#[derive(Debug)]
struct FeedState {
    cursor: Cursor,
    /// Where the cursor of the last record stands.
    written: UnixTime,
    seen: HashMap<FactId, u32>,
    chunks: Vec<Chunk>,
    next_chunk: u64,
}

/// One `seen` record of the topic.
#[derive(Debug)]
struct Chunk {
    number: u64,
    /// The latest time in it.
    newest: u32,
}

impl State {
    pub fn cursor(&self, promoter: &Promoter, feed: Feed) -> Option<Cursor> {
        self.feed(promoter, feed).map(|state| state.cursor)
    }

    /// How many facts are remembered.
    pub fn remembered(&self) -> usize {
        self.promoters.values().flatten().flatten().map(|state| state.seen.len()).sum()
    }

    /// How many records of the topic hold them.
    pub fn chunks(&self) -> usize {
        self.promoters.values().flatten().flatten().map(|state| state.chunks.len()).sum()
    }

    /// Plans an intake: adds what has to be written to `batch`, and takes it as known from here on.
    pub fn take(&mut self, intake: Intake, batch: &mut Batch) -> Tally {
        match intake {
            Intake::Begin(cursors) => {
                for (promoter, feed, cursor) in cursors {
                    self.begin(promoter, feed, cursor, batch);
                }
                Tally::default()
            }
            Intake::Harvest(harvest) => self.take_harvest(harvest, batch),
        }
    }

    fn begin(&mut self, promoter: Promoter, feed: Feed, cursor: Cursor, batch: &mut Batch) {
        let slot = &mut self.promoters.entry(promoter.clone()).or_default()[feed as usize];
        if slot.is_none() {
            *slot = Some(FeedState::new(cursor));
            push_state(batch, StateKey::Cursor(promoter, feed), Some(StateValue::Cursor(cursor)));
        }
    }

    fn take_harvest(&mut self, harvest: Harvest, batch: &mut Batch) -> Tally {
        let mut tally = Tally::default();
        let Harvest { promoter, feed, sightings, dead_rows, observed_at, advance } = harvest;
        let Some(feeds) = self.promoters.get_mut(&promoter) else { return tally };
        let mut added = Added::default();
        for sighting in sightings {
            take_sighting(feeds, &promoter, sighting, observed_at, batch, &mut added, &mut tally);
        }
        for row in dead_rows {
            take_dead_row(feeds, feed, row, batch, &mut added, &mut tally);
        }
        let (advance, refunds_advance) = split_advance(feeds, feed, advance);
        for memory in Feed::ALL {
            let Some(state) = &mut feeds[memory as usize] else { continue };
            let to = if memory == feed { advance } else { refunds_advance.filter(|_| memory == Feed::Refunds) };
            state.settle(&promoter, memory, std::mem::take(&mut added.0[memory as usize]), to, batch);
        }
        tally
    }

    fn feed(&self, promoter: &Promoter, feed: Feed) -> Option<&FeedState> {
        self.promoters.get(promoter)?[feed as usize].as_ref()
    }

    /// Takes a record read from the topic. Records of one key come in the order in which they were written; a
    /// feed's `seen` records may come before its first cursor.
    pub fn restore(&mut self, key: StateKey, value: Option<StateValue>) {
        let (StateKey::Cursor(promoter, feed) | StateKey::Seen(promoter, feed, _)) = &key;
        let slot = &mut self.promoters.entry(promoter.clone()).or_default()[*feed as usize];
        let state = slot.get_or_insert_with(|| {
            FeedState::new(Cursor { start: UnixTime(i64::MAX), complete_before: UnixTime(i64::MAX) })
        });
        match (key, value) {
            (StateKey::Cursor(..), Some(StateValue::Cursor(cursor))) => {
                state.cursor = cursor;
                state.written = cursor.complete_before;
            }
            (StateKey::Seen(_, _, number), Some(StateValue::Seen(facts))) => state.restore_chunk(number, &facts),
            (StateKey::Seen(_, _, number), None) => state.chunks.retain(|chunk| chunk.number != number),
            // A cursor's tombstone: the feed begins anew.
            (StateKey::Cursor(..), _) => *slot = None,
            // `StateValue::decode` goes by the key, so kinds never differ.
            (StateKey::Seen(..), Some(StateValue::Cursor(_))) => {}
        }
    }

    /// Ends a restore: what stands behind the cursors is forgotten, and so is a feed that has no cursor.
    pub fn restored(&mut self) {
        for slot in self.promoters.values_mut().flatten() {
            match slot {
                Some(state) if state.cursor.start == UnixTime(i64::MAX) => *slot = None,
                Some(state) => state.forget_facts(),
                None => {}
            }
        }
        self.promoters.retain(|_, feeds| feeds.iter().any(Option::is_some));
    }
}

/// What one harvest adds to the memory of each feed.
#[derive(Default)]
struct Added([Vec<Remembered>; 3]);

impl Added {
    fn remember(&mut self, state: &mut FeedState, feed: Feed, fact: Remembered) {
        state.seen.insert(fact.id, fact.time);
        self.0[feed as usize].push(fact);
    }
}

fn take_sighting(
    feeds: &mut [Option<FeedState>; 3],
    promoter: &Promoter,
    Sighting { fact, remembered }: Sighting,
    observed_at: UnixMillis,
    batch: &mut Batch,
    added: &mut Added,
    tally: &mut Tally,
) {
    let feed = fact.memory;
    let Some(state) = &mut feeds[feed as usize] else { return };
    if fact.time < state.cursor.start {
        tally.before_start += 1;
        return;
    }
    if remembered < state.cursor.complete_before {
        tally.behind += 1;
        return;
    }
    let memory = Remembered::new(fact.id, remembered);
    match state.seen.get(&fact.id) {
        Some(&time) => {
            tally.known += 1;
            if must_renew(feed, time, memory.time, state.cursor.complete_before) {
                added.remember(state, feed, memory);
            }
        }
        None => {
            tally.published += 1;
            added.remember(state, feed, memory);
            batch.weight += fact_weight(&fact);
            batch.events.push(Event { promoter: promoter.clone(), fact, observed_at });
        }
    }
}

/// The bytes of an unreadable row go to the dead letters once per promoter, so all its feeds are asked; each feed
/// that meets them remembers them itself, because the feeds forget at different times.
fn take_dead_row(
    feeds: &mut [Option<FeedState>; 3],
    feed: Feed,
    DeadRow { id, remembered, letter }: DeadRow,
    batch: &mut Batch,
    added: &mut Added,
    tally: &mut Tally,
) {
    let known_somewhere = feeds.iter().flatten().any(|state| state.seen.contains_key(&id));
    let Some(state) = &mut feeds[feed as usize] else { return };
    let memory = Remembered::new(id, remembered.max(state.cursor.complete_before));
    let renew = match state.seen.get(&id) {
        Some(&time) => must_renew(feed, time, memory.time, state.cursor.complete_before),
        None => true,
    };
    if renew {
        added.remember(state, feed, memory);
    }
    if known_somewhere {
        tally.known += 1;
    } else {
        tally.dead_lettered += 1;
        push_dead_letter(batch, letter);
    }
}

/// Whether something remembered under `old` has to be remembered again under `new`, or it would be forgotten while
/// the upstream still shows it: an order that is shown under a later date too, an unreadable row that stays in
/// view. The latter is renewed only when half of its time has passed, to spare the topic.
fn must_renew(feed: Feed, old: u32, new: u32, horizon: UnixTime) -> bool {
    let since_horizon = |time: u32| i64::from(time) - horizon.0;
    match feed {
        Feed::Orders => new > old,
        Feed::Touches | Feed::Refunds => since_horizon(old) * 2 < since_horizon(new),
    }
}

/// An advance counts only on the cursor it was built on. Any other would be a contradiction inside the connector,
/// and standing still is then what loses nothing.
fn split_advance(
    feeds: &[Option<FeedState>; 3],
    feed: Feed,
    advance: Option<Advance>,
) -> (Option<UnixTime>, Option<UnixTime>) {
    let Some(advance) = advance else { return (None, None) };
    match &feeds[feed as usize] {
        Some(state) if state.cursor.complete_before == advance.from => (Some(advance.to), advance.refunds_to),
        _ => (None, None),
    }
}

impl FeedState {
    fn new(cursor: Cursor) -> FeedState {
        FeedState { cursor, written: cursor.complete_before, seen: HashMap::new(), chunks: Vec::new(), next_chunk: 0 }
    }

    /// Ends a harvest: moves the cursor, and writes what the topic must know of it.
    fn settle(
        &mut self,
        promoter: &Promoter,
        feed: Feed,
        added: Vec<Remembered>,
        advance: Option<UnixTime>,
        batch: &mut Batch,
    ) {
        let news = !added.is_empty();
        if let Some(to) = advance {
            self.cursor.complete_before = self.cursor.complete_before.max(to);
        }
        let horizon = self.cursor.complete_before;
        let (passed, lasting): (Vec<_>, Vec<_>) = added.into_iter().partition(|fact| fact.is_before(horizon));
        for fact in passed {
            self.seen.remove(&fact.id);
        }
        for chunk in lasting.chunks(CHUNK_FACTS_MAX) {
            let number = self.next_chunk;
            self.add_chunk(number, chunk);
            let key = StateKey::Seen(promoter.clone(), feed, number);
            push_state(batch, key, Some(StateValue::Seen(chunk.to_vec())));
        }
        let moved = horizon.0.saturating_sub(self.written.0);
        if (news && moved > 0) || moved >= SILENT_MOVE {
            self.written = horizon;
            push_state(batch, StateKey::Cursor(promoter.clone(), feed), Some(StateValue::Cursor(self.cursor)));
            for chunk in self.forget() {
                push_state(batch, StateKey::Seen(promoter.clone(), feed, chunk.number), None);
            }
        }
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

    /// The table is then as small as its content allows, which keeps a fact below 48 bytes: 21 in a table that is at
    /// least 7/16 full. That may copy the table, as walking it has read it already.
    fn forget_facts(&mut self) {
        let horizon = self.cursor.complete_before.0;
        self.seen.retain(|_, time| i64::from(*time) >= horizon);
        self.seen.shrink_to_fit();
    }

    fn add_chunk(&mut self, number: u64, facts: &[Remembered]) {
        let newest = facts.iter().map(|fact| fact.time).max().unwrap_or(0);
        self.chunks.push(Chunk { number, newest });
        self.next_chunk = self.next_chunk.max(number + 1);
    }

    fn restore_chunk(&mut self, number: u64, facts: &[Remembered]) {
        self.chunks.retain(|chunk| chunk.number != number);
        self.add_chunk(number, facts);
        for fact in facts {
            let time = self.seen.entry(fact.id).or_insert(fact.time);
            *time = (*time).max(fact.time);
        }
    }
}

fn push_state(batch: &mut Batch, key: StateKey, value: Option<StateValue>) {
    let facts = if let Some(StateValue::Seen(facts)) = &value { facts.len() } else { 0 };
    batch.weight += 128 + facts * size_of::<Remembered>();
    batch.state.push(StateRecord { key, value });
}

fn push_dead_letter(batch: &mut Batch, letter: DeadLetter) {
    batch.weight += 256 + letter.raw.len();
    batch.dead_letters.push(letter);
}
