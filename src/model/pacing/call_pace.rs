//! A pace for calls: so many a second, spread evenly, whenever they are asked for.

use std::time::Duration;

/// When the next call may be made. Clocks are durations since some fixed moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallPace {
    /// From one call to the next; none where calls need no pace.
    spacing: Duration,
    /// How much earlier than that a call may come.
    early: Duration,
    /// When the next one comes, if all of them come as evenly as they can.
    next: Duration,
}

impl CallPace {
    /// So many calls a second from now on, of which that many may come together; any number where no rate is given.
    pub fn set(&mut self, rate: Option<f64>, together: f64) {
        let spacing = rate.map(|rate| Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX));
        self.spacing = spacing.unwrap_or_default();
        let early = self.spacing.as_secs_f64() * (together - 1.0).max(0.0);
        self.early = Duration::try_from_secs_f64(early).unwrap_or(Duration::MAX);
    }

    /// From when on the next call may be made.
    pub fn ready(&self) -> Duration {
        self.next.saturating_sub(self.early)
    }

    /// A call that was spent is not made.
    pub fn give_back(&mut self) {
        self.next = self.next.saturating_sub(self.spacing);
    }

    pub fn spend(&mut self, calls: u32, clock: Duration) {
        self.next = self.next.max(clock).saturating_add(self.spacing.saturating_mul(calls));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut pace = CallPace::default();
        pace.set(Some(10.0), 3.0);
        assert_eq!(times(&mut pace, 6), [0, 0, 0, 100, 200, 300]);
        pace.set(None, 1.0);
        let unlimited = times(&mut pace, 100);
        assert_eq!(unlimited[1], unlimited[99]);
    }

    #[test]
    fn what_was_not_called_in_time_is_not_made_up_for_beyond_those() {
        let mut pace = CallPace::default();
        pace.set(Some(10.0), 2.0);
        pace.spend(1, Duration::from_secs(60));
        assert_eq!(pace.ready(), Duration::from_secs(60));
        pace.spend(1, Duration::from_secs(60));
        assert_eq!(pace.ready(), Duration::from_millis(60_100));
    }

    #[test]
    fn a_call_that_cost_more_than_it_seemed_is_paid_for_later() {
        let mut pace = CallPace::default();
        pace.set(Some(1.0), 1.0);
        pace.spend(5, Duration::ZERO);
        assert_eq!(pace.ready(), Duration::from_secs(5));
    }
}
