//! How many calls of an interface an app may make: so many in a minute, so many in a day.

use std::num::NonZeroU32;
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::domain::time::{Day, UnixTime};

/// As configured for one interface of one app. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetSettings {
    pub per_minute: u32,
    /// A day begins at midnight in Beijing, as the upstream's quota does. What an earlier run has spent is not known.
    pub per_day: u32,
}

/// The calls of the day are spent until `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaySpent {
    pub until: UnixTime,
}

pub struct Budget {
    pace: Option<Pace>,
    per_day: u32,
    day: StdMutex<(Day, u32)>,
}

impl Budget {
    pub fn new(settings: BudgetSettings) -> Budget {
        let day = StdMutex::new((Day::in_beijing(UnixTime::EARLIEST), 0));
        Budget { pace: NonZeroU32::new(settings.per_minute).map(Pace::new), per_day: settings.per_day, day }
    }

    /// Waits for its turn and takes one call. `now` is only asked for the day.
    pub async fn take(&self, now: impl Fn() -> UnixTime) -> Result<(), DaySpent> {
        self.day_of(now()).left()?;
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        // Again, since others were counted while this one waited, and midnight may have passed.
        let mut day = self.day_of(now());
        day.left()?;
        day.count();
        Ok(())
    }

    fn day_of(&self, now: UnixTime) -> DayGuard<'_> {
        let mut counted = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let today = Day::in_beijing(now);
        // A clock that is set back does not open a spent day again.
        if counted.0 < today {
            *counted = (today, 0);
        }
        DayGuard { counted, per_day: self.per_day }
    }
}

struct DayGuard<'a> {
    counted: MutexGuard<'a, (Day, u32)>,
    per_day: u32,
}

impl DayGuard<'_> {
    fn left(&self) -> Result<(), DaySpent> {
        let (day, spent) = *self.counted;
        if self.per_day != 0 && spent >= self.per_day {
            return Err(DaySpent { until: day.beijing_end() });
        }
        Ok(())
    }

    fn count(&mut self) {
        self.counted.1 = self.counted.1.saturating_add(1);
    }
}

/// Spaces calls so that no window of sixty seconds holds more than `per_minute` of them.
///
/// A limiter with burst `b` and one cell every `T` lets at most `b + 60 s / T` calls into any window of sixty seconds: a
/// full burst, then what is replenished. So with `b` a sixtieth of the budget, the rest is what is replenished in a
/// minute. The least is one call a minute, where the two are one and the same.
struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    clock: TokioClock,
    /// Who waits holds this, so that turns are given in the order they were asked for.
    queue: Mutex<()>,
}

impl Pace {
    fn new(per_minute: NonZeroU32) -> Pace {
        let burst = NonZeroU32::new(per_minute.get() / 60).unwrap_or(NonZeroU32::MIN);
        let replenished = (per_minute.get() - burst.get()).max(1);
        // Rounded up to the next nanosecond: rounding down would let one more into a minute.
        let nanos = 60_000_000_000u64.div_ceil(u64::from(replenished));
        let quota = Quota::with_period(Duration::from_nanos(nanos)).expect("at least 13 ns lie between two cells");
        let clock = TokioClock { origin: Instant::now() };
        let limiter = RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone());
        Pace { limiter, clock, queue: Mutex::new(()) }
    }

    async fn turn(&self) {
        let _first = self.queue.lock().await;
        while let Err(early) = self.limiter.check() {
            tokio::time::sleep(early.wait_time_from(self.clock.now())).await;
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

    async fn times_of(budget: &Budget, calls: usize) -> Vec<Duration> {
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..calls {
            budget.take(|| NOON).await.unwrap();
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
            for (at, begin) in times.iter().enumerate() {
                let in_minute = times[at..].iter().take_while(|t| **t - *begin < Duration::from_secs(60)).count();
                assert!(in_minute <= per_minute as usize, "{in_minute} of {per_minute} from {begin:?}");
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

    #[tokio::test(start_paused = true)]
    async fn a_day_that_is_spent_lasts_until_midnight_in_beijing() {
        let budget = Budget::new(BudgetSettings { per_minute: 0, per_day: 2 });
        let midnight = Day::in_beijing(NOON).beijing_end();
        assert_eq!(budget.take(|| NOON).await, Ok(()));
        assert_eq!(budget.take(|| NOON).await, Ok(()));
        assert_eq!(budget.take(|| NOON).await, Err(DaySpent { until: midnight }));
        assert_eq!(budget.take(|| midnight.minus(1)).await, Err(DaySpent { until: midnight }));
        assert_eq!(budget.take(|| midnight).await, Ok(()));
        // A clock that goes back does not open the day again.
        assert_eq!(budget.take(|| NOON).await, Ok(()));
        assert_eq!(budget.take(|| NOON).await, Err(DaySpent { until: Day::in_beijing(midnight).beijing_end() }));
    }
}
