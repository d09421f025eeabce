//! The completeness ledger: what was published of each Beijing day, feed by feed of each app of a shard, and which days are
//! closed.
//!
//! # What a day counts
//!
//! Each event counts for the day of its fact's time: of a touch `create_time`, of a payment `paid_time`, of a refund
//! `refunded_time`, or the moment at which it was observed where it has none. An event that shows a refund counts for refunds,
//! whichever feed has met it, so whoever reads the topics can count the same. A dead letter of a row counts for the day on which it
//! was met, and for the feed that it names: a row that can't be read tells no time.
//!
//! # When a day is closed
//!
//! When the last cursor of the feed has passed it, among those of the app's promoters in the shard: those that are polled, or were,
//! but for promoters whom nobody names any more. Where a cursor stands is the first day that it has not completed
//! ([`standing`]), and how many stand on each day is kept as they move, so that nobody is walked over. What counts is the cursor of
//! the last record ([`FeedState::written`](super::feed_state::FeedState::written)): after a restart the polls go on from there, and
//! whoever reads the state sees the same.
//!
//! # Why the counts are exact
//!
//! 1. What a page adds to a day, and the record that says so, come from one write, which is never split
//!    (`commit::planned`): they become durable in one transaction, with the events, or not at all. The record says the whole count,
//!    and not what was added, so of several records of a day in one transaction the last one alone has to be written.
//! 2. Whoever takes the shard up goes on from what it reads, as with the memory of facts. A shard that had cursors before days were
//!    counted begins with a later day ([`CountBegin`]): no day is told of which a part was not counted.
//! 3. A fact of a closed day may be published still: a cursor was moved back by a rewind, a promoter begins later with an earlier
//!    start or is named again, an order in an unknown status is shown as a refund, or a clock was set back. Nothing of this has to
//!    be ruled out, for the count is the day's whether it is closed or not, and a day that was told is told again with
//!    whatever changes of it. So **the last record of a day is what the topics hold of it**, in each committed state.
//! 4. A closed day is opened again in the transaction in which a cursor comes to stand on it or before it. So **where a record says
//!    that a day is closed, every cursor has passed it**, in each committed state.
//!
//! How often facts were shown again is counted in memory, and goes along when something else is written: polls that bring nothing
//! new must not write. So after a restart it may be less than it was.
//!
//! # Days without a record
//!
//! A day on which nothing was published has no record of its own, unless it is the last that was closed: what holds for it is what
//! the next record says, which tells by `since` how far back it speaks. So a fleet that begins a year ago does not write a record for
//! each day of it. The first day of all has one, with which the state keeps where the days begin.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::batch::Batch;
use super::cursor::Cursor;
use super::day_record::{BEGUN_KEY, CountedDay, DayContent, DayCounts, DayKey, DayRecord, DayStatus, DayTold};
use super::feed::{Feed, PerFeed, PulledBy};
use super::shard::Shard;
use super::time::{Day, UnixMillis, UnixTime};

/// What one page adds to the days: few of them, since its facts stand in the order of their times.
#[derive(Debug, Default)]
pub(super) struct DayTally(SmallVec<[(Feed, Day, DayCounts); 4]>);

impl DayTally {
    pub fn published(&mut self, feed: Feed, time: UnixTime) {
        self.of(feed, time).published += 1;
    }

    pub fn duplicate(&mut self, feed: Feed, time: UnixTime) {
        self.of(feed, time).duplicates += 1;
    }

    pub fn dead_letter(&mut self, feed: Feed, observed_at: UnixMillis) {
        self.of(feed, observed_at.as_seconds()).dead_letters += 1;
    }

    fn of(&mut self, feed: Feed, time: UnixTime) -> &mut DayCounts {
        // As far as days have numbers: a fact may have any time.
        let day = Day::numbered(Day::in_beijing(time).number());
        // From the last one on, which is nearly always it.
        let known = self.0.iter().rposition(|(of, on, _)| (*of, *on) == (feed, day));
        let at = known.unwrap_or_else(|| {
            self.0.push((feed, day, DayCounts::default()));
            self.0.len() - 1
        });
        &mut self.0[at].2
    }
}

