//! A pace for calls: so many a second, spread evenly, whenever they are asked for.

use std::time::Duration;

/// What is rounded away of a call.
const ROUNDED: f64 = 1e-9;
/// Nobody looks further ahead: whoever waits so long is told of a change before.
const FAR_AHEAD: Duration = Duration::from_secs(30 * 86_400);

/// When the next call may be made. Calls are earned as time passes, and so many are kept at most as may come together. Clocks
/// are durations since some fixed moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallPace {
    /// Calls a second; none where calls need no pace.
    rate: Option<f64>,
    /// How many calls may come together.
    together: f64,
    /// How many might have been made at once, at `since`; below 0 where calls are owed.
    earned: f64,
    since: Duration,
}

impl CallPace {
    /// So many calls a second from `clock` on, of which that many may come together; any number where no rate is given. What
    /// was earned so far stays, as far as it may come together: a higher rate brings no call at once.
    pub fn set(&mut self, rate: Option<f64>, together: f64, clock: Duration) {
        self.earn(clock);
        let together = together.max(1.0);
        self.earned = if self.rate.is_none() { together } else { self.earned.min(together) };
        (self.rate, self.together) = (rate, together);
    }

    /// From when on the next call may be made.
    pub fn ready(&self) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let missing = 1.0 - ROUNDED - self.earned;
        if missing <= 0.0 {
            return self.since;
        }
        let wait = Duration::try_from_secs_f64((missing + ROUNDED) / rate).unwrap_or(FAR_AHEAD);
        self.since + wait.min(FAR_AHEAD)
    }

    /// How many calls may be made at once, at `clock`; below 0 where calls are owed.
    pub fn earned(&self, clock: Duration) -> f64 {
        let passed = clock.saturating_sub(self.since).as_secs_f64();
        self.together.min(self.earned + self.rate.unwrap_or_default() * passed)
    }

    /// No more than so many calls may be made at once, at `clock`.
    pub fn hold_down_to(&mut self, calls: f64, clock: Duration) {
        self.earn(clock);
        self.earned = self.earned.min(calls);
    }

    /// So many calls may be made at once, at `clock`, as far as they may come together.
    pub fn raise_to(&mut self, calls: f64, clock: Duration) {
        self.earn(clock);
        self.earned = self.earned.max(calls.min(self.together));
    }

    /// No more than so many calls are owed.
    pub fn owe_at_most(&mut self, calls: f64) {
        self.earned = self.earned.max(-calls);
    }

    /// A call that was spent is not made.
    pub fn give_back(&mut self) {
        self.earned = (self.earned + 1.0).min(self.together);
    }

    pub fn spend(&mut self, calls: u32, clock: Duration) {
        self.earn(clock);
        if self.rate.is_some() {
            self.earned -= f64::from(calls);
        }
    }

    fn earn(&mut self, clock: Duration) {
        self.earned = self.earned(clock);
        self.since = self.since.max(clock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace from the beginning on.
    fn paced(rate: f64, together: f64) -> CallPace {
        let mut pace = CallPace::default();
        pace.set(Some(rate), together, Duration::ZERO);
        pace
    }

    /// When so many calls are made that are asked for as soon as they may.
    fn times(pace: &mut CallPace, calls: u32) -> Vec<u64> {
        let mut clock = Duration::ZERO;
        let call = |_| {
            clock = clock.max(pace.ready());
            pace.spend(1, clock);
            clock.as_millis().try_into().unwrap()
        };
        (0..calls).map(call).collect()
    }

    #[test]
    fn calls_come_evenly_but_for_those_that_may_come_together() {
        let mut pace = paced(10.0, 3.0);
        assert_eq!(times(&mut pace, 6), [0, 0, 0, 100, 200, 300]);
        pace.set(None, 1.0, Duration::ZERO);
        let unlimited = times(&mut pace, 100);
        assert_eq!(unlimited[1], unlimited[99]);
    }

    #[test]
    fn what_was_not_called_in_time_is_not_made_up_for_beyond_those() {
        let mut pace = paced(10.0, 2.0);
        pace.spend(1, Duration::from_secs(60));
        assert_eq!(pace.ready(), Duration::from_secs(60));
        pace.spend(1, Duration::from_secs(60));
        assert_eq!(pace.ready(), Duration::from_millis(60_100));
    }

    #[test]
    fn a_call_that_cost_more_than_it_seemed_is_paid_for_later() {
        let mut pace = paced(1.0, 1.0);
        pace.spend(5, Duration::ZERO);
        assert_eq!(pace.ready(), Duration::from_secs(5));
    }

    #[test]
    fn a_rate_that_rises_brings_no_call_that_was_not_earned() {
        let mut pace = paced(0.0, 1.0);
        pace.spend(1, Duration::ZERO);
        assert_eq!(pace.ready(), FAR_AHEAD);
        pace.set(Some(100.0), 50.0, Duration::from_secs(3600));
        assert_eq!(pace.ready(), Duration::from_millis(3_600_010));
        pace.hold_down_to(-9.0, Duration::from_secs(3601));
        assert_eq!(pace.ready(), Duration::from_millis(3_601_100));
    }
}
