//! What the connector knows: for each feed of each promoter its cursor and its memory.
//!
//! `State` has one writer, the committer, and is always the topic's content plus the batches that are planned on top
//! of it but not yet durable. It never has to be rolled back: a batch whose transaction is known to have left nothing
//! is committed again, as it is or in parts that keep its order, and whenever an outcome is unknown the whole of `State`
//! is dropped and read again from the topic.
//!
//! Deduplication is [`State::take`]. It is exact because of three invariants:
//!
//! 1. A fact at or after the cursor that was published is in the memory: both were written in one transaction, and a
//!    chunk of memory is dropped only in a transaction that moves the cursor past all of it.
//! 2. A fact before the cursor is never published. Of an order it is not the payment's time that is compared but the
//!    last day under which the upstream may list it, of a refund without a time the moment it is observed.
//! 3. What a batch holds is in the memory before the next write is compared with it.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::{SmallVec, smallvec};

use super::batch::{Batch, Event};
use super::cursor::Cursor;
use super::dead_letter::DeadLetter;
use super::fact::{FactContent, FactId, dead_row_id};
use super::feed::{Feed, PerFeed};
use super::feed_state::{Dedup, FeedState, Move, push_state};
use super::page_facts::{Advance, DeadRow, ObservedFact, PageFacts, fact_weight, listed_until};
use super::promoter::Promoter;
use super::refund::{RefundsOfPage, dedup_refund};
use super::refusal::EventRefusal;
use super::state_record::{Remembered, StateKey, StateValue};
use super::time::{UnixMillis, UnixTime};
use super::unknown::{dedup_unknown, is_unknown};

/// A promoter's cursors.
pub type Cursors = PerFeed<Option<Cursor>>;

/// Where a feed of a promoter begins.
pub type FirstCursor = (Promoter, Feed, Cursor);

/// What comes out of the write queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueuedWrite {
    /// First cursors, for feeds that have none, or only a memory that another feed keeps. Cursors of feeds that are
    /// polled stay as they are.
    FirstCursors(Vec<FirstCursor>),
    PageFacts(PageFacts),
}

impl QueuedWrite {
    /// Whose page it is, and of which feed.
    pub fn feed(&self) -> Option<(Promoter, Feed)> {
        match self {
            QueuedWrite::FirstCursors(_) => None,
            QueuedWrite::PageFacts(page_facts) => Some((page_facts.promoter.clone(), page_facts.feed)),
        }
    }

    /// About how many bytes of memory it holds.
    pub fn weight(&self) -> usize {
        match self {
            QueuedWrite::FirstCursors(cursors) => 64 + cursors.len() * 128,
            QueuedWrite::PageFacts(page_facts) => page_facts.weight(),
        }
    }
}

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
    fn count(&mut self, disposition: Disposition) {
        *match disposition {
            Disposition::Publish => &mut self.published,
            Disposition::Duplicate => &mut self.duplicates,
            Disposition::BehindCursor => &mut self.behind_cursor,
            Disposition::BeforeStart => &mut self.before_start,
        } += 1;
    }
}

/// The cursors and memories of all promoters that this instance owns. About 48 bytes for each fact that is remembered; it is
/// bounded by what happens within the latenesses, for a cursor that moves lets go of what stands behind it.
#[derive(Debug, Default)]
pub struct State {
    promoters: HashMap<Promoter, PerFeed<Option<FeedState>>, RandomState>,
    refusal: EventRefusal,
}

impl State {
    pub fn cursors(&self, promoter: &Promoter) -> Cursors {
        let Some(feeds) = self.promoters.get(promoter) else { return Cursors::default() };
        PerFeed::new(|feed| feeds[feed].as_ref().map(FeedState::cursor))
    }

    /// Of each of `promoters`, in their order.
    pub fn cursors_of(&self, promoters: &[Promoter]) -> Vec<Cursors> {
        promoters.iter().map(|promoter| self.cursors(promoter)).collect()
    }

    /// How many facts are remembered.
    pub fn remembered(&self) -> usize {
        self.promoters.values().flat_map(PerFeed::values).flatten().map(|state| state.remembered()).sum()
    }

    /// How many records of the topic hold them.
    pub fn chunks(&self) -> usize {
        self.promoters.values().flat_map(PerFeed::values).flatten().map(|state| state.chunks()).sum()
    }

    /// From here on events are planned that `refusal` lets pass, and dead letters for the others.
    pub fn refuse(&mut self, refusal: EventRefusal) {
        self.refusal = refusal;
    }

