//! When a feed's next turn comes, and what it asks.
//!
//! What stands here is only a matter of pace: it lives in memory, starts anew with each session, and nothing is lost
//! or published twice by getting it wrong. Quiet promoters stretch towards `idle_every`, and a change brings them back
//! to `every` at once. A backfill goes in slices without a pause between them. What fails is asked for less, where a
//! smaller question could have been answered.

use std::time::Duration;

use super::cursor::Cursor;
use super::feed::Feed;
use super::scope::{Completion, Scope};
use super::time::{Day, UnixTime};
use open_days::{OpenDays, OpenRange};
use windows::Windows;

pub mod fact_rate;
pub mod intervals;
mod open_days;
mod windows;

/// How often one feed is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSettings {
    /// From one turn to the next while something happens.
    pub every: Duration,
    /// The longest that this stretches to while nothing does; of orders also the pace of open days before today.
    pub idle_every: Duration,
    /// How long after it happened a fact may come to be shown, in seconds; an order after the end of its day.
    pub lateness: i64,
}

/// A pull that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    pub scope: Scope,
    /// What its end has completed.
    pub completion: Completion,
    /// "Now" when its first call was sent.
    pub as_of: UnixTime,
    pub pages: u32,
    pub rows: u64,
    /// Changes when the rows change.
    pub digest: u64,
}

/// What can help a pull that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollRemedy {
    /// The same question later: the upstream was not able to answer, whatever the question was.
    Time,
    /// The same question later, for so the upstream has answered it: it is busy. But it may be so for ever, with this one.
    Patience,
    /// A smaller question: this one was refused, or its answer was too much or made no sense.
    AskLess,
    /// One or the other: nothing readable came back, from an upstream that is out of order, or because the answer is cut
    /// off or takes too long.
    Doubtful,
}

/// A pull that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    pub scope: Scope,
    /// "Now" when its first call was sent.
    pub as_of: UnixTime,
    pub remedy: PollRemedy,
}

/// After so many pulls in a row that the upstream has put off, the question may be what is wrong.
const PUT_OFF_MAX: u32 = 3;

/// The pace of one feed of one promoter. Clocks are durations since some fixed moment.
#[derive(Clone, Debug)]
pub struct Pacing {
    pub cursor: Cursor,
    interval: Duration,
    /// How many pulls in a row the upstream has put off.
    put_off: u32,
    digest: Option<u64>,
    windows: Windows,
    days: OpenDays,
}

impl Pacing {
    pub fn new(cursor: Cursor, settings: PollSettings) -> Pacing {
        let (windows, days) = (Windows::new(), OpenDays::default());
        Pacing { cursor, interval: settings.every, put_off: 0, digest: None, windows, days }
    }

    /// What to ask now.
    pub fn scope(&self, feed: Feed, settings: PollSettings, now: UnixTime) -> Scope {
        match feed {
            Feed::Touches => self.windows.next(&self.cursor, settings.lateness, now),
            Feed::Refunds => Scope::Refunds,
            Feed::Orders => self.days.next(self.open(settings, now), settings.lateness, now),
        }
    }

    /// Whether all open days of orders have been read once a pull of `scope` is read to its end, since this pacing began.
    pub fn reads_the_rest(&self, scope: Scope, settings: PollSettings, now: UnixTime) -> bool {
        match scope {
            Scope::Day { day, .. } => self.days.are_read_but(day, self.open(settings, now)),
            Scope::History { .. } => true,
            Scope::Touches { .. } | Scope::Refunds => false,
        }
    }

    /// Takes what a pull brought, and tells when the next turn comes.
    pub fn after(&mut self, pulled: Pulled, settings: PollSettings, clock: Duration) -> Duration {
        self.put_off = 0;
        self.cursor.complete_before = self.cursor.complete_before.max(pulled.completion.reached);
        match pulled.scope {
            Scope::Touches { begin, end } => {
                if self.windows.after(begin, end, pulled) {
                    return clock;
                }
                self.adapt_interval(pulled.digest, settings);
                clock + self.interval
            }
            Scope::Refunds => {
                self.adapt_interval(pulled.digest, settings);
                // It reads all of a promoter's refunds each time, so it stretches with what that costs.
                let cost = settings.every.saturating_mul(pulled.pages.max(1));
                clock + self.interval.max(cost).min(settings.idle_every)
            }
            Scope::History { .. } => {
                self.days.undated_read();
                clock
            }
            Scope::Day { day, .. } => {
                if day >= Day::in_beijing(pulled.as_of) {
                    self.adapt_interval(pulled.digest, settings);
                }
                self.days.read(day, pulled.completion.settles, &self.cursor, clock);
                self.days.due(self.open(settings, pulled.as_of)).max(clock)
            }
        }
    }

    /// Takes what a pull that failed tells of its question, and tells when the next turn comes: at the usual time.
    pub fn after_failure(&mut self, failed: Failed, settings: PollSettings, clock: Duration) -> Duration {
        let usual = clock + self.interval;
        match (failed.scope, self.weighed(failed.remedy)) {
            // Windows soon grow again.
            (Scope::Touches { begin, end }, PollRemedy::AskLess | PollRemedy::Doubtful) => {
                self.windows.ask_for_less(begin, end);
            }
            (Scope::History { .. }, PollRemedy::AskLess) => self.days.undated_was_too_much(),
            (Scope::History { .. }, PollRemedy::Doubtful) => self.days.undated_was_unanswered(),
            (Scope::Day { day, .. }, _) => {
                self.days.failed(day, clock);
                return self.days.due(self.open(settings, failed.as_of)).max(usual);
            }
            (Scope::Touches { .. } | Scope::History { .. } | Scope::Refunds, _) => {}
        }
        usual
    }

    /// Who is told to be patient for the fourth time in a row asks for less.
    fn weighed(&mut self, remedy: PollRemedy) -> PollRemedy {
        if remedy != PollRemedy::Patience {
            return remedy;
        }
        self.put_off = self.put_off.saturating_add(1);
        if self.put_off > PUT_OFF_MAX { PollRemedy::Doubtful } else { PollRemedy::Time }
    }

    /// The usual time from one turn to the next.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    fn open(&self, settings: PollSettings, now: UnixTime) -> OpenRange {
        OpenRange::new(&self.cursor, settings, self.interval, now)
    }

    fn adapt_interval(&mut self, digest: u64, settings: PollSettings) {
        let quiet = self.digest == Some(digest);
        self.digest = Some(digest);
        self.interval = if quiet { (self.interval * 2).min(settings.idle_every) } else { settings.every };
    }
}

#[cfg(test)]
mod tests;
