//! When a feed's next turn comes, and what it asks.
//!
//! What stands here is only a matter of pace: it lives in memory, starts anew with each session, and nothing is lost
//! or published twice by getting it wrong. Quiet promoters stretch towards `idle_every`, and a change brings them back
//! to `every` at once. A backfill goes in slices without a pause between them.

use std::time::Duration;

use super::cursor::Cursor;
use super::feed::Feed;
use super::pull::{OrderScopes, Scope};
use super::time::{Day, UnixTime};

/// Slices of touches, in seconds: the first one, and the bounds within which they adapt.
const SLICE_FIRST: i64 = 24 * 3600;
const SLICE_MIN: i64 = 60;
const SLICE_MAX: i64 = 366 * 24 * 3600;
/// A slice with fewer rows than this is followed by a longer one: a quarter of a page.
const ROWS_FEW: u64 = 250;

/// How often one feed is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub every: Duration,
    pub idle_every: Duration,
    /// In seconds.
    pub lateness: i64,
}

/// A pull that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    pub scope: Scope,
    /// Where the cursor stands now.
    pub reached: UnixTime,
    /// "Now" when its first call was sent.
    pub as_of: UnixTime,
    pub pages: u32,
    pub rows: u64,
    /// Changes when the rows change.
    pub digest: u64,
}

/// The pace of one feed of one promoter. Clocks are durations since some fixed moment.
#[derive(Clone, Debug)]
pub struct Turns {
    pub cursor: Cursor,
    interval: Duration,
    digest: Option<u64>,
    slice: i64,
    /// When each open day of orders was last read.
    days_read: Vec<(Day, Duration)>,
}

impl Turns {
    pub fn new(cursor: Cursor, rules: Rules) -> Turns {
        Turns { cursor, interval: rules.every, digest: None, slice: SLICE_FIRST, days_read: Vec::new() }
    }

    /// What to ask now. Among the open days of orders it is the one that has waited longest.
    pub fn scope(&self, feed: Feed, rules: Rules, now: UnixTime) -> Scope {
        match feed {
            Feed::Touches => Scope::touches(&self.cursor, self.slice, rules.lateness, now),
            Feed::Refunds => Scope::Refunds,
            Feed::Orders => match Scope::orders(&self.cursor, rules.lateness, now) {
                OrderScopes::History(scope) => scope,
                OrderScopes::Days { first, today } => Scope::Day(self.next_day(rules, first, today).0),
            },
        }
    }

    /// Takes what a pull brought, and tells when the next turn comes.
    pub fn after(&mut self, pulled: Pulled, rules: Rules, clock: Duration) -> Duration {
        self.cursor.complete_before = self.cursor.complete_before.max(pulled.reached);
        let today = Day::in_beijing(pulled.as_of);
        match pulled.scope {
            Scope::Touches { end, .. } => {
                self.adapt_slice(pulled);
                if end < pulled.as_of {
                    return clock;
                }
                self.adapt_interval(pulled.digest, rules);
                clock + self.interval
            }
            Scope::Refunds => {
                self.adapt_interval(pulled.digest, rules);
                // It reads all of a promoter's refunds each time, so it stretches with what that costs.
                let cost = rules.every.saturating_mul(pulled.pages.max(1));
                clock + self.interval.max(cost).min(rules.idle_every)
            }
            Scope::History { .. } => clock,
            Scope::Day(day) => {
                if day >= today {
                    self.adapt_interval(pulled.digest, rules);
                }
                let first = self.cursor.first_open_day();
                self.days_read.retain(|(read, _)| *read != day && *read >= first);
                if day >= first {
                    self.days_read.push((day, clock));
                }
                self.next_day(rules, first, today.max(first)).1.max(clock)
            }
        }
    }

    /// The usual time from one turn to the next.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The next turn after a poll that failed: at the usual time.
    pub fn after_failure(&self, clock: Duration) -> Duration {
        clock + self.interval
    }

    /// A pull without end may have asked for too much at once.
    pub fn ask_for_less(&mut self) {
        self.slice = (self.slice / 2).max(SLICE_MIN);
    }

