//! How many calls of an interface an app may make: so many in a minute, so many in a day.

use parking_lot::{Mutex as SyncMutex, MutexGuard};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::model::time::{Day, UnixTime};

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
    pace: Option<MinuteLimiter>,
    per_day: u32,
    day: SyncMutex<DayCount>,
}

/// The calls of a day.
struct DayCount {
    day: Day,
    spent: u32,
    /// The day that the clock was last set back from, and what was spent then: it may have been the right one.
    left: (Day, u32),
}

impl Budget {
    pub fn new(settings: BudgetSettings) -> Budget {
        let day = Day::in_beijing(UnixTime::EARLIEST);
        let day = SyncMutex::new(DayCount { day, spent: 0, left: (day, 0) });
        Budget { pace: NonZeroU32::new(settings.per_minute).map(MinuteLimiter::new), per_day: settings.per_day, day }
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
        match &self.pace {
            Some(pace) => pace.turn(turn, may_go_on).await,
            None => Ok(()),
        }
    }

    /// At how many calls a second it is spent evenly from now on.
    pub fn rates(&self, now: UnixTime) -> CallRates {
        CallRates { minute: self.pace.as_ref().map(MinuteLimiter::rate), day: self.day_of(now).rate(now) }
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
        Ok(())
    }

    fn day_of(&self, now: UnixTime) -> DayGuard<'_> {
        let mut counted = self.day.lock();
        let today = Day::in_beijing(now);
        if counted.day < today {
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
        let DayCount { day, spent, .. } = *self.counted;
        let seconds = day.beijing_end().0.saturating_sub(now.0).max(1);
        (self.per_day != 0).then(|| f64::from(self.per_day.saturating_sub(spent)) / seconds as f64)
    }

    fn count(&mut self) {
        self.counted.spent = self.counted.spent.saturating_add(1);
    }
}

/// A burst is what comes in a tenth of a second: so no second differs from another by more.
const BURSTS_PER_MINUTE: u32 = 600;

/// Spaces calls so that no window of sixty seconds holds more than `per_minute` of them.
///
/// A limiter with burst `b` and one cell every `T` lets at most `b + 60 s / T` calls into any window of sixty seconds: a
/// full burst, then what is replenished. So with `b` a small part of the budget, the rest is what is replenished in a
/// minute. The least is one call a minute, where the two are one and the same.
///
/// What is left of a budget that is spent all the time is that part of it.
struct MinuteLimiter {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    clock: TokioClock,
    /// From one cell to the next.
    period: Duration,
    /// Who waits holds this, so that turns are given in the order they were asked for.
    queue: Mutex<()>,
    /// By [`Turn`]. Of each kind only the first one stands in the queue.
    kinds: [Mutex<()>; 2],
}

impl MinuteLimiter {
    fn new(per_minute: NonZeroU32) -> MinuteLimiter {
        let burst = NonZeroU32::new(per_minute.get() / BURSTS_PER_MINUTE).unwrap_or(NonZeroU32::MIN);
        let replenished = (per_minute.get() - burst.get()).max(1);
        // Rounded up to the next nanosecond: rounding down would let one more into a minute.
        let nanos = 60_000_000_000u64.div_ceil(u64::from(replenished));
        let period = Duration::from_nanos(nanos);
        let quota = Quota::with_period(period).expect("at least 13 ns lie between two cells");
        let clock = TokioClock { origin: Instant::now() };
        let limiter = RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone());
        MinuteLimiter { limiter, clock, period, queue: Mutex::default(), kinds: Default::default() }
    }

    /// Calls a second in the long run.
    fn rate(&self) -> f64 {
        1.0 / self.period.as_secs_f64()
    }

    async fn turn<E>(&self, turn: Turn, may_go_on: impl Fn() -> Result<(), E>) -> Result<(), E> {
        let _first_of_its_kind = self.kinds[turn as usize].lock().await;
        let _first = self.queue.lock().await;
        loop {
            may_go_on()?;
            match self.limiter.check() {
                Ok(()) => return Ok(()),
                Err(early) => tokio::time::sleep(early.wait_time_from(self.clock.now())).await,
            }
        }
    }
}

/// The runtime's clock, which can be paused.
#[derive(Clone)]
struct TokioClock {
    origin: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixTime = UnixTime(1_668_614_400 + 12 * 3600);

    async fn take(budget: &Budget, now: UnixTime) -> Result<(), DaySpent> {
        budget.turn(Turn::First, || budget.left(now)).await?;
        budget.count(now)
    }

