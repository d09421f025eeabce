//! The pace of an interface's calls over the day: this instance's share of it, and what the upstream's own answers correct.

use std::time::Duration;

use crate::model::pacing::call_pace::CallPace;
use crate::model::quota_share::Share;
use crate::model::time::{Day, UnixTime};
use crate::upstream::budget::{DayUsage, OtherCallers};
use crate::upstream::quota_answer::DailyQuota;

/// So many calls of a day tell how many are borne.
const TELLING_CALLS: u32 = 100;
/// What others call is told by so many seconds, and by so many times as much as could be one's own.
const TELLING_SECONDS: f64 = 200.0;
const CLEARLY_MORE: f64 = 1.2;
/// What ends within such a part of the time that is left of the day ends early: what others call is no more than a guess.
const CLEARLY_EARLY: f64 = 0.95;
/// So much of what is left, and of a day's limit, is never left to others: what they call is no more than a guess.
const OWN_PART_LEAST: f64 = 0.1;
/// By how much more is tried with each day on which all went well.
const DAILY_GROWTH: f64 = 1.1;
/// Polls begin at such a part of the pace: what is left is for further pages and repetitions, which nobody can foresee.
const POLLS_PART: f64 = 0.98;
const DAY_SECONDS: f64 = 86_400.0;
/// Calls that were sent so long ago are counted by the upstream, whoever has sent them.
pub(super) const COUNTED_AFTER: Duration = Duration::from_secs(60);
/// So near to midnight it may be another day for the upstream, of which it tells.
const NEAR_MIDNIGHT: i64 = 900;

/// Calls are earned as the day passes, and those that were not spent are kept until its end, or until the share gets less.
/// [`super`] argues why the day's calls are never more than `per_day`, over all instances together. Clocks are durations since
/// some fixed moment.
pub(super) struct DayBudget {
    /// Of the app; 0 is no limit.
    per_day: u32,
    share: Share,
    day: Day,
    pace: CallPace,
    counted: CountedCalls,
    /// What the upstream has borne of the app on the day on which it said last that no more is left.
    borne: Option<(Day, f64)>,
    reading: Option<QuotaReading>,
    others_noticed: bool,
    /// When the share got more, last.
    grown: Duration,
    /// Calls that were taken, and neither sent nor given back yet.
    under_way: u32,
}

/// What the upstream has told of the app's quota.
#[derive(Clone, Copy)]
struct QuotaReading {
    on: Day,
    quota: DailyQuota,
    clock: Duration,
    /// What was counted here by then.
    counted: CountedCalls,
    /// What others call for the app, in calls a second.
    others: f64,
    /// Of what the day had brought by then, nobody had called so much.
    unused: f64,
    /// What is left for this connector, in calls a second until the end of that day. Nothing where none is left: then the next
    /// call is refused, with which its interface is held and the quota asked for often, or it is answered, and what was told is
    /// not so any more. A pace of no calls at all would be noticed by nobody.
    rate: Option<f64>,
}

/// What this instance has called on a day.
#[derive(Clone, Copy)]
struct CountedCalls {
    sent: u32,
    /// For how many seconds this has been the whole budget's: an hour of half of it is half an hour.
    seconds: f64,
    until: Duration,
}

impl DayBudget {
    /// The whole of it is this instance's, until it is told otherwise.
    pub fn new(per_day: u32) -> DayBudget {
        let counted = CountedCalls { sent: 0, seconds: 0.0, until: Duration::ZERO };
        let day = Day::in_beijing(UnixTime::EARLIEST);
        let pace = CallPace::default();
        let mut budget = DayBudget {
            per_day,
            share: Share::ALL,
            day,
            pace,
            counted,
            borne: None,
            reading: None,
            others_noticed: false,
            grown: Duration::ZERO,
            under_way: 0,
        };
        budget.follow(Duration::ZERO);
        budget.pace.hold_down_to(0.0, Duration::ZERO);
        budget
    }

    /// What is kept gets less as the share does; and where that gets more, nothing is there at once.
    pub fn set_share(&mut self, share: Share, clock: Duration) {
        self.counted.pass(self.share, clock);
        if share > self.share {
            self.grown = clock;
        }
        // Before the pace follows the new share: what is kept was earned at the old one.
        let kept = self.pace.earned(clock).max(0.0) * share.left_of(self.share);
        self.share = share;
        self.follow(clock);
        self.pace.hold_down_to(kept, clock);
    }

    /// From when on the upstream counts all that former owners of the share have called.
    pub fn settled(&self) -> Duration {
        self.grown + COUNTED_AFTER
    }