/// The first day that a cursor of the feed, which was `written` there, has not completed; nothing of one that is only a memory.
///
/// A payment may be listed under the day after its own, so its day is complete when that is closed as well. Before a feed's start
/// nothing is asked for, so no cursor stands before the day of that.
pub fn standing(feed: Feed, cursor: Cursor, written: UnixTime) -> Option<Day> {
    let complete = match feed.pulled_by() {
        PulledBy::Window | PulledBy::Promoter => Day::in_beijing(written),
        PulledBy::Day => Day::in_beijing(written).previous(),
    };
    cursor.polled.then(|| complete.max(Day::in_beijing(cursor.start)))
}

/// On which day each of a promoter's cursors [stands](standing).
pub(super) type Standings = PerFeed<Option<Day>>;

/// From which day on the days of a shard are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CountBegin {
    /// Nobody was polled in it before: with the first cursor all days are.
    #[default]
    Fresh,
    /// It was polled by a connector that counted no days. The first page says what day it is: those that follow are counted.
    Uncounted,
    From(Day),
}

/// How far ahead of now a fact may be dated that was published before days were counted, in seconds.
const DATED_AHEAD_MAX: i64 = 24 * 3600;

/// The days of a shard. About 100 bytes for each of an app and feed on which something was published, as long as the shard is
/// polled: a promoter that comes later, or a rewind, may add to any of them.
#[derive(Debug, Default)]
pub(super) struct Days {
    shard: Shard,
    /// Whether there is a ledger that closed days are told to.
    tells: bool,
    begun: CountBegin,
    apps: HashMap<Arc<str>, PerFeed<FeedDays>, RandomState>,
}

/// Those of one feed of one app.
#[derive(Debug, Default)]
struct FeedDays {
    /// How many cursors stand on each day.
    standing: BTreeMap<Day, u32>,
    days: BTreeMap<Day, DayStatus>,
    /// The first day that anybody began with.
    first: Option<Day>,
    /// The days from the first one to this are closed. Nothing before a cursor was met behind the day with which counting began.
    closed_before: Option<Day>,
}

/// Days whose records have changed.
type Changed = Vec<Day>;

impl Days {
    /// Whose days these are, and whether there is a ledger. Before anything is planned.
    pub fn of_shard(&mut self, shard: Shard) {
        self.shard = shard;
    }

    pub fn tell(&mut self, tells: bool) {
        self.tells = tells;
    }

    /// Takes a record of the topic.
    pub fn restore(&mut self, record: DayContent) {
        match record {
            DayContent::Begun(day) => self.begun = CountBegin::From(day),
            DayContent::Counted(CountedDay { key: DayKey { app, feed, day }, status, .. }) => {
                self.feeds(&app)[feed].days.insert(day, status);
            }
        }
    }

    /// Takes a tombstone, which somebody else has written.
    pub fn forget(&mut self, key: &[u8]) {
        if key == BEGUN_KEY.as_bytes() {
            self.begun = CountBegin::Fresh;
        } else if let Some(DayKey { app, feed, day }) = DayKey::read(key) {
            self.feeds(&app)[feed].days.remove(&day);
        }
    }

    /// The topic was read to its end, which had cursors where `is_polled`. Those of the shard stand next, each once.
    pub fn restored(&mut self, is_polled: bool) {
        if is_polled && self.begun == CountBegin::Fresh {
            self.begun = CountBegin::Uncounted;
        }
        for feed in self.apps.values_mut().flat_map(PerFeed::values_mut) {
            feed.first = feed.days.first_key_value().map(|(_, status)| status.since);
            let last_closed = feed.days.iter().rev().find(|(_, status)| status.closed_at.is_some());
            feed.closed_before = last_closed.map_or(feed.first, |(day, _)| Some(day.next()));
        }
    }

    /// All cursors that were read stand. Before any of them moves: what they have passed by then was passed before.
    pub fn all_stand(&mut self) {
        let begun = self.begun_with();
        for feed in self.apps.values_mut().flat_map(PerFeed::values_mut) {
            let least = feed.standing.first_key_value().map(|(day, _)| (*day).max(begun));
            feed.closed_before = feed.closed_before.or(least.filter(|_| begun < Day::LATEST));
            feed.first = feed.first.or(feed.closed_before);
        }
    }

    /// The cursors of a promoter come to stand on `to`, and leave `from`.
    pub fn moved(&mut self, app: &str, from: Standings, to: Standings) {
        if from == to {
            return;
        }
        let feeds = self.feeds(app);
        for feed in Feed::ALL {
            if from[feed] != to[feed] {
                feeds[feed].moved(from[feed], to[feed]);
            }
        }
    }

