//! How many calls of an interface an app may make: so many in a minute, so many in a day.

use parking_lot::{Mutex as SyncMutex, MutexGuard};

use crate::model::time::{Day, UnixTime};
use minute_limiter::MinuteLimiter;

mod minute_limiter;

/// As configured for one interface of one app. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetSettings {
    pub per_minute: u32,
    /// A day begins at midnight in Beijing, as the upstream's quota does. What an earlier run has spent is not known.
    pub per_day: u32,
}

/// At how many calls a second a budget is spent evenly; nothing where it has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallRates {
    pub minute: Option<f64>,
    /// What is left of the day, over the time that is left of it.
    pub day: Option<f64>,
}

impl CallRates {
    pub fn least(self) -> Option<f64> {
        self.minute.into_iter().chain(self.day).min_by(f64::total_cmp)
    }
}

/// The calls of the day are spent until `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaySpent {
    pub until: UnixTime,
}

/// The calls of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayUsage {
    /// As configured; 0 for no limit.
    pub limit: u32,
    /// That this process has made since the day began, or since the process did.
    pub spent: u32,
}

/// Who waits for a turn: of these two, each gets every second one while both wait. So pulls that go on do not wait behind
/// all that begin, and neither the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A call that begins something: a first page, material.
    First,
    /// A further page.
    Further,
}

/// The calls of one interface of one app: over all its polls and requests, and over all sessions.
pub struct Budget {
    minute: MinuteLimiter,
    per_day: u32,
    day: SyncMutex<DayCount>,
}

/// The calls of a day.
struct DayCount {
    day: Day,
    spent: u32,
    /// The day that the clock was last set back from, and what was spent then: it may have been the right one.
    left: (Day, u32),
    /// Since when calls of this day are counted: from its beginning on, or since the process began.
    since: UnixTime,
    /// What the upstream has borne on the day on which it said last that no more is left.
    borne: Option<(Day, f64)>,
}

/// So many calls of a day tell how many are borne.
const TELLING_CALLS: u32 = 100;
/// By how much more is tried with each day on which all went well.
const DAILY_GROWTH: f64 = 1.1;

impl Budget {
    pub fn new(settings: BudgetSettings) -> Budget {
        let day = Day::in_beijing(UnixTime::EARLIEST);
        let since = UnixTime::EARLIEST;
        let day = SyncMutex::new(DayCount { day, spent: 0, left: (day, 0), since, borne: None });
        Budget { minute: MinuteLimiter::new(settings.per_minute), per_day: settings.per_day, day }
    }

    /// Whether the day has a call left.
    ///
    /// # Errors
    /// [`DaySpent`] where it has none.
    pub fn left(&self, now: UnixTime) -> Result<(), DaySpent> {
        self.day_of(now).left()
    }

    /// Waits until the minute has a call left. `may_go_on` is asked whenever it is the first in the queue, so that those
    /// behind it do not wait for one who would not call any more.
    ///
    /// # Errors
    /// That of `may_go_on`, which ends the wait.
    pub async fn turn<E>(&self, turn: Turn, may_go_on: impl Fn() -> Result<(), E>) -> Result<(), E> {
        self.minute.turn(turn, may_go_on).await
    }

    /// At how many calls a second it is spent evenly from now on.
    pub fn rates(&self, now: UnixTime) -> CallRates {
        CallRates { minute: self.minute.rate(), day: self.day_of(now).rate(now) }
    }

    /// How far the day is spent.
    pub fn usage(&self, now: UnixTime) -> DayUsage {
        DayUsage { limit: self.per_day, spent: self.day_of(now).counted.spent }
    }

    /// To be called just before a call is sent: only what is sent is counted.
    ///
    /// # Errors
    /// [`DaySpent`] where the day has no call left: then it is not sent.
    pub fn count(&self, now: UnixTime) -> Result<(), DaySpent> {
        // Others were counted while this one waited, and midnight may have passed.
        let mut day = self.day_of(now);
        day.left()?;
        day.count();
        self.minute.count();
        Ok(())
    }

    /// The upstream says that the day's calls are spent. Gives how many it bears in a day, as far as that is told by those that
    /// were counted: from the next day on they are spread over the day, and each day a few more are tried.
    pub fn quota_spent(&self, now: UnixTime) -> Option<f64> {
        self.day_of(now).quota_spent(now)
    }

    /// The upstream says that calls come too fast. Gives at how many a second they come from now on, where that is less than
    /// before.
    pub fn too_fast(&self) -> Option<f64> {
        self.minute.too_fast()
    }

    fn day_of(&self, now: UnixTime) -> DayGuard<'_> {
        let mut counted = self.day.lock();
        let today = Day::in_beijing(now);
        if counted.day < today {
            // What was sent today before the process began is not known.
            let is_first = counted.since == UnixTime::EARLIEST;
            counted.since = if is_first { now } else { today.beijing_start() };
            counted.spent = if counted.left.0 == today { counted.left.1 } else { 0 };
        } else if counted.day > today {
            counted.left = (counted.day, counted.spent);
        }
        // A day that lies ahead was a clock's mistake. What was sent by then was sent today: so a clock that is set back
        // does not open a spent day again.
        counted.day = today;
        DayGuard { counted, per_day: self.per_day }
    }
}

struct DayGuard<'a> {
    counted: MutexGuard<'a, DayCount>,
    per_day: u32,
}

impl DayGuard<'_> {
    fn left(&self) -> Result<(), DaySpent> {
        let DayCount { day, spent, .. } = *self.counted;
        if self.per_day != 0 && spent >= self.per_day {
            return Err(DaySpent { until: day.beijing_end() });
        }
        Ok(())
    }

    fn rate(&self, now: UnixTime) -> Option<f64> {
        let DayCount { day, spent, borne, .. } = *self.counted;
        let borne = borne.filter(|(learnt, _)| *learnt < day).map(|(learnt, calls)| {
            let days = i32::try_from(day.days_since(learnt) - 1).unwrap_or(i32::MAX);
            calls * DAILY_GROWTH.powi(days)
        });
        let configured = (self.per_day != 0).then(|| f64::from(self.per_day));
        let calls = configured.into_iter().chain(borne).min_by(f64::total_cmp)?;
        let seconds = day.beijing_end().0.saturating_sub(now.0).max(1);
        // Where nothing is left of it, it is not this that tells when the next call may be made.
        Some((calls - f64::from(spent)) / seconds as f64).filter(|rate| *rate > 0.0)
    }

    fn quota_spent(&mut self, now: UnixTime) -> Option<f64> {
        let DayCount { day, spent, since, borne, .. } = *self.counted;
        if spent < TELLING_CALLS || borne.is_some_and(|(learnt, _)| learnt == day) {
            return None;
        }
        let seconds = |from: UnixTime| now.0.saturating_sub(from.0).max(1) as f64;
        let calls = f64::from(spent) * seconds(day.beijing_start()) / seconds(since);
        self.counted.borne = Some((day, calls));
        Some(calls)
    }

    fn count(&mut self) {
        self.counted.spent = self.counted.spent.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