    /// When the next call may be made.
    pub fn ready(&mut self, now: UnixTime, clock: Duration) -> Duration {
        self.roll_over(now, clock);
        self.pace.ready()
    }

    pub fn take(&mut self, clock: Duration) {
        self.pace.spend(1, clock);
        self.under_way += 1;
    }

    /// A call that was taken on that day is not sent.
    pub fn give_back(&mut self, day: Day) {
        self.under_way = self.under_way.saturating_sub(1);
        // A day that has begun since owes nothing for a call of the day before.
        if self.day == day {
            self.pace.give_back();
        }
    }

    pub fn day(&self) -> Day {
        self.day
    }

    pub fn usage(&mut self, now: UnixTime, clock: Duration) -> DayUsage {
        self.roll_over(now, clock);
        let told = self.reading.filter(|reading| reading.on == self.day).map(|reading| reading.quota);
        DayUsage { limit: self.per_day, spent: self.counted.sent, told }
    }

    /// In how long the calls of the day are spent, where that is well before its end: others call for the app, as the upstream has told,
    /// and go on as they have. What this connector calls alone it spreads over the day. Nothing where none are left: then its interface
    /// is held.
    pub fn ends_in(&mut self, now: UnixTime, clock: Duration) -> Option<Duration> {
        self.roll_over(now, clock);
        let reading = self.reading.filter(|reading| reading.on == self.day && reading.others > 0.0)?;
        let since = clock.saturating_sub(reading.clock).as_secs_f64();
        let sent = f64::from(self.counted.sent.saturating_sub(reading.counted.sent));
        let left = reading.quota.left() as f64 - sent - reading.others * since;
        let pace = reading.others + self.earning().unwrap_or_default();
        let seconds = self.day.beijing_end().0.saturating_sub(now.0) as f64;
        let ends_in = (left / pace).max(0.0);
        (reading.quota.left() > 0 && ends_in < seconds * CLEARLY_EARLY).then(|| Duration::from_secs_f64(ends_in))
    }

    /// A call is sent.
    pub fn count(&mut self, now: UnixTime, clock: Duration) {
        self.roll_over(now, clock);
        self.under_way = self.under_way.saturating_sub(1);
        self.counted.sent = self.counted.sent.saturating_add(1);
    }

    /// At how many calls a second polls begin, and how many of them may at once; nothing where the day has no limit.
    pub fn rate(&mut self, now: UnixTime, clock: Duration) -> Option<(f64, f64)> {
        self.roll_over(now, clock);
        let earning = self.share.of(self.earning()?);
        let kept = self.pace.earned(clock);
        let left = self.day.beijing_end().0.saturating_sub(now.0).max(1) as f64;
        Some(((earning + kept.max(0.0) / left) * POLLS_PART, kept))
    }

    /// As [`super::Budget::quota_spent`].
    pub fn quota_spent(&mut self, now: UnixTime, clock: Duration) -> Option<f64> {
        self.roll_over(now, clock);
        self.counted.pass(self.share, clock);
        let CountedCalls { sent, seconds, .. } = self.counted;
        if sent < TELLING_CALLS || self.borne.is_some_and(|(learnt, _)| learnt == self.day) {
            return None;
        }
        let passed = now.0.saturating_sub(self.day.beijing_start().0).max(1) as f64;
        // As if all had called, all day long, as this instance has for its share and in its time.
        let calls = f64::from(sent) * passed / seconds.max(1.0);
        self.borne = Some((self.day, calls));
        Some(calls)
    }

    /// As [`super::Budget::quota_reported`]. `latest` calls were sent from here so lately that the upstream may not count them yet.
    pub fn quota_reported(
        &mut self,
        quota: DailyQuota,
        latest: u32,
        now: UnixTime,
        clock: Duration,
    ) -> Option<OtherCallers> {
        self.roll_over(now, clock);
        self.counted.pass(self.share, clock);
        let others = self.others(quota, clock);
        let seconds = self.day.beijing_end().0.saturating_sub(now.0).max(1) as f64;
        let left = left_by_others(quota.left() as f64, others * seconds);
        let kept = if self.earning().is_some() { self.pace.earned(clock) } else { 0.0 };
        let kept = kept.max(self.left_over(quota, latest, now, clock)).min(self.share.of(left));
        // What is kept of it need not be earned any more, and nothing is earned that was not called in time.
        let rate = (left - self.share.whole_of(kept.max(0.0))).max(0.0) / seconds;
        let rate = rate.min(quota.limit as f64 / DAY_SECONDS);
        let rate = (quota.left() > 0).then_some(rate);
        let unused = (self.brought(quota.limit, now) - quota.used as f64).max(0.0);
        self.reading = Some(QuotaReading { on: self.day, quota, clock, counted: self.counted, others, unused, rate });
        self.follow(clock);
        self.pace.hold_down_to(kept, clock);
        self.pace.raise_to(kept, clock);
        let is_news = others > 0.0 && !std::mem::replace(&mut self.others_noticed, others > 0.0);
        is_news.then_some(OtherCallers { per_day: others * DAY_SECONDS })
    }