    async fn times_of(budget: &Budget, calls: usize) -> Vec<Duration> {
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..calls {
            take(budget, NOON).await.unwrap();
            times.push(start.elapsed());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn no_rolling_minute_holds_more_than_its_budget() {
        for per_minute in [1, 2, 3, 59, 60, 61, 119, 120, 121, 600, 5000] {
            let budget = Budget::new(BudgetSettings { per_minute, per_day: 0 });
            // A pause first fills the burst, then calls come as fast as they may.
            tokio::time::advance(Duration::from_secs(300)).await;
            let times = times_of(&budget, per_minute as usize * 3).await;
            // Times ascend, so a minute holds too many where it holds the one behind as many as it may.
            for (begin, one_too_many) in times.iter().zip(&times[per_minute as usize..]) {
                let between = *one_too_many - *begin;
                assert!(between >= Duration::from_secs(60), "more than {per_minute} in {between:?} from {begin:?}");
            }
            let rate = times.len() as f64 / times.last().unwrap().as_secs_f64() * 60.0;
            assert!(rate > f64::from(per_minute) * 0.49, "only {rate} of {per_minute} a minute");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_waits_for_nothing() {
        let budget = Budget::new(BudgetSettings::default());
        assert_eq!(times_of(&budget, 1000).await.last(), Some(&Duration::ZERO));
    }

    fn two_a_day() -> Budget {
        Budget::new(BudgetSettings { per_minute: 0, per_day: 2 })
    }

    #[test]
    fn a_day_that_is_spent_lasts_until_midnight_in_beijing() {
        let budget = two_a_day();
        let midnight = Day::in_beijing(NOON).beijing_end();
        assert_eq!([budget.count(NOON), budget.count(NOON)], [Ok(()), Ok(())]);
        assert_eq!(budget.count(NOON), Err(DaySpent { until: midnight }));
        assert_eq!(budget.left(midnight.minus(1)), Err(DaySpent { until: midnight }));
        assert_eq!(budget.count(midnight), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_open_a_spent_day_again() {
        let budget = two_a_day();
        assert_eq!([budget.count(NOON), budget.count(NOON)], [Ok(()), Ok(())]);
        assert!(budget.left(NOON.minus(24 * 3600)).is_err());
    }

    #[test]
    fn a_clock_that_was_behind_once_does_not_open_a_spent_day_again() {
        let budget = two_a_day();
        assert_eq!([budget.count(NOON), budget.count(NOON)], [Ok(()), Ok(())]);
        assert!(budget.left(NOON.minus(24 * 3600)).is_err());
        assert!(budget.left(NOON).is_err());
        assert!(budget.left(NOON.plus(24 * 3600)).is_ok());
    }

    #[test]
    fn a_clock_that_was_ahead_once_holds_no_later_day() {
        let budget = Budget::new(BudgetSettings { per_minute: 0, per_day: 1000 });
        budget.count(NOON.plus(365 * 86_400)).unwrap();
        for day in 0..20 {
            let now = NOON.plus(day * 86_400);
            assert!((0..100).all(|_| budget.count(now).is_ok()), "day {day}");
        }
    }

    #[test]
    fn waiting_for_a_call_that_is_never_made_costs_no_day() {
        let budget = two_a_day();
        assert!((0..100).all(|_| budget.left(NOON).is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_call_of_a_day_goes_to_one_of_those_who_wait_for_it() {
        let budget = Budget::new(BudgetSettings { per_minute: 1, per_day: 2 });
        take(&budget, NOON).await.unwrap();
        let (first, second) = tokio::join!(take(&budget, NOON), take(&budget, NOON));
        assert!(first.is_ok() && second.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_begins_and_what_goes_on_take_turns() {
        let budget = Budget::new(BudgetSettings { per_minute: 60, per_day: 0 });
        let turns = SyncMutex::new(Vec::new());
        let wait = |turn| {
            let (budget, turns) = (&budget, &turns);
            async move {
                budget.turn(turn, || Ok::<_, ()>(())).await.unwrap();
                turns.lock().push(turn);
            }
        };
        let begin = futures_util::future::join_all((0..50).map(|_| wait(Turn::First)));
        let go_on = futures_util::future::join_all((0..5).map(|_| wait(Turn::Further)));
        tokio::join!(begin, go_on);
        let turns = turns.into_inner();
        let further = turns.iter().take(12).filter(|turn| **turn == Turn::Further).count();
        assert_eq!(further, 5, "{turns:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_would_not_call_any_more_leave_the_queue_at_once() {
        let budget = Budget::new(BudgetSettings { per_minute: 1, per_day: 0 });
        take(&budget, NOON).await.unwrap();
        let open = std::sync::atomic::AtomicBool::new(false);
        let check = || if open.load(std::sync::atomic::Ordering::Relaxed) { Err(()) } else { Ok(()) };
        let waiting = futures_util::future::join_all((0..50).map(|_| budget.turn(Turn::First, check)));
        let opening = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            open.store(true, std::sync::atomic::Ordering::Relaxed);
        };
        let began = Instant::now();
        let (ended, ()) = tokio::join!(waiting, opening);
        assert!(ended.iter().all(Result::is_err));
        // The first one sleeps until its turn comes; nobody behind it does.
        assert!(began.elapsed() <= Duration::from_secs(61));
    }
}