    /// Plans a write: adds what has to be written to `batch`, and takes it as known from here on.
    pub fn take(&mut self, write: QueuedWrite, batch: &mut Batch) -> RowCounts {
        match write {
            QueuedWrite::FirstCursors(cursors) => {
                for (promoter, feed, cursor) in cursors {
                    self.begin(promoter, feed, cursor, batch);
                }
                RowCounts::default()
            }
            QueuedWrite::PageFacts(page_facts) => self.take_page_facts(page_facts, batch),
        }
    }

    fn begin(&mut self, promoter: Promoter, feed: Feed, cursor: Cursor, batch: &mut Batch) {
        let slot = &mut self.promoters.entry(promoter.clone()).or_default()[feed];
        match slot {
            None => *slot = Some(FeedState::new(cursor)),
            // What is remembered stays.
            Some(memory) if cursor.polled && !memory.cursor().polled => memory.restore_cursor(cursor),
            Some(_) => return,
        }
        push_state(batch, StateKey::Cursor(promoter, feed), Some(StateValue::Cursor(cursor)));
    }

    fn take_page_facts(&mut self, page_facts: PageFacts, batch: &mut Batch) -> RowCounts {
        let PageFacts { promoter, feed, facts, dead_rows, observed_at, heads_for, advance } = page_facts;
        let Some(feeds) = self.promoters.get_mut(&promoter) else { return RowCounts::default() };
        if let Some(state) = &mut feeds[feed] {
            state.head_for(heads_for);
        }
        let mut page = PageDedup {
            promoter: &promoter,
            feed,
            observed_at,
            refunds: RefundsOfPage::of(&promoter, &facts),
            refusal: &self.refusal,
            feeds,
            batch,
            added: Default::default(),
            counts: RowCounts::default(),
        };
        facts.into_iter().for_each(|observed| page.take(observed));
        dead_rows.into_iter().for_each(|row| page.take_dead_row(row));
        page.settle(advance)
    }

    /// Takes a record read from the topic. Records of one key come in the order in which they were written; a
    /// feed's `seen` records may come before its first cursor.
    pub fn restore(&mut self, key: StateKey, value: Option<StateValue>) {
        let (StateKey::Cursor(promoter, feed) | StateKey::Seen(promoter, feed, _)) = &key;
        let slot = &mut self.promoters.entry(promoter.clone()).or_default()[*feed];
        let state = slot.get_or_insert_with(|| FeedState::new(NO_CURSOR));
        match (key, value) {
            (StateKey::Cursor(..), Some(StateValue::Cursor(cursor))) => state.restore_cursor(cursor),
            (StateKey::Seen(_, _, number), Some(StateValue::Seen(facts))) => state.restore_chunk(number, &facts),
            (StateKey::Seen(_, _, number), None) => state.drop_chunk(number),
            // A cursor's tombstone: the feed begins anew.
            (StateKey::Cursor(..), _) => *slot = None,
            // `StateValue::decode` goes by the key, so kinds never differ.
            (StateKey::Seen(..), Some(StateValue::Cursor(_))) => {}
        }
    }

    /// Ends a restore: what stands behind the cursors is forgotten, and so is a feed that has no cursor.
    pub fn restored(&mut self) {
        for slot in self.promoters.values_mut().flat_map(PerFeed::values_mut) {
            match slot {
                Some(state) if state.cursor() == NO_CURSOR => *slot = None,
                Some(state) => state.forget_facts(),
                None => {}
            }
        }
        self.promoters.retain(|_, feeds| feeds.values().any(Option::is_some));
    }
}

/// Stands for the cursor of a feed whose record has not come yet. No feed begins at the end of time.
const NO_CURSOR: Cursor =
    Cursor { start: UnixTime(i64::MAX), complete_before: UnixTime(i64::MAX), polled: false, history_seen: false };

/// A page that is being taken.
struct PageDedup<'a> {
    promoter: &'a Promoter,
    /// Whose pull has brought it.
    feed: Feed,
    observed_at: UnixMillis,
    refunds: RefundsOfPage,
    refusal: &'a EventRefusal,
    feeds: &'a mut PerFeed<Option<FeedState>>,
    batch: &'a mut Batch,
    /// What it adds to the memory of each feed.
    added: PerFeed<Vec<Remembered>>,
    counts: RowCounts,
}