    /// How many calls of the share, of those that the day has brought so far, nobody can have made: as all that was called today
    /// may have been called of this share.
    fn left_over(&self, quota: DailyQuota, latest: u32, now: UnixTime, clock: Duration) -> f64 {
        if clock < self.settled() || self.day.beijing_end().0.saturating_sub(now.0) < NEAR_MIDNIGHT {
            return 0.0;
        }
        let limit = if self.per_day == 0 { quota.limit } else { quota.limit.min(self.per_day.into()) };
        let called = quota.used.max(self.counted.sent.into()) as f64;
        let unseen = f64::from(latest) + f64::from(self.under_way);
        (self.share.of(self.brought(limit, now)) - called - unseen).max(0.0)
    }

    /// How many calls of so many a day have been earned by all since it began.
    fn brought(&self, limit: u64, now: UnixTime) -> f64 {
        limit as f64 * now.0.saturating_sub(self.day.beijing_start().0) as f64 / DAY_SECONDS
    }

    /// What others have called for the app since the quota was told last, in calls a second. What other instances have called
    /// is not known here: as much as this one has, for each part of the budget, and at once whatever they had kept. So only what is
    /// clearly more counts.
    fn others(&self, quota: DailyQuota, clock: Duration) -> f64 {
        let Some(reading) = self.reading else { return 0.0 };
        let seconds = clock.saturating_sub(reading.clock).as_secs_f64();
        let shared = self.counted.seconds - reading.counted.seconds;
        // Fewer are counted than were then where a clock that is set to and fro has begun the day again.
        let sent = self.counted.sent.checked_sub(reading.counted.sent);
        let Some(sent) = sent.filter(|_| reading.on == self.day && seconds >= TELLING_SECONDS && shared > 0.0) else {
            return reading.others;
        };
        let used = quota.used.saturating_sub(reading.quota.used) as f64;
        let ours = f64::from(sent) * seconds / shared;
        let elsewhere = if self.share < Share::ALL { reading.unused } else { 0.0 };
        if used > ours * CLEARLY_MORE + f64::from(TELLING_CALLS) + elsewhere { (used - ours) / seconds } else { 0.0 }
    }

    /// Calls of the app a second that are earned; nothing where nobody knows how many there are.
    fn earning(&self) -> Option<f64> {
        let configured = (self.per_day != 0).then(|| f64::from(self.per_day) / DAY_SECONDS);
        let found = match self.reading {
            Some(reading) if reading.on == self.day => reading.rate,
            // Others of the day before may call as much on this one. Of those of earlier days nobody has told anything since.
            Some(reading) => {
                let others = if self.day.days_since(reading.on) == 1 { reading.others } else { 0.0 };
                Some(left_by_others(reading.quota.limit as f64 / DAY_SECONDS, others))
            }
            None => self.borne_a_day().map(|calls| calls / DAY_SECONDS),
        };
        configured.into_iter().chain(found).min_by(f64::total_cmp)
    }

    fn borne_a_day(&self) -> Option<f64> {
        let (learnt, calls) = self.borne.filter(|(learnt, _)| *learnt < self.day)?;
        let days = i32::try_from(self.day.days_since(learnt) - 1).unwrap_or(i32::MAX);
        Some(calls * DAILY_GROWTH.powi(days))
    }

    /// Another day begins with nothing, whichever it is: so a clock that is set to and fro earns nothing by it.
    fn roll_over(&mut self, now: UnixTime, clock: Duration) {
        let today = Day::in_beijing(now);
        if self.day != today {
            self.day = today;
            self.counted = CountedCalls { sent: 0, seconds: 0.0, until: clock };
            self.follow(clock);
            self.pace.hold_down_to(0.0, clock);
        }
    }

    fn follow(&mut self, clock: Duration) {
        self.pace.set(self.earning().map(|calls| self.share.of(calls)), f64::MAX, clock);
    }
}

/// What is left of `calls` where others call so many.
fn left_by_others(calls: f64, others: f64) -> f64 {
    (calls - others).max(calls * OWN_PART_LEAST)
}

impl CountedCalls {
    fn pass(&mut self, share: Share, clock: Duration) {
        self.seconds += share.of(clock.saturating_sub(self.until).as_secs_f64());
        self.until = clock;
    }
}
