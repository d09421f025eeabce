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

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::batch::{Batch, ShardRecord};
use super::cursor::Cursor;
use super::day_record::DayContent;
use super::days::{Days, Standings, standing};
use super::dead_letter::DeadLetter;
use super::disposition::RowCounts;
use super::feed::{Feed, PerFeed};
use super::feed_state::{FeedState, push_state};
use super::known_promoters::{FeedStates, KnownPromoters};
use super::page_dedup::take_page;
use super::page_facts::PageFacts;
use super::promoter::Promoter;
use super::refusal::EventRefusal;
use super::removal::{Removal, RemovalStep};
use super::rewind::{MetRewind, Rewind};
use super::shard::{AssignedShard, Shard};
use super::state_record::{StateKey, StateValue};
use super::time::UnixTime;

/// A promoter's cursors.
pub(crate) type Cursors = PerFeed<Option<Cursor>>;

/// Where a feed of a promoter begins.
pub(crate) type FirstCursor = (Promoter, Feed, Cursor);

/// The cursors and memories of all promoters of a shard. The committer alone has it, so there is no lock around it:
/// [`take`](State::take) decides of each page what is published, and [`restore`](State::restore) reads it back at a start.
///
/// About [`FACT_BYTES`] for each fact that is remembered. That is bounded by what happens within the latenesses, for a cursor that
/// moves lets go of what stands behind it.
#[derive(Debug, Default)]
pub struct State {
    promoters: KnownPromoters,
    refusal: EventRefusal,
    /// Whom nobody names any more, and since when, as it was read. Whoever takes the shard up takes it, and keeps it from then
    /// on.
    removed: HashMap<Promoter, UnixTime, RandomState>,
    /// Records of the registry's partition that can't be read and stand below this offset are among the dead letters.
    registry_read: i64,
    /// Of the divider's shard, until whoever takes the shard up takes it.
    ledger: Option<Box<[u8]>>,
    /// Of each feed that was rewound. Boxed, for a state is handed about, and few feeds have one.
    rewinds: Box<Rewinds>,
    /// What was published of each day, and which of them are closed. Boxed as well.
    days: Box<Days>,
    /// Whose cursors hold up no day: those who are marked as removed.
    aside: HashSet<Promoter, RandomState>,
    /// How many facts are remembered, as of when it was restored and with all that was planned since.
    facts: usize,
}

#[derive(Debug, Default)]
struct Rewinds {
    /// The last rewind that was met. What it left in mind is with the feed's memory, once all has been read.
    met: HashMap<(Promoter, Feed), MetRewind, RandomState>,
    /// Up to when the last one that publishes again has forgotten what was remembered.
    forgotten_before: HashMap<(Promoter, Feed), UnixTime, RandomState>,
}

/// About how many bytes of memory a fact takes that is remembered, in the table and in what is noted of its chunk.
pub const FACT_BYTES: u64 = 48;

/// Under which the offset stands in the shard's partition of the state.
pub(crate) const REGISTRY_READ_KEY: &str = "registry-read";

impl State {
    pub fn cursors(&self, promoter: &Promoter) -> Cursors {
        self.promoters.get(promoter).map(cursors).unwrap_or_default()
    }

    /// The same for whoever holds `promoter` from here on: its key is his then.
    pub(crate) fn share_cursors(&mut self, promoter: &Promoter) -> Cursors {
        self.promoters.share(promoter).map(cursors).unwrap_or_default()
    }

    /// Of whom something is known, in no order.
    pub fn promoters(&self) -> impl Iterator<Item = &Promoter> {
        self.promoters.keys()
    }

    /// Takes out who was marked as removed, and since when.
    pub fn take_removed(&mut self) -> impl Iterator<Item = (Promoter, UnixTime)> + use<> {
        std::mem::take(&mut self.removed).into_iter()
    }

    /// How many facts are remembered, counted one by one.
    #[cfg(any(test, debug_assertions, feature = "testing"))]
    pub fn remembered(&self) -> usize {
        self.promoters.iter().map(|(_, feeds)| facts(feeds)).sum()
    }

    /// How many facts are remembered: kept beside the memories, which may be millions.
    pub fn facts(&self) -> usize {
        self.facts
    }

    /// How many records of the topic hold them.
    #[cfg(any(test, debug_assertions, feature = "testing"))]
    pub fn chunks(&self) -> usize {
        self.promoters.iter().flat_map(|(_, feeds)| feeds.values()).flatten().map(|state| state.chunks()).sum()
    }

    /// From here on events are planned that `refusal` lets pass, and dead letters for the others.
    pub fn refuse(&mut self, refusal: EventRefusal) {
        self.refusal = refusal;
    }

    /// Whose state it is.
    pub(crate) fn of_shard(&mut self, shard: Shard) {
        self.days.of_shard(shard);
    }