    /// The open day that is due first, and when; the earliest of several.
    fn next_day(&self, rules: Rules, first: Day, today: Day) -> (Day, Duration) {
        let mut best = (today, Duration::MAX);
        let mut day = first;
        while day <= today {
            let pause = if day == today { self.interval } else { rules.idle_every };
            let read = self.days_read.iter().find(|(read, _)| *read == day);
            let due = read.map_or(Duration::ZERO, |(_, at)| *at + pause);
            if due < best.1 {
                best = (day, due);
            }
            day = day.next();
        }
        best
    }

    fn adapt_interval(&mut self, digest: u64, rules: Rules) {
        let quiet = self.digest == Some(digest);
        self.digest = Some(digest);
        self.interval = if quiet { (self.interval * 2).min(rules.idle_every) } else { rules.every };
    }

    fn adapt_slice(&mut self, pulled: Pulled) {
        if pulled.pages > 1 {
            self.ask_for_less();
        } else if pulled.rows < ROWS_FEW {
            self.slice = (self.slice * 2).min(SLICE_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const NOON: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing
    const RULES: Rules = Rules { every: Duration::from_secs(60), idle_every: Duration::from_secs(900), lateness: 600 };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pulled(scope: Scope, digest: u64) -> Pulled {
        Pulled { scope, reached: NOON.minus(600), as_of: NOON, pages: 1, rows: 1, digest }
    }

    #[test]
    fn a_quiet_feed_stretches_to_its_ceiling_and_a_change_brings_it_back() {
        let mut turns = Turns::new(Cursor::begin(Feed::Touches, NOON), RULES);
        let scope = Scope::Touches { begin: NOON, end: NOON };
        let waits: Vec<_> = (0..6).map(|_| turns.after(pulled(scope, 7), RULES, at(0)).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 900, 900]);
        assert_eq!(turns.after(pulled(scope, 8), RULES, at(0)).as_secs(), 60);
    }

    #[test]
    fn slices_of_a_backfill_follow_each_other_without_a_pause_and_adapt() {
        let mut turns = Turns::new(Cursor::begin(Feed::Touches, NOON.minus(1000 * HOUR)), RULES);
        let Scope::Touches { begin, end } = turns.scope(Feed::Touches, RULES, NOON) else { panic!() };
        assert_eq!(end.0 - begin.0, SLICE_FIRST);
        let scope = Scope::Touches { begin, end };
        assert_eq!(turns.after(Pulled { reached: end, ..pulled(scope, 1) }, RULES, at(5)), at(5));
        let Scope::Touches { begin, end } = turns.scope(Feed::Touches, RULES, NOON) else { panic!() };
        assert_eq!(end.0 - begin.0, 2 * SLICE_FIRST);
        turns.after(Pulled { pages: 3, ..pulled(scope, 1) }, RULES, at(5));
        assert_eq!(turns.slice, SLICE_FIRST);
    }

    #[test]
    fn of_the_open_days_today_is_read_often_and_the_others_at_the_idle_pace() {
        let rules = Rules { lateness: 12 * HOUR, ..RULES };
        let today = Day::in_beijing(NOON);
        let yesterday = today.previous();
        let mut turns = Turns::new(
            Cursor { start: NOON.minus(20 * HOUR), complete_before: yesterday.beijing_start(), polled: true },
            rules,
        );
        let now = NOON.minus(1);
        let stays = |scope| Pulled { reached: UnixTime(0), as_of: now, ..pulled(scope, 1) };
        assert_eq!(turns.scope(Feed::Orders, rules, now), Scope::Day(yesterday));
        assert_eq!(turns.after(stays(Scope::Day(yesterday)), rules, at(10)), at(10));
        assert_eq!(turns.scope(Feed::Orders, rules, now), Scope::Day(today));
        assert_eq!(turns.after(stays(Scope::Day(today)), rules, at(11)), at(71));
        assert_eq!(turns.scope(Feed::Orders, rules, now), Scope::Day(today));
        assert_eq!(turns.after(stays(Scope::Day(today)), rules, at(900)), at(910));
        assert_eq!(turns.scope(Feed::Orders, rules, now), Scope::Day(yesterday));
    }

    #[test]
    fn refunds_stretch_with_the_pages_they_cost() {
        let mut turns = Turns::new(Cursor::begin(Feed::Refunds, NOON), RULES);
        let pages = |pages, digest| Pulled { pages, ..pulled(Scope::Refunds, digest) };
        assert_eq!(turns.after(pages(4, 1), RULES, at(0)), at(240));
        assert_eq!(turns.after(pages(100, 2), RULES, at(0)), at(900));
    }
}
