//! What topics take, where a broker enforces less than it told: the largest records, and the oldest.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::time::UnixMillis;

/// Below this nothing is halved any more.
const LIMIT_MIN: usize = 1024;
/// How far behind a refused time the first refusal is believed to reach, in milliseconds; each further one reaches twice
/// as far.
const STEP_MIN: i64 = 60_000;
/// A record that is less old is refused for another reason: the broker's clock is behind.
const OLD_MIN: Duration = Duration::from_secs(3600);

/// The oldest record that a topic takes; by default any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldestAccepted {
    /// How old it may be when it is written, as the broker tells.
    pub age: Option<Duration>,
    /// The broker has refused one of an earlier time.
    pub learned: Option<UnixMillis>,
}

impl OldestAccepted {
    /// Whether a record may be of any time.
    pub(in crate::kafka) fn is_any(self) -> bool {
        self == OldestAccepted::default()
    }

    /// The earliest time that is taken at `now`.
    pub(in crate::kafka) fn at(&self, now: UnixMillis) -> Option<UnixMillis> {
        let configured = self.age.map(|age| now.minus(age));
        configured.max(self.learned)
    }
}

/// What is believed of each topic. A broker that goes on refusing what it says it takes is believed less and less: the
/// largest size is halved with each refusal, and the oldest time moves on, until the broker tells another one.
#[derive(Debug, Default)]
pub(crate) struct LearnedLimits {
    sizes: Mutex<HashMap<String, LearnedSize>>,
    times: Mutex<HashMap<String, LearnedTime>>,
}

#[derive(Debug)]
struct LearnedSize {
    configured: usize,
    limit: usize,
}

#[derive(Debug, Default)]
struct LearnedTime {
    configured: Option<Duration>,
    learned: Option<UnixMillis>,
    step: i64,
}

impl LearnedLimits {
    /// A record that should have fitted was refused.
    pub fn refused(&self, topic: &str) {
        if let Some(size) = self.sizes.lock().get_mut(topic) {
            size.limit = (size.limit / 2).max(LIMIT_MIN.min(size.configured));
        }
    }

    /// What may be sent to `topic`, of which the broker tells now that it takes `configured` bytes.
    pub fn limit(&self, topic: &str, configured: usize) -> usize {
        let mut sizes = self.sizes.lock();
        let size = sizes.entry(topic.to_owned()).or_insert(LearnedSize { configured, limit: configured });
        if size.configured != configured {
            *size = LearnedSize { configured, limit: configured };
        }
        size.limit
    }

    /// At `now` the broker has refused a record of the time `refused` for its time, though it should have taken it. Its
    /// clock may be ahead of ours, so what is a little younger is believed to be refused as well.
    pub fn refused_time(&self, topic: &str, refused: UnixMillis, now: UnixMillis) {
        let mut times = self.times.lock();
        let time = times.entry(topic.to_owned()).or_default();
        let old = time.configured.map_or(OLD_MIN, |configured| (configured / 2).min(OLD_MIN));
        if u128::try_from(now.0.saturating_sub(refused.0)).is_ok_and(|age| age > old.as_millis()) {
            time.step = time.step.saturating_mul(2).max(STEP_MIN);
            time.learned = time.learned.max(Some(UnixMillis(refused.0.saturating_add(time.step))));
        }
    }

    /// The oldest record that may be sent to `topic`, of which the broker tells now that it may be as old as `configured`.
    pub fn oldest(&self, topic: &str, configured: Option<Duration>) -> OldestAccepted {
        let mut times = self.times.lock();
        let time = times.entry(topic.to_owned()).or_insert(LearnedTime { configured, ..LearnedTime::default() });
        if time.configured != configured {
            *time = LearnedTime { configured, ..LearnedTime::default() };
        }
        OldestAccepted { age: configured, learned: time.learned }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: usize = 1024 * 1024;

    #[test]
    fn a_limit_is_halved_only_while_the_broker_tells_the_same() {
        let limits = LearnedLimits::default();
        assert_eq!(limits.limit("a", MEBIBYTE), MEBIBYTE);
        limits.refused("a");
        assert_eq!((limits.limit("a", MEBIBYTE), limits.limit("b", MEBIBYTE)), (MEBIBYTE / 2, MEBIBYTE));
        // It had been lowered: what is told now is the truth.
        limits.refused("b");
        assert_eq!(limits.limit("b", 300_000), 300_000);
        assert_eq!(limits.limit("a", 2 * MEBIBYTE), 2 * MEBIBYTE);
    }

    #[test]
    fn a_limit_has_a_least() {
        let limits = LearnedLimits::default();
        for configured in [MEBIBYTE, 300] {
            limits.limit("a", configured);
            (0..20).for_each(|_| limits.refused("a"));
            assert_eq!(limits.limit("a", configured), LIMIT_MIN.min(configured));
        }
    }

    #[test]
    fn a_time_that_was_refused_is_passed_by_more_with_each_refusal() {
        let limits = LearnedLimits::default();
        let day = Some(Duration::from_secs(86_400));
        let (now, hour) = (UnixMillis(100 * 86_400_000), 3_600_000);
        assert_eq!(limits.oldest("a", day), OldestAccepted { age: day, learned: None });
        limits.refused_time("a", UnixMillis(now.0 - 20 * hour), now);
        let first = limits.oldest("a", day).learned.unwrap();
        assert_eq!(first, UnixMillis(now.0 - 20 * hour + STEP_MIN));
        limits.refused_time("a", first, now);
        assert_eq!(limits.oldest("a", day).learned, Some(UnixMillis(first.0 + 2 * STEP_MIN)));
        assert_eq!(limits.oldest("b", day).learned, None);
        assert_eq!(limits.oldest("a", None), OldestAccepted { age: None, learned: None }, "it was told anew");
    }

    #[test]
    fn the_time_of_a_young_record_is_not_what_is_wrong() {
        let limits = LearnedLimits::default();
        let now = UnixMillis(100 * 86_400_000);
        limits.oldest("a", Some(Duration::from_secs(86_400)));
        limits.refused_time("a", UnixMillis(now.0 - 1000), now);
        assert_eq!(limits.oldest("a", Some(Duration::from_secs(86_400))).learned, None);
        limits.oldest("b", Some(Duration::from_secs(1)));
        limits.refused_time("b", UnixMillis(now.0 - 1000), now);
        assert!(limits.oldest("b", Some(Duration::from_secs(1))).learned.is_some(), "a second is old there");
    }
}