    /// Whether closed days are told to a ledger from here on.
    pub fn tell_days(&mut self, tells: bool) {
        self.days.tell(tells);
    }

    /// Whether there are closed days that the ledger does not know as they are.
    pub(crate) fn has_untold_days(&self) -> bool {
        self.days.has_untold()
    }

    /// Plans to tell them.
    pub(crate) fn tell_untold_days(&mut self, batch: &mut Batch) {
        self.days.tell_untold(batch);
    }

    /// Plans first cursors: adds what has to be written to `batch`, and takes it as known from here on.
    pub fn begin(&mut self, first_cursors: Vec<FirstCursor>, batch: &mut Batch) {
        for (promoter, feed, cursor) in first_cursors {
            self.begin_feed(promoter, feed, cursor, batch);
        }
    }

    fn begin_feed(&mut self, promoter: Promoter, feed: Feed, cursor: Cursor, batch: &mut Batch) {
        let stood = self.stands(&promoter);
        let slot = &mut self.promoters.entry(&promoter)[feed];
        match slot {
            None => *slot = Some(FeedState::new(cursor)),
            // What is remembered stays.
            Some(memory) if cursor.polled && !memory.cursor().polled => memory.restore_cursor(cursor),
            Some(_) => return,
        }
        push_state(batch, StateKey::Cursor(promoter.clone(), feed), Some(StateValue::Cursor(cursor)));
        self.days.begin(batch);
        self.note_moves(&promoter, stood);
        self.days.reopen(promoter.app_id(), batch);
    }

    /// Where the cursors of a promoter stand that may hold up a day.
    fn stands(&self, promoter: &Promoter) -> Standings {
        if self.aside.contains(promoter) {
            return Standings::default();
        }
        self.promoters.get(promoter).map(standings).unwrap_or_default()
    }

    /// The cursors of a promoter stood elsewhere before.
    fn note_moves(&mut self, promoter: &Promoter, stood: Standings) {
        let stands = self.stands(promoter);
        self.days.moved(promoter.app_id(), stood, stands);
    }

    /// Plans a page: adds what has to be written to `batch`, and takes it as known from here on.
    pub fn take(&mut self, page_facts: PageFacts, batch: &mut Batch) -> RowCounts {
        let Some(feeds) = self.promoters.get_mut(&page_facts.promoter) else { return RowCounts::default() };
        let (before, stood) = (facts(feeds), standings(feeds));
        let (promoter, observed_at) = (page_facts.promoter.clone(), page_facts.observed_at);
        let (counts, tally) = take_page(page_facts, feeds, &self.refusal, batch);
        self.facts = (self.facts + facts(feeds)).saturating_sub(before);
        let stands = standings(feeds);
        if stands != stood && !self.aside.contains(&promoter) {
            self.days.moved(promoter.app_id(), stood, stands);
        }
        self.days.take(promoter.app_id(), tally, observed_at, batch);
        counts
    }

    /// Plans a rewind, unless it was met before: adds what has to be written to `batch`, and takes it as known from here on. See
    /// [`super::rewind`].
    pub fn rewind(&mut self, promoter: Promoter, feed: Feed, rewind: Rewind, batch: &mut Batch) {
        let of_feed = (promoter.clone(), feed);
        let known = self.rewinds.met.get(&of_feed);
        if known.is_some_and(|met| met.id == rewind.id) {
            return;
        }
        let stood = self.stands(&promoter);
        let state = self.promoters.get_mut(&promoter).and_then(|feeds| feeds[feed].as_mut());
        let mut maybe_forgotten = Vec::new();
        if let Some(state) = state {
            let (written, before_it) = (state.written(), state.remembered());
            let acts = state.rewind(feed, rewind);
            if acts {
                let cursor = StateValue::Cursor(state.cursor());
                push_state(batch, StateKey::Cursor(promoter.clone(), feed), Some(cursor));
            }
            if acts && rewind.republish {
                // An earlier one may be on its way still: what that has forgotten must not be remembered by its record being gone.
                let earlier = self.rewinds.forgotten_before.get(&of_feed);
                let before = earlier.map_or(written, |earlier| written.max(*earlier));
                state.forget_before(before);
                let forgotten = Some(StateValue::Forgotten(before));
                push_state(batch, StateKey::Forgotten(promoter.clone(), feed), forgotten);
                self.rewinds.forgotten_before.insert(of_feed, before);
            }
            maybe_forgotten = state.maybe_forgotten().to_vec();
            self.facts = (self.facts + state.remembered()).saturating_sub(before_it);
        }
        self.note_moves(&promoter, stood);
        self.days.reopen(promoter.app_id(), batch);
        let met = MetRewind { id: rewind.id, maybe_forgotten };
        self.note_rewind(promoter, feed, met, batch);
    }

