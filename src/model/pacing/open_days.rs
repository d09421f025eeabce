//! Which orders one pull asks for: those of one date, or of all dates at once.
//!
//! Each open day has its turn: today as often as facts come, the others at the idle pace, and one that fails as one that does
//! not. A day that was read after its time to close is closed, whatever stands before it; the cursor passes it when all days
//! before it are. Until then that is known in memory only: after a restart it is read once more, and brings nothing new.

use std::time::Duration;

use smallvec::SmallVec;

use crate::model::cursor::first_open_day;
use crate::model::scope::{Scope, first_day_not_closing};
use crate::model::time::{Day, UnixTime};

use super::{PollSettings, PollTurn};

/// With more open days than this, one pull without a date is cheaper than a call for each day.
pub(super) const DATED_DAYS_MAX: i64 = 31;
/// After two undated pulls in a row that a smaller request could have cured, or eight of which nobody knows, days are asked
/// for one by one.
const UNDATED_DOUBTS_MAX: u16 = 8;
const DOUBTS_OF_TOO_MUCH: u16 = 4;
/// So many days then, before all are asked for again: what was in the way may have passed, and years of days are thousands of calls.
/// Twice as many after each time that it was in vain: so of whoever never gets all of them few calls are spent on that.
const DAYS_IN_DOUBT: u32 = 64;
/// More days in a row than there will be.
const DOUBLED_MAX: u16 = 10;
/// So many days are read one by one after a pull of all that was cut short, at least, before all are asked for again; and so
/// many for each page that it took, which are a small part of what the days cost then.
const DAYS_IN_A_ROW: u32 = 8;

/// When which open day was asked for last, and which are closed though the cursor has not passed them yet.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenDays {
    /// Those that the cursor has not passed, in their order: today and the day before, of most promoters.
    requested: SmallVec<[RequestedDay; 2]>,
    undated_doubts: u16,
    /// How often there were too many of those, since all were read.
    given_up: u16,
    /// Days that are still to be read one by one.
    dated_left: u32,
}

/// A day that was asked for, in vain or not. Twelve bytes, for there may be millions.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(4))]
struct RequestedDay {
    /// In nanoseconds: half of what a duration takes, for five hundred years.
    last: u64,
    /// As days since 1970-01-01, until 2149.
    number: u16,
    reading: DayReading,
    /// Whether it was asked for in vain last.
    failed: bool,
}

/// What a day was read to its end for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DayReading {
    Never,
    Open,
    /// After its time to close.
    Closed,
}

impl RequestedDay {
    fn last(&self) -> Duration {
        Duration::from_nanos(self.last)
    }
}

/// The pauses between two pulls of a day, and the days that have one.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenRange {
    first: Day,
    /// The last one that is looked at, today or earlier.
    last: Day,
    today: Day,
    pause_today: Duration,
    pause: Duration,
}

impl OpenRange {
    pub fn new(complete_before: UnixTime, settings: PollSettings, now: UnixTime) -> OpenRange {
        let (first, pause_today, pause) = (first_open_day(complete_before), settings.every, settings.idle_every);
        let today = Day::in_beijing(now).max(first);
        OpenRange { first, last: today, today, pause_today, pause }
    }

    /// Those that end by then; the first one in any case.
    pub fn until(self, bound: UnixTime) -> OpenRange {
        OpenRange { last: self.last.min(Day::in_beijing(bound).previous()).max(self.first), ..self }
    }

    fn days(self) -> impl Iterator<Item = Day> {
        std::iter::successors(Some(self.first), |day| Some(day.next())).take_while(move |day| *day <= self.last)
    }
}

impl OpenDays {
    pub const fn none() -> OpenDays {
        OpenDays { requested: SmallVec::new_const(), undated_doubts: 0, given_up: 0, dated_left: 0 }
    }

    /// Among the open days it is the one that has waited longest; all of them where they are too many.
    pub fn next(&self, open: OpenRange, lateness: i64, now: UnixTime) -> Scope {
        let until = first_day_not_closing(lateness, now);
        let are_many = open.today.days_since(open.first) > DATED_DAYS_MAX && until > open.first;
        if are_many && self.dated_left == 0 {
            return Scope::History { until };
        }
        self.next_day(open)
    }

    /// Of these the one that has waited longest.
    pub fn next_day(&self, open: OpenRange) -> Scope {
        let (day, _) = self.due_first(open);
        let mut until = day.next();
        while self.is_closed(until) {
            until = until.next();
        }
        Scope::Day { day, until }
    }

