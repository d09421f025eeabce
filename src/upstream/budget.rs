//! How many calls of an interface an app may make: so many in a minute, so many in a day. Of these this instance makes its
//! share.
//!
//! # Why all instances together never make more
//!
//! At every moment the shares of all instances come to 1 at most: a share is lowered before whoever gets the difference can
//! hear of it. An instance earns calls at its share of the budget's pace, and spends what it has earned.
//!
//! *The day.* What is spent on a day was earned on it ([`day_budget`]). Let the budget be `L` calls a day, of which the part `f` has
//! passed, and an instance's share be `s`. Of all that was called today, each call is put down to whoever made it, and moves on
//! with the share: who takes over a third of another's share takes over a third of the calls that are put down to him. Let `u` be
//! what is put down to an instance. It holds that what it keeps is `s f L - u` at most; so all together have called `f L` at most.
//!
//! 1. It holds while calls are earned, at `s L` a day or slower, and while they are made.
//! 2. Where a share gets less, what is kept gets less in the same proportion, as `s f L` and `u` do. Whoever gets the difference
//!    keeps what he has: of what moves, `s f L - u` is 0 at least.
//! 3. A process begins with nothing, and so repeats nothing.
//! 4. Where the upstream tells that `U` calls are used, by all who call, `u` is no more than that: so `s f L - U` may be kept, whoever
//!    was here before. `U` must count all that is put down to this instance. What it has sent itself within the last minute, or
//!    is about to send, it takes off; and what moved with the share was sent before that moved, about a minute ago or longer.
//!
//! For a limit that the upstream tells the same holds, where no more was called before than the day had brought.
//!
//! *The minute.* Let the budget be `B` calls a minute, and an instance's share come to `q` of them. It keeps at most `k` calls
//! that are earned and not spent, `k` being a small part of `q`, but a whole call at least; and it earns `q - k` in a minute
//! ([`minute_budget`]). In any sixty seconds it spends what it kept at their beginning, and what it earned in them. So:
//!
//! 1. While nothing moves, all together spend at most the sum of `k + (q - k)`, which is the sum of `q`, which is `B`.
//! 2. A share that grows brings no call at once: the calls that it allows to be kept have to be earned first. One that shrinks
//!    takes what may not be kept any more. So a move of a share from one instance to another changes nothing in (1), as long
//!    as both still make calls. Those that are kept may come to fewer in all, where a share of ten calls a second and more gets less:
//!    by no more than a call in six hundred of what moves, for which whoever gets that pays.
//! 3. Where an instance goes altogether, the whole call that it kept at least goes as well, and the others earn more by as
//!    much: within the next sixty seconds that may be one call too many. It had a shard, and whoever takes a shard over pays
//!    one call for it, before its next one. The same pays for the process that was there before a start.
//!
//! With fewer calls a minute than there are shards, an instance's share may be less than a call. Then it makes one in several
//! minutes, and only over these the calls of all are no more than the budget.

use parking_lot::Mutex as SyncMutex;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use crate::model::duration::MINUTES_OF_A_DAY;
use crate::model::pacing::fleet_cost::DailyCalls;
use crate::model::quota_share::Share;
use crate::model::time::{Day, UnixTime};
use crate::upstream::quota_answer::DailyQuota;
use day_budget::DayBudget;
use minute_budget::MinuteBudget;

mod day_budget;
mod minute_budget;

/// As configured for one interface of one app, over all instances. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetSettings {
    pub per_minute: u32,
    /// A day begins at midnight in Beijing, as the upstream's quota does.
    pub per_day: u32,
}

impl BudgetSettings {
    pub(crate) fn daily_calls(self) -> DailyCalls {
        let known = |calls: u32| (calls != 0).then(|| f64::from(calls));
        DailyCalls {
            by_minute: known(self.per_minute).map(|calls| calls * MINUTES_OF_A_DAY),
            by_day: known(self.per_day),
        }
    }
}