    /// A shard that is begun by its first cursors counts all days.
    pub fn begin(&mut self, batch: &mut Batch) {
        if self.begun == CountBegin::Fresh {
            self.begin_with(Day::EARLIEST, batch);
        }
    }

    fn begin_with(&mut self, day: Day, batch: &mut Batch) {
        self.begun = CountBegin::From(day);
        batch.push_day(DayRecord { shard: self.shard, content: DayContent::Begun(day) });
    }

    /// Takes what a page has added, which was read at `observed_at`, with the cursors as they stand behind it: counts, and closes
    /// what they have passed.
    pub fn take(&mut self, app: &str, tally: DayTally, observed_at: UnixMillis, batch: &mut Batch) {
        if self.begun == CountBegin::Uncounted {
            let ahead = observed_at.as_seconds().plus(DATED_AHEAD_MAX);
            self.begin_with(Day::in_beijing(ahead).next(), batch);
        }
        let begun = self.begun_with();
        let mut changed: PerFeed<Changed> = PerFeed::default();
        for (feed, day, counts) in tally.0 {
            if day >= begun {
                self.feeds(app)[feed].count(day, counts, observed_at, &mut changed[feed]);
            }
        }
        self.settle(app, changed, Some(observed_at), batch);
    }

    /// Opens again what a cursor has come to stand before.
    pub fn reopen(&mut self, app: &str, batch: &mut Batch) {
        self.settle(app, PerFeed::default(), None, batch);
    }

    /// Closes days, where a time is told, or opens them again, and plans the records of all that have changed.
    fn settle(&mut self, app: &str, mut changed: PerFeed<Changed>, at: Option<UnixMillis>, batch: &mut Batch) {
        let (begun, tells, shard) = (self.begun_with(), self.tells, self.shard);
        let Some((app, feeds)) = self.known(app) else { return };
        for feed in Feed::ALL {
            let (of_feed, changed) = (&mut feeds[feed], &mut changed[feed]);
            of_feed.settle(begun, at, changed);
            // Most pages change one day or none.
            changed.sort_unstable();
            changed.dedup();
            for day in changed.iter() {
                let promoters = of_feed.promoters();
                let Some(status) = of_feed.days.get_mut(day) else { continue };
                status.told = status.told.changed(status.closed_at.is_some(), tells);
                let key = DayKey { app: app.clone(), feed, day: *day };
                let counted = CountedDay { key, status: *status, promoters };
                batch.push_day(DayRecord { shard, content: DayContent::Counted(counted) });
            }
        }
    }

    /// Whether days were closed, or have changed, that the ledger was not told.
    pub fn has_untold(&self) -> bool {
        self.tells && self.statuses().any(|status| status.told == DayTold::Stale)
    }

    /// Tells the ledger what it was not told.
    pub fn tell_untold(&mut self, batch: &mut Batch) {
        if !self.tells {
            return;
        }
        let apps: Vec<Arc<str>> = self.apps.keys().cloned().collect();
        for app in apps {
            let untold = |of_feed: &FeedDays| {
                let days = of_feed.days.iter().filter(|(_, status)| status.told == DayTold::Stale);
                days.map(|(day, _)| *day).collect::<Changed>()
            };
            let changed =
                PerFeed::new(|feed| self.apps.get(&app).map(|feeds| untold(&feeds[feed])).unwrap_or_default());
            self.settle(&app, changed, None, batch);
        }
    }

    fn statuses(&self) -> impl Iterator<Item = &DayStatus> {
        self.apps.values().flat_map(PerFeed::values).flat_map(|feed| feed.days.values())
    }

    /// Days before it are not told: of a shard without a count that is every day.
    fn begun_with(&self) -> Day {
        match self.begun {
            CountBegin::From(day) => day,
            CountBegin::Fresh | CountBegin::Uncounted => Day::LATEST,
        }
    }

    fn feeds(&mut self, app: &str) -> &mut PerFeed<FeedDays> {
        if !self.apps.contains_key(app) {
            self.apps.insert(app.into(), PerFeed::default());
        }
        self.apps.get_mut(app).expect("it was put there where it was not")
    }

    fn known(&mut self, app: &str) -> Option<(Arc<str>, &mut PerFeed<FeedDays>)> {
        let (name, _) = self.apps.get_key_value(app)?;
        let name = name.clone();
        Some((name, self.apps.get_mut(app)?))
    }
}