    fn note_rewind(&mut self, promoter: Promoter, feed: Feed, met: MetRewind, batch: &mut Batch) {
        let noted = MetRewind { id: met.id, maybe_forgotten: Vec::new() };
        push_state(batch, StateKey::Rewound(promoter.clone(), feed), Some(StateValue::Rewound(met)));
        self.rewinds.met.insert((promoter, feed), noted);
    }

    /// Plans what becomes of promoters that were removed, or have returned.
    pub fn take_removals(&mut self, removals: Vec<Removal>, batch: &mut Batch) {
        for Removal { promoter, step } in removals {
            match step {
                // Where nothing is known of it there is nothing to forget later.
                RemovalStep::Marked(since) if self.promoters.get(&promoter).is_some() => {
                    push_state(batch, StateKey::Removed(promoter.clone()), Some(StateValue::Removed(since)));
                    // What it would have held up is closed with the next page of its app: that one tells the time.
                    let stood = self.stands(&promoter);
                    self.aside.insert(promoter.clone());
                    self.note_moves(&promoter, stood);
                }
                RemovalStep::Marked(_) => {}
                RemovalStep::Returned => {
                    push_state(batch, StateKey::Removed(promoter.clone()), None);
                    let stood = self.stands(&promoter);
                    self.aside.remove(&promoter);
                    self.note_moves(&promoter, stood);
                    self.days.reopen(promoter.app_id(), batch);
                }
                RemovalStep::Forgotten => self.forget(promoter, batch),
            }
        }
    }

    /// Drops all that is known of a promoter: its cursors, its memory, and that it was removed, together. A page of it that comes
    /// later comes to nothing, as of one that never began.
    fn forget(&mut self, promoter: Promoter, batch: &mut Batch) {
        let stood = self.stands(&promoter);
        let mut feeds = self.promoters.remove(&promoter).unwrap_or_default();
        self.note_moves(&promoter, stood);
        self.aside.remove(&promoter);
        self.facts = self.facts.saturating_sub(facts(&feeds));
        for feed in Feed::ALL {
            let Some(state) = &mut feeds[feed] else { continue };
            for number in state.drop_memory() {
                push_state(batch, StateKey::Seen(promoter.clone(), feed, number), None);
            }
            push_state(batch, StateKey::Cursor(promoter.clone(), feed), None);
            let of_feed = (promoter.clone(), feed);
            if self.rewinds.forgotten_before.remove(&of_feed).is_some() {
                push_state(batch, StateKey::Forgotten(promoter.clone(), feed), None);
            }
            // Its rewind stays known: it must not act on the promoter should that come back.
            if let Some(met) = self.rewinds.met.get(&of_feed).cloned() {
                self.note_rewind(promoter.clone(), feed, met, batch);
            }
        }
        push_state(batch, StateKey::Removed(promoter), None);
    }

    /// Makes dead letters of records of the registry that can't be read, each once though the registry is read anew by each
    /// owner.
    pub(crate) fn take_registrations(
        &mut self,
        assigned: AssignedShard,
        letters: Vec<(i64, DeadLetter)>,
        batch: &mut Batch,
    ) -> RowCounts {
        let mut counts = RowCounts::default();
        for (offset, letter) in letters {
            if offset < self.registry_read {
                continue;
            }
            self.registry_read = offset + 1;
            counts.dead_lettered += 1;
            batch.weight += 256 + letter.raw.len();
            batch.dead_letters.push(letter);
        }
        if counts.dead_lettered > 0 {
            let value = Some(self.registry_read.to_string().into_bytes());
            batch.shard_records.push(ShardRecord { assigned, key: REGISTRY_READ_KEY.to_owned(), value });
        }
        counts
    }

    /// Takes the value of the record under [`REGISTRY_READ_KEY`]. One that can't be read tells nothing: then some letters come
    /// twice.
    pub(crate) fn restore_registry_read(&mut self, value: Option<&[u8]>) {
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        self.registry_read = text.and_then(|text| text.parse().ok()).unwrap_or(0);
    }

    /// Takes the value of the record under [`LEDGER_KEY`](super::shares::ledger::LEDGER_KEY).
    pub(crate) fn restore_ledger(&mut self, value: Option<&[u8]>) {
        self.ledger = value.map(Box::from);
    }

    /// Takes out the ledger of shares, if there was one.
    pub(crate) fn take_ledger(&mut self) -> Option<Box<[u8]>> {
        self.ledger.take()
    }

    /// Takes a record of the shard's days.
    pub(crate) fn restore_day(&mut self, record: DayContent) {
        self.days.restore(record);
    }

    /// Takes a tombstone of one.
    pub(crate) fn forget_day(&mut self, key: &[u8]) {
        self.days.forget(key);
    }