/// At how many calls a second a budget is spent evenly; nothing where it has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallRates {
    pub minute: Option<f64>,
    /// What is left of the day, over the time that is left of it.
    pub day: Option<f64>,
    /// How many calls of the day may be made at once, where that has a limit; below 0 where calls are owed.
    pub day_at_once: f64,
}

impl CallRates {
    pub fn least(self) -> Option<f64> {
        self.minute.into_iter().chain(self.day).min_by(f64::total_cmp)
    }
}

/// Calls of the same app that no instance has made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OtherCallers {
    pub per_day: f64,
}

/// The calls of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DayUsage {
    /// As configured; 0 for no limit.
    pub limit: u32,
    /// That this process has made since the day began, or since the process did.
    pub spent: u32,
    /// What the upstream has told of it last, if it has today: by all who call for the app.
    pub told: Option<DailyQuota>,
}

impl DayUsage {
    /// Of all who call for the app: the lesser of what is configured and what was told.
    pub(crate) fn known_limit(self) -> Option<u64> {
        let configured = (self.limit > 0).then_some(u64::from(self.limit));
        configured.into_iter().chain(self.told.map(|told| told.limit)).min()
    }
}

/// Where a call waits for the budget: of these two queues, each gets every second permit while both wait. So pulls that go on
/// do not wait behind all that begin, and neither the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallQueue {
    /// A call that begins something: a first page, material.
    First,
    /// A further page.
    Further,
}

/// The calls of one interface of one app: over all its polls and requests, and over all sessions.
pub struct Budget {
    settings: BudgetSettings,
    paces: SyncMutex<Paces>,
    origin: Instant,
    /// Tells whoever waits that the share is another.
    changed: Notify,
    /// Whoever gets the next permit holds this, so that permits are given in the order in which they were asked for.
    next: Mutex<()>,
    /// By [`CallQueue`]. Of each queue only the first one waits for `next`.
    queues: [Mutex<()>; 2],
}

struct Paces {
    minute: MinuteBudget,
    day: DayBudget,
}

/// A call that may be made. One that is dropped unsent costs the day nothing.
#[must_use]
pub struct CallPermit<'a> {
    budget: &'a Budget,
    /// On which it was taken.
    day: Day,
    is_sent: bool,
}

impl Budget {
    /// The whole of it is this instance's, until it is told otherwise.
    pub fn new(settings: BudgetSettings) -> Budget {
        let (minute, day) = (MinuteBudget::new(settings.per_minute), DayBudget::new(settings.per_day));
        let (changed, next, queues) = (Notify::new(), Mutex::default(), Default::default());
        Budget { settings, paces: SyncMutex::new(Paces { minute, day }), origin: Instant::now(), changed, next, queues }
    }

    pub(crate) fn settings(&self) -> BudgetSettings {
        self.settings
    }

    /// This share is the instance's from now on, with `taken_over` shards that were somebody else's.
    pub(crate) fn set_share(&self, share: Share, taken_over: u32) {
        let clock = self.origin.elapsed();
        {
            let Paces { minute, day } = &mut *self.paces.lock();
            minute.set_share(share, taken_over, clock);
            day.set_share(share, clock);
        }
        self.changed.notify_waiters();
    }

