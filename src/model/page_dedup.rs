//! Takes what one page has brought: plans events of what is new and dead letters of what can't be read, and remembers both.

use super::batch::{Batch, Event};
use super::days::DayTally;
use super::dead_letter::DeadLetter;
use super::disposition::{Disposition, RowCounts, dedup_fact};
use super::fact::{FactId, dead_row_id};
use super::feed::{Feed, PerFeed, PulledBy};
use super::feed_state::{Dedup, FeedState, Move};
use super::known_promoters::FeedStates;
use super::page_facts::{Advance, DeadRow, ObservedFact, PageFacts, fact_weight, listed_until};
use super::promoter::Promoter;
use super::refund::{RefundsOfPage, dedup_refund};
use super::refusal::EventRefusal;
use super::state_record::Remembered;
use super::time::{UnixMillis, UnixTime};
use super::unknown::{dedup_unknown, is_unknown};

/// Plans what `page_facts` bring to a promoter whose `feeds` are known: adds it to `batch`, and takes it as known from here
/// on. A feed without a cursor remembers nothing, and nothing is published of it. Events that `refusal` does not let pass are
/// dead letters. Tells what it adds to the days beside.
pub(super) fn take_page(
    page_facts: PageFacts,
    feeds: &mut FeedStates,
    refusal: &EventRefusal,
    batch: &mut Batch,
) -> (RowCounts, DayTally) {
    let PageFacts { promoter, feed, facts, dead_rows, observed_at, asked_before, heads_for, advance } = page_facts;
    if let Some(state) = &mut feeds[feed] {
        state.head_for(heads_for);
    }
    let mut page = PageDedup {
        promoter: &promoter,
        feed,
        observed_at,
        asked_before,
        refunds: RefundsOfPage::of(&promoter, &facts),
        refusal,
        feeds,
        batch,
        added: Default::default(),
        counts: RowCounts::default(),
        tally: DayTally::default(),
    };
    facts.into_iter().for_each(|observed| page.take(observed));
    dead_rows.into_iter().for_each(|row| page.take_dead_row(row));
    page.settle(advance)
}

/// A page that is being taken.
struct PageDedup<'a> {
    promoter: &'a Promoter,
    /// Whose pull has brought it.
    feed: Feed,
    observed_at: UnixMillis,
    asked_before: Option<UnixTime>,
    refunds: RefundsOfPage,
    refusal: &'a EventRefusal,
    feeds: &'a mut FeedStates,
    batch: &'a mut Batch,
    /// What it adds to the memory of each feed.
    added: PerFeed<Vec<Remembered>>,
    counts: RowCounts,
    tally: DayTally,
}

impl PageDedup<'_> {
    fn take(&mut self, observed: ObservedFact) {
        let is_unknown = is_unknown(&observed.fact);
        let memory = if is_unknown { self.feed } else { observed.fact.memory };
        let Some(state) = &self.feeds[memory] else { return };
        let (disposition, marks) = match memory.pulled_by() {
            _ if is_unknown => dedup_unknown(self.feeds, self.feed, &observed, self.observed_at),
            PulledBy::Promoter => dedup_refund(state, self.promoter, &observed, &self.refunds, self.observed_at),
            PulledBy::Window | PulledBy::Day => dedup_fact(state, &observed),
        };
        marks.into_iter().for_each(|mark| self.remember(memory, mark));
        if disposition == Disposition::Duplicate {
            self.tally.duplicate(observed.fact.memory, observed.fact.time);
        }
        if disposition != Disposition::Publish {
            return self.counts.count(disposition);
        }
        let ObservedFact { fact, remembered } = observed;
        // Events are large and seldom refused: each is made where it stays.
        let (promoter, observed_at, asked_before) = (self.promoter.clone(), self.observed_at, self.asked_before);
        self.batch.events.push(Event { promoter, fact, observed_at, asked_before });
        let Some(event) = self.batch.events.last() else { return };
        if let Some(letter) = self.refusal.of(event) {
            return self.take_refused(memory, remembered, letter);
        }
        self.batch.weight += fact_weight(&event.fact);
        self.tally.published(event.fact.memory, event.fact.time);
        self.counts.count(Disposition::Publish);
    }

    /// The row of the latest event, which its topic does not take, is a dead letter once, though it may show another
    /// fact as well, to another feed: a payment to orders, and its refund to refunds. The fact itself is known from
    /// here on, so only the other one can bring the row again. Its feed knows the row for as long as it might publish
    /// that: orders a payment until the last of its days has closed.
    fn take_refused(&mut self, memory: Feed, remembered: UnixTime, letter: DeadLetter) {
        let Some(Event { fact, .. }) = self.batch.events.pop() else { return };
        let (id, of) = (dead_row_id(self.promoter, &fact.raw), fact.memory);
        let is_known = self.is_known(id);
        self.remember(memory, Remembered::new(id, remembered));
        if let Some(payment) = fact.content.payment() {
            self.remember(Feed::Orders, Remembered::new(id, listed_until(payment.paid_time)));
        }
        self.put_dead_letter(of, letter, is_known);
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
        self.put_dead_letter(self.feed, letter, is_known);
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

    /// `feed` is the one that the letter names.
    fn put_dead_letter(&mut self, feed: Feed, letter: DeadLetter, is_known: bool) {
        if is_known {
            self.counts.duplicates += 1;
        } else {
            self.counts.dead_lettered += 1;
            self.tally.dead_letter(feed, letter.observed_at);
            self.batch.weight += 256 + letter.raw.len();
            self.batch.dead_letters.push(letter);
        }
    }

    fn settle(mut self, advance: Option<Advance>) -> (RowCounts, DayTally) {
        // Before any of them moves: an advance counts on the cursor that it was built on.
        let moves = moves(self.feeds, self.feed, advance);
        for memory in Feed::ALL {
            let Some(state) = &mut self.feeds[memory] else { continue };
            let added = std::mem::take(&mut self.added[memory]);
            state.settle(self.promoter, memory, added, moves[memory], self.batch);
        }
        (self.counts, self.tally)
    }
}

/// An advance counts only on the cursor it was built on. Any other would be a contradiction inside the connector,
/// and standing still is then what loses nothing.
fn moves(feeds: &FeedStates, feed: Feed, advance: Option<Advance>) -> PerFeed<Option<Move>> {
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