    /// When the next turn comes: today's as often as facts come, but for another day when that one is due.
    pub fn turn(&self, open: OpenRange, clock: Duration) -> PollTurn {
        let others = open.days().filter(|day| *day < open.today && !self.is_closed(*day));
        let latest = others.map(|day| self.due(day, open.pause)).min().unwrap_or(Duration::MAX);
        match self.get(open.today) {
            Some(today) if latest > clock => PollTurn::Usual { since: today.last(), earliest: clock, latest },
            _ => PollTurn::At(clock),
        }
    }

    /// A day was read to its end, which has closed it or not; the cursor stands where that has moved it.
    pub fn read(&mut self, day: Day, is_closed: bool, complete_before: UnixTime, clock: Duration) {
        self.dated_left = self.dated_left.saturating_sub(1);
        let requested = self.note_request(day, clock);
        let closed = is_closed || requested.reading == DayReading::Closed;
        requested.reading = if closed { DayReading::Closed } else { DayReading::Open };
        requested.failed = false;
        let first = number(first_open_day(complete_before));
        self.requested.retain(|requested| requested.number >= first);
    }

    /// A day was asked for in vain.
    pub fn failed(&mut self, day: Day, clock: Duration) {
        self.note_request(day, clock).failed = true;
    }

    /// Notes that the day was asked for.
    fn note_request(&mut self, day: Day, clock: Duration) -> &mut RequestedDay {
        let index = self.place(day).unwrap_or_else(|index| {
            let never = RequestedDay { last: 0, number: number(day), reading: DayReading::Never, failed: false };
            self.requested.insert(index, never);
            index
        });
        let requested = &mut self.requested[index];
        requested.last = u64::try_from(clock.as_nanos()).unwrap_or(u64::MAX);
        requested
    }

    /// Where the day stands among those that were asked for, or would.
    fn place(&self, day: Day) -> Result<usize, usize> {
        self.requested.binary_search_by_key(&number(day), |requested| requested.number)
    }

    fn get(&self, day: Day) -> Option<&RequestedDay> {
        self.place(day).ok().map(|index| &self.requested[index])
    }

    /// When a day was read to its end, unless it was asked for in vain since.
    pub fn read_last(&self, day: Day) -> Option<Duration> {
        let is_read = |requested: &&RequestedDay| requested.reading != DayReading::Never && !requested.failed;
        self.get(day).filter(is_read).map(RequestedDay::last)
    }

    fn is_closed(&self, day: Day) -> bool {
        self.get(day).is_some_and(|requested| requested.reading == DayReading::Closed)
    }

    /// Whether every open day was read but this one.
    pub fn are_read_but(&self, day: Day, open: OpenRange) -> bool {
        let is_read = |other: Day| self.get(other).is_some_and(|requested| requested.reading != DayReading::Never);
        open.days().all(|other| other == day || is_read(other))
    }

    /// All of them were asked for on so many pages, and read to the present or cut short; the cursor stands where that has moved it.
    pub fn undated_read(&mut self, is_whole: bool, pages: u32, complete_before: UnixTime) {
        (self.undated_doubts, self.given_up) = (0, 0);
        self.dated_left = if is_whole { 0 } else { pages.max(1).saturating_mul(DAYS_IN_A_ROW) };
        let first = number(first_open_day(complete_before));
        self.requested.retain(|requested| requested.number >= first);
        // From here on the cursor moves with that day, so it is read, though it may have been closed while others were open.
        self.requested
            .iter_mut()
            .filter(|requested| requested.number == first && requested.reading == DayReading::Closed)
            .for_each(|requested| requested.reading = DayReading::Open);
    }

    pub fn undated_was_too_much(&mut self) {
        self.doubt(DOUBTS_OF_TOO_MUCH);
    }

    pub fn undated_was_unanswered(&mut self) {
        self.doubt(1);
    }

    fn doubt(&mut self, doubts: u16) {
        self.undated_doubts += doubts;
        if self.undated_doubts >= UNDATED_DOUBTS_MAX {
            // From here on one that was too much is enough.
            self.undated_doubts = UNDATED_DOUBTS_MAX - DOUBTS_OF_TOO_MUCH;
            self.dated_left = DAYS_IN_DOUBT << self.given_up.min(DOUBLED_MAX);
            self.given_up = self.given_up.saturating_add(1);
        }
    }

    /// The open day that is due first, and when; the earliest of several.
    fn due_first(&self, open: OpenRange) -> (Day, Duration) {
        let mut best = (open.last, Duration::MAX);
        for day in open.days() {
            let pause = if day == open.today { open.pause_today } else { open.pause };
            let due = self.due(day, pause);
            if due < best.1 && !self.is_closed(day) {
                best = (day, due);
            }
        }
        best
    }

    fn due(&self, day: Day, pause: Duration) -> Duration {
        self.get(day).map_or(Duration::ZERO, |requested| requested.last() + pause)
    }
}

fn number(day: Day) -> u16 {
    u16::try_from(day.number().max(0)).unwrap_or(u16::MAX)
}