impl PageDedup<'_> {
    fn take(&mut self, observed: ObservedFact) {
        let is_unknown = is_unknown(&observed.fact);
        let memory = if is_unknown { self.feed } else { observed.fact.memory };
        let Some(state) = &self.feeds[memory] else { return };
        let (disposition, marks) = match memory {
            _ if is_unknown => dedup_unknown(self.feeds, self.feed, &observed, self.observed_at),
            Feed::Refunds => dedup_refund(state, self.promoter, &observed, &self.refunds, self.observed_at),
            Feed::Touches | Feed::Orders => dedup_fact(state, &observed),
        };
        marks.into_iter().for_each(|mark| self.remember(memory, mark));
        if disposition != Disposition::Publish {
            return self.counts.count(disposition);
        }
        let ObservedFact { fact, remembered } = observed;
        // Events are large and seldom refused: each is made where it stays.
        self.batch.events.push(Event { promoter: self.promoter.clone(), fact, observed_at: self.observed_at });
        let Some(event) = self.batch.events.last() else { return };
        if let Some(letter) = self.refusal.of(event) {
            return self.take_refused(memory, remembered, letter);
        }
        self.batch.weight += fact_weight(&event.fact);
        self.counts.count(Disposition::Publish);
    }

    /// The row of the latest event, which its topic does not take, is a dead letter once, though it may show another fact as well, to
    /// another feed: a payment to orders, and its refund to refunds. The fact itself is known from here on, so only the
    /// other one can bring the row again. Its feed knows the row for as long as it might publish that: orders a payment until
    /// the last of its days has closed.
    fn take_refused(&mut self, memory: Feed, remembered: UnixTime, letter: DeadLetter) {
        let Some(Event { fact, .. }) = self.batch.events.pop() else { return };
        let id = dead_row_id(self.promoter, &fact.raw);
        let is_known = self.is_known(id);
        self.remember(memory, Remembered::new(id, remembered));
        if let FactContent::Order { payment, .. } = &fact.content {
            self.remember(Feed::Orders, Remembered::new(id, listed_until(payment.paid_time)));
        }
        self.put_dead_letter(letter, is_known);
    }

    /// The bytes of an unreadable row go to the dead letters once per promoter, so all its feeds are asked; each feed
    /// that meets them remembers them itself, because the feeds forget at different times.
    fn take_dead_row(&mut self, DeadRow { id, remembered, letter }: DeadRow) {
        let is_known = self.is_known(id);
        let Some(state) = &self.feeds[self.feed] else { return };
        let memory = Remembered::new(id, remembered.max(state.cursor().complete_before));
        if state.dedup(self.feed, memory) != Dedup::Duplicate {
            self.remember(self.feed, memory);
        }
        self.put_dead_letter(letter, is_known);
    }

    fn is_known(&self, id: FactId) -> bool {
        self.feeds.values().flatten().any(|state| state.knows(id))
    }

    fn remember(&mut self, feed: Feed, fact: Remembered) {
        if let Some(state) = &mut self.feeds[feed] {
            state.remember(fact);
            self.added[feed].push(fact);
        }
    }

    fn put_dead_letter(&mut self, letter: DeadLetter, is_known: bool) {
        if is_known {
            self.counts.duplicates += 1;
        } else {
            self.counts.dead_lettered += 1;
            self.batch.weight += 256 + letter.raw.len();
            self.batch.dead_letters.push(letter);
        }
    }

    fn settle(mut self, advance: Option<Advance>) -> RowCounts {
        let moves = moves(self.feeds, self.feed, advance);
        for memory in Feed::ALL {
            let Some(state) = &mut self.feeds[memory] else { continue };
            let added = std::mem::take(&mut self.added[memory]);
            state.settle(self.promoter, memory, added, moves[memory], self.batch);
        }
        self.counts
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
    if *remembered < cursor.complete_before {
        return (Disposition::BehindCursor, Marks::new());
    }
    let memory = Remembered::new(fact.id, *remembered);
    match state.dedup(fact.memory, memory) {
        Dedup::New => (Disposition::Publish, smallvec![memory]),
        Dedup::Refresh => (Disposition::Duplicate, smallvec![memory]),
        Dedup::Duplicate => (Disposition::Duplicate, Marks::new()),
    }
}

/// An advance counts only on the cursor it was built on. Any other would be a contradiction inside the connector,
/// and standing still is then what loses nothing.
fn moves(feeds: &PerFeed<Option<FeedState>>, feed: Feed, advance: Option<Advance>) -> PerFeed<Option<Move>> {
    let mut moves = PerFeed::default();
    let of = |feed: Feed| feeds[feed].as_ref().map(FeedState::cursor);
    let Some(Advance { from, to, refunds }) = advance else { return moves };
    if of(feed).is_some_and(|cursor| cursor.complete_before == from) {
        moves[feed] = Some(Move { to, ends_history: feed == Feed::Refunds });
        if let (Some(met), Some(memory)) = (refunds, of(Feed::Refunds)) {
            // Of refunds that are polled, or were, only their own pull is the first.
            let ends_history = met.ends_history && !memory.polled;
            moves.refunds = Some(Move { to: met.to, ends_history });
        }
    }
    moves
}