impl FeedDays {
    /// How many cursors stand anywhere.
    fn promoters(&self) -> u64 {
        self.standing.values().map(|count| u64::from(*count)).sum()
    }

    fn moved(&mut self, from: Option<Day>, to: Option<Day>) {
        if let Some(day) = from
            && let Some(count) = self.standing.get_mut(&day)
        {
            *count -= 1;
            if *count == 0 {
                self.standing.remove(&day);
            }
        }
        if let Some(day) = to {
            *self.standing.entry(day).or_default() += 1;
        }
    }

    /// Adds to a day. One that is closed stays so, with a new time.
    fn count(&mut self, day: Day, counts: DayCounts, at: UnixMillis, changed: &mut Changed) {
        if !counts.is_news() {
            if let Some(status) = self.days.get_mut(&day) {
                status.counts += counts;
            }
            return;
        }
        let is_closed = self.closed_before.is_some_and(|closed_before| day < closed_before);
        let status = self.status(day, changed);
        status.counts += counts;
        if is_closed {
            status.closed_at = Some(at);
        }
        changed.push(day);
    }

    fn settle(&mut self, begun: Day, at: Option<UnixMillis>, changed: &mut Changed) {
        let Some(least) = self.standing.first_key_value().map(|(day, _)| (*day).max(begun)) else { return };
        // What was not counted is nobody's to close.
        if begun == Day::LATEST {
            return;
        }
        let is_first = self.closed_before.is_none();
        let closed_before = *self.closed_before.get_or_insert(least);
        let was_first = self.first.replace(self.first.map_or(least, |first| first.min(least)));
        if least < closed_before {
            self.open_again(least, closed_before, was_first, changed);
        }
        if is_first {
            // Or whoever takes the shard up would not know of the days before this one's end, should nothing be published on them.
            self.status(least, changed);
            changed.push(least);
        }
        if let Some(at) = at.filter(|_| least > closed_before) {
            self.close(closed_before, least, at, changed);
        }
    }

    /// Closes the days from `from` to that before `to`.
    fn close(&mut self, from: Day, to: Day, at: UnixMillis, changed: &mut Changed) {
        self.status(to.previous(), changed);
        let closed: Vec<Day> = self.days.range(from..to).map(|(day, _)| *day).collect();
        for day in closed {
            let since = self.since(day);
            let status = self.status(day, changed);
            (status.closed_at, status.since) = (Some(at), since);
            changed.push(day);
        }
        self.closed_before = Some(to);
    }

    /// Opens the days from `from` on, where `first` was the first of all. Those before it without records stay closed: a record of
    /// the last of them speaks for them now.
    fn open_again(&mut self, from: Day, closed_before: Day, first: Option<Day>, changed: &mut Changed) {
        self.closed_before = Some(from);
        let mut was_closed_at = None;
        for (day, status) in self.days.range_mut(from..closed_before) {
            was_closed_at = was_closed_at.or(status.closed_at);
            status.closed_at = None;
            changed.push(*day);
        }
        let last = from.previous();
        let was_spoken_for = first.is_some_and(|first| first <= last) && !self.days.contains_key(&last);
        if let Some(at) = was_closed_at.filter(|_| was_spoken_for) {
            self.status(last, changed).closed_at = Some(at);
            changed.push(last);
        }
        self.speak_anew(from, changed);
    }

    /// What is known of a day, which is begun where there is nothing. Then the next record, which spoke for it, does so no more.
    fn status(&mut self, day: Day, changed: &mut Changed) -> &mut DayStatus {
        if !self.days.contains_key(&day) {
            let since = self.since(day);
            self.days.insert(day, DayStatus { since, ..DayStatus::default() });
            self.speak_anew(day.next(), changed);
        }
        self.days.get_mut(&day).expect("it was begun where there was nothing")
    }

    /// The first record of `day` or a later one speaks for the days that are without one now.
    fn speak_anew(&mut self, day: Day, changed: &mut Changed) {
        let Some(next) = self.days.range(day..).next().map(|(next, _)| *next) else { return };
        let since = self.since(next);
        if let Some(status) = self.days.get_mut(&next) {
            status.since = since;
            changed.push(next);
        }
    }

    /// The first day that a record of `day` speaks for.
    fn since(&self, day: Day) -> Day {
        match self.days.range(..day).next_back() {
            Some((before, _)) => before.next(),
            None => self.first.map_or(day, |first| first.min(day)),
        }
    }
}

#[cfg(test)]
mod tests;
