//! How often something new comes to a feed, as far as its polls have shown.
//!
//! Facts are taken for a Poisson process whose rate drifts. Two memories look at it: a long one, which tells a promoter
//! with three facts a day from one with a fact in ten days, and a short one, which believes at once that a shop has opened
//! or a campaign has begun. The higher of both counts: to be wrong upwards costs a few calls, to be wrong downwards delays
//! facts.

use std::time::Duration;

/// Of the long memory, in seconds: what lies further back fades out.
const LONG: f32 = 3.0 * 86_400.0;
/// Of the short one.
const SHORT: f32 = 3600.0;
/// How many facts the mean rate of all feeds is worth beside those of the feed itself. Little: most feeds are far from the
/// mean.
const MEAN_WEIGHT: f32 = 0.25;

/// What is known of one feed. Twelve bytes, for there may be millions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FactRate {
    /// Facts, as far as the long memory remembers them.
    facts: f32,
    /// The seconds in which they came, likewise.
    seconds: f32,
    /// Facts, as far as the short memory remembers them.
    recent: f32,
}

impl FactRate {
    /// Takes how many facts have come in a stretch of time that follows the ones before.
    pub fn learn(&mut self, facts: u64, covered: Duration) {
        let (facts, seconds) = (facts as f32, covered.as_secs_f32());
        let (long, short) = (Fading::of(seconds, LONG), Fading::of(seconds, SHORT));
        self.facts = self.facts * long.kept + facts * long.weight;
        self.seconds = self.seconds * long.kept + seconds * long.weight;
        self.recent = self.recent * short.kept + facts * short.weight;
    }

    /// Facts a second, where the mean of all feeds is `mean`, which must be above 0.
    pub(crate) fn per_second(&self, mean: f32) -> f32 {
        let long = (self.facts + MEAN_WEIGHT) / (self.seconds + MEAN_WEIGHT / mean);
        long.max(self.recent / SHORT)
    }
}

/// What a stretch of time leaves of what was remembered, and what of the stretch's own facts is remembered at its end.
struct Fading {
    kept: f32,
    weight: f32,
}

impl Fading {
    /// After `seconds`, of a memory that long.
    fn of(seconds: f32, memory: f32) -> Fading {
        let stretch = seconds / memory;
        let faded = -(-stretch).exp_m1();
        // Facts are taken to have come evenly over the stretch.
        Fading { kept: 1.0 - faded, weight: if stretch > 0.0 { faded / stretch } else { 1.0 } }
    }
}

/// The mean rate of many feeds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeanRate {
    facts: f64,
    seconds: f64,
}

/// Where nothing is known yet, a feed brings a fact an hour: it is polled often until it turns out to be quiet.
const UNKNOWN_SECONDS: f64 = 3600.0;
/// What so many feeds have brought within the long memory is remembered at least.
const FEEDS_MIN: u32 = 8;

impl Default for MeanRate {
    fn default() -> Self {
        MeanRate { facts: 1.0, seconds: UNKNOWN_SECONDS }
    }
}

impl MeanRate {
    /// Takes what a poll of one of so many feeds has brought.
    pub fn learn(&mut self, facts: u64, covered: Duration, feeds: u32) {
        self.facts += facts as f64;
        self.seconds += covered.as_secs_f64();
        if self.seconds > 2.0 * f64::from(LONG) * f64::from(feeds.max(FEEDS_MIN)) {
            self.facts /= 2.0;
            self.seconds /= 2.0;
        }
    }

    /// Facts a second of a feed, above 0.
    pub(crate) fn per_second(&self) -> f32 {
        (self.facts.max(f64::from(MEAN_WEIGHT)) / self.seconds) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const MEAN: f32 = 1.0 / 86_400.0;

    fn learned(polls: u32, facts: u64) -> FactRate {
        let mut rate = FactRate::default();
        (0..polls).for_each(|_| rate.learn(facts, MINUTE));
        rate
    }

    #[test]
    fn a_feed_that_was_never_polled_has_the_mean_rate() {
        assert_eq!(FactRate::default().per_second(MEAN), MEAN);
    }

    #[test]
    fn one_that_is_silent_falls_below_the_mean_the_further_the_longer_that_lasts() {
        let rates: Vec<_> = [1, 60, 1440, 14_400].map(|polls| learned(polls, 0).per_second(MEAN)).into();
        assert!(rates.is_sorted_by(|earlier, later| earlier > later), "{rates:?}");
        assert!(rates[3] < MEAN / 10.0, "{rates:?}");
    }

    #[test]
    fn a_steady_rate_is_found() {
        let rate = learned(2000, 2).per_second(MEAN);
        assert!((0.9..1.1).contains(&(rate * 30.0)), "{rate} a second where two come in a minute");
    }

    #[test]
    fn the_first_fact_after_a_long_silence_is_believed_at_once_and_for_a_while() {
        let mut rate = learned(14_400, 0);
        let before = rate.per_second(MEAN);
        rate.learn(1, MINUTE);
        let after = rate.per_second(MEAN);
        assert!(after > 100.0 * before, "{after} after {before}");
        (0..360).for_each(|_| rate.learn(0, MINUTE));
        assert!(rate.per_second(MEAN) < after / 20.0);
    }

    #[test]
    fn a_day_in_one_poll_is_worth_as_much_as_a_day_in_many() {
        let mut rate = FactRate::default();
        rate.learn(1440, 1440 * MINUTE);
        let ratio = rate.per_second(MEAN) / learned(1440, 1).per_second(MEAN);
        assert!((0.99..1.01).contains(&ratio), "{ratio}");
    }

    #[test]
    fn the_mean_follows_what_all_feeds_bring() {
        let mut mean = MeanRate::default();
        (0..100_000).for_each(|_| mean.learn(1, MINUTE, 8));
        assert!((0.9..1.1).contains(&(mean.per_second() * 60.0)));
        (0..200_000).for_each(|_| mean.learn(0, MINUTE, 8));
        assert!(mean.per_second() < 0.1 / 60.0 && mean.per_second() > 0.0);
    }
}