    /// Waits until minute and day have a call left. `may_go_on` is asked whenever it is the first of all, so that those
    /// behind it do not wait for one who would not call any more.
    ///
    /// # Errors
    /// That of `may_go_on`, which ends the wait.
    pub async fn acquire<E>(
        &self,
        queue: CallQueue,
        now: impl Fn() -> UnixTime,
        may_go_on: impl Fn() -> Result<(), E>,
    ) -> Result<CallPermit<'_>, E> {
        let _first_of_its_queue = self.queues[queue as usize].lock().await;
        let _first = self.next.lock().await;
        loop {
            may_go_on()?;
            // It hears of what changes from here on.
            let changed = self.changed.notified();
            match self.take(now()) {
                Ok(call) => return Ok(call),
                Err(ready) => tokio::select! {
                    () = tokio::time::sleep_until(self.origin + ready) => {}
                    () = changed => {}
                },
            }
        }
    }

    /// At how many calls a second it is spent evenly from now on.
    pub fn rates(&self, now: UnixTime) -> CallRates {
        let clock = self.origin.elapsed();
        let Paces { minute, day } = &mut *self.paces.lock();
        let of_day = day.rate(now, clock);
        let (rate, at_once) = of_day.unzip();
        CallRates { minute: minute.rate(clock), day: rate, day_at_once: at_once.unwrap_or_default() }
    }

    /// How far the day is spent.
    pub(crate) fn usage(&self, now: UnixTime) -> DayUsage {
        self.paces.lock().day.usage(now, self.origin.elapsed())
    }

    /// In how long the calls of the day are spent, where others use them up well before its end.
    pub(crate) fn ends_in(&self, now: UnixTime) -> Option<Duration> {
        self.paces.lock().day.ends_in(now, self.origin.elapsed())
    }

    /// How long the next call would have to wait for minute and day, were it the first of all.
    pub(crate) fn next_call_in(&self, now: UnixTime) -> Duration {
        let clock = self.origin.elapsed();
        let Paces { minute, day } = &mut *self.paces.lock();
        minute.ready(clock).max(day.ready(now, clock)).saturating_sub(clock)
    }

    /// The upstream says that the day's calls are spent. Gives how many it bears in a day, of all instances, as far as that is
    /// told by those that were counted: from the next day on they are spread over the day, and each day a few more are tried.
    pub(crate) fn quota_spent(&self, now: UnixTime) -> Option<f64> {
        self.paces.lock().day.quota_spent(now, self.origin.elapsed())
    }

    /// The upstream tells how much is used of how many calls a day, by all who call for this app. What is left of it is spread over
    /// what is left of the day, beside what nobody has called so far, which may be called at once. Tells of others who call for
    /// the app, the first time that they are noticed.
    pub(crate) fn quota_reported(&self, quota: DailyQuota, now: UnixTime) -> Option<OtherCallers> {
        let clock = self.origin.elapsed();
        let others = {
            let Paces { minute, day } = &mut *self.paces.lock();
            day.quota_reported(quota, minute.latest(clock), now, clock)
        };
        self.changed.notify_waiters();
        others
    }

    /// From when on what the upstream tells may show that calls of the day are left that nobody has made so far.
    pub fn settled(&self) -> Instant {
        self.origin + self.paces.lock().day.settled()
    }

    /// The upstream says that calls come too fast. Gives at how many a second they come from here from now on, where that is
    /// less than before.
    pub fn too_fast(&self) -> Option<f64> {
        self.paces.lock().minute.too_fast(self.origin.elapsed())
    }

    /// Takes a call of those that may be made now.
    ///
    /// # Errors
    /// When one may, on the clock of `origin`.
    fn take(&self, now: UnixTime) -> Result<CallPermit<'_>, Duration> {
        let clock = self.origin.elapsed();
        let Paces { minute, day } = &mut *self.paces.lock();
        let ready = minute.ready(clock).max(day.ready(now, clock));
        // Both paces are looked at before either is spent: a call that the day does not allow must not cost the minute one.
        if ready > clock {
            return Err(ready);
        }
        minute.take(clock);
        day.take(clock);
        Ok(CallPermit { budget: self, day: day.day(), is_sent: false })
    }
}

impl CallPermit<'_> {
    /// To be called just before it is sent: only what is sent is counted.
    pub(crate) fn sends(mut self, now: UnixTime) {
        let clock = self.budget.origin.elapsed();
        let Paces { minute, day } = &mut *self.budget.paces.lock();
        minute.count(clock);
        day.count(now, clock);
        self.is_sent = true;
    }
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        if !self.is_sent {
            self.budget.paces.lock().day.give_back(self.day);
        }
    }
}

#[cfg(test)]
mod tests;