    /// Takes a record read from the topic. The records of a promoter come in the order in which they were written, and of one key
    /// the last may be there alone; so a feed's `seen` records may come before its first cursor.
    pub fn restore(&mut self, key: StateKey, value: Option<StateValue>) {
        let (promoter, feed) = match &key {
            StateKey::Cursor(promoter, feed) | StateKey::Seen(promoter, feed, _) => (promoter, *feed),
            StateKey::Forgotten(promoter, feed) => return self.restore_forgotten(promoter, *feed, value),
            StateKey::Removed(promoter) => return self.restore_removed(promoter.clone(), value),
            StateKey::Rewound(promoter, feed) => return self.restore_rewound(promoter.clone(), *feed, value),
        };
        let slot = &mut self.promoters.entry(promoter)[feed];
        let state = slot.get_or_insert_with(|| FeedState::new(NO_CURSOR));
        match (key, value) {
            (StateKey::Cursor(..), Some(StateValue::Cursor(cursor))) => state.restore_cursor(cursor),
            (StateKey::Seen(_, _, number), Some(StateValue::Seen(facts))) => state.read_chunk(number, &facts),
            (StateKey::Seen(_, _, number), None) => state.read_chunk(number, &[]),
            // A cursor's tombstone: the feed begins anew.
            (StateKey::Cursor(..), _) => *slot = None,
            // `StateValue::decode` goes by the key, so kinds never differ.
            (StateKey::Seen(..) | StateKey::Removed(_) | StateKey::Rewound(..) | StateKey::Forgotten(..), _) => {}
        }
    }

    fn restore_removed(&mut self, promoter: Promoter, value: Option<StateValue>) {
        self.removed.remove(&promoter);
        if let Some(StateValue::Removed(since)) = value {
            self.removed.insert(promoter, since);
        }
    }

    fn restore_rewound(&mut self, promoter: Promoter, feed: Feed, value: Option<StateValue>) {
        self.rewinds.met.remove(&(promoter.clone(), feed));
        if let Some(StateValue::Rewound(met)) = value {
            self.rewinds.met.insert((promoter, feed), met);
        }
    }

    /// What has been read until here is forgotten as it was when the record was written; what comes behind it is not.
    fn restore_forgotten(&mut self, promoter: &Promoter, feed: Feed, value: Option<StateValue>) {
        let of_feed = (promoter.clone(), feed);
        self.rewinds.forgotten_before.remove(&of_feed);
        let Some(StateValue::Forgotten(before)) = value else { return };
        self.rewinds.forgotten_before.insert(of_feed, before);
        if let Some(state) = self.promoters.get_mut(promoter).and_then(|feeds| feeds[feed].as_mut()) {
            state.forget_before(before);
        }
    }

    /// Ends a restore: what stands behind the cursors is forgotten, and so is a feed that has no cursor.
    pub fn restored(&mut self) {
        for ((promoter, feed), met) in &mut self.rewinds.met {
            let maybe_forgotten = std::mem::take(&mut met.maybe_forgotten);
            if let Some(state) = self.promoters.get_mut(promoter).and_then(|feeds| feeds[*feed].as_mut()) {
                state.restore_maybe_forgotten(maybe_forgotten);
            }
        }
        self.facts = 0;
        self.promoters.retain(|feeds| {
            for slot in feeds.values_mut() {
                match slot {
                    Some(state) if state.cursor() == NO_CURSOR => *slot = None,
                    Some(state) => state.restored(),
                    None => {}
                }
            }
            self.facts += facts(feeds);
            feeds.values().any(Option::is_some)
        });
        self.aside = self.removed.keys().cloned().collect();
        let is_polled = self.promoters.keys().next().is_some();
        self.days.restored(is_polled);
        for (promoter, feeds) in self.promoters.iter().filter(|(promoter, _)| !self.aside.contains(promoter)) {
            self.days.moved(promoter.app_id(), Standings::default(), standings(feeds));
        }
        self.days.all_stand();
    }
}

/// How many are remembered of a promoter.
fn facts(feeds: &FeedStates) -> usize {
    feeds.values().flatten().map(FeedState::remembered).sum()
}

fn standings(feeds: &FeedStates) -> Standings {
    PerFeed::new(|feed| {
        let state = feeds[feed].as_ref()?;
        standing(feed, state.cursor(), state.written())
    })
}

fn cursors(feeds: &FeedStates) -> Cursors {
    PerFeed::new(|feed| feeds[feed].as_ref().map(FeedState::cursor))
}

/// Stands for the cursor of a feed whose record has not come yet. No feed begins at the end of time.
const NO_CURSOR: Cursor =
    Cursor { start: UnixTime(i64::MAX), complete_before: UnixTime(i64::MAX), polled: false, history_seen: false };
