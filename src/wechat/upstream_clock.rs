//! What the upstream's `Date` headers tell about its clock.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::time::{UnixMillis, UnixTime};

/// How far the upstream's clock is ahead of the local one, in seconds, as the latest answer showed it.
pub struct UpstreamClock {
    skew_seconds: AtomicI64,
}

/// No answer has shown anything yet.
const UNKNOWN: i64 = i64::MIN;

impl Default for UpstreamClock {
    fn default() -> UpstreamClock {
        UpstreamClock { skew_seconds: AtomicI64::new(UNKNOWN) }
    }
}

impl UpstreamClock {
    /// A `Date` was written somewhere between the sending and the receipt. Of all the skews that this allows the smallest
    /// is taken, so that a slow answer does not look like a slow clock.
    pub fn note(&self, sent: UnixTime, received: UnixTime, date: UnixTime) {
        let (least, most) = (date.0.saturating_sub(received.0), date.0.saturating_sub(sent.0));
        self.skew_seconds.store(0.clamp(least, most.max(least)), Ordering::Relaxed);
    }

    /// Nothing before the first answer.
    pub fn skew_seconds(&self) -> Option<i64> {
        Some(self.skew_seconds.load(Ordering::Relaxed)).filter(|skew| *skew != UNKNOWN)
    }

    /// The earlier of the two clocks, when the local one shows `local`.
    pub fn earlier(&self, local: UnixTime) -> UnixTime {
        local.plus(self.skew_seconds().unwrap_or(0).min(0))
    }

    /// The later of the two clocks, when the local one shows `local`.
    pub fn later(&self, local: UnixTime) -> UnixTime {
        local.plus(self.skew_seconds().unwrap_or(0).max(0))
    }
}

/// The local clock, set back as far as every upstream that has answered shows it to be ahead. One upstream whose own
/// clock is behind sets nothing back for the others.
pub fn set_back(local: UnixMillis, skews_seconds: impl Iterator<Item = i64>) -> UnixMillis {
    let back = skews_seconds.max().unwrap_or(0).min(0);
    UnixMillis(local.0.saturating_add(back.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: UnixTime = UnixTime(1000);

    fn clocks_after(sent: i64, received: i64, date: i64) -> (i64, i64) {
        let clock = UpstreamClock::default();
        clock.note(UnixTime(sent), UnixTime(received), UnixTime(date));
        (clock.earlier(LOCAL).0, clock.later(LOCAL).0)
    }

    #[test]
    fn a_date_within_the_exchange_shows_no_skew() {
        assert_eq!(clocks_after(100, 115, 100), (1000, 1000));
        assert_eq!(clocks_after(100, 115, 115), (1000, 1000));
    }

    #[test]
    fn a_date_outside_shows_the_least_that_explains_it() {
        assert_eq!(clocks_after(100, 115, 90), (990, 1000));
        assert_eq!(clocks_after(100, 115, 120), (1000, 1005));
    }

    #[test]
    fn a_local_clock_that_is_ahead_of_every_upstream_is_set_back() {
        let after = |skews: &[i64]| set_back(UnixMillis(100_000), skews.iter().copied()).0;
        assert_eq!(after(&[]), 100_000);
        assert_eq!(after(&[-7, -8]), 93_000);
        assert_eq!(after(&[-7, 0]), 100_000);
        assert_eq!(after(&[20]), 100_000);
    }

    #[test]
    fn before_the_first_answer_the_local_clock_is_all_there_is() {
        let clock = UpstreamClock::default();
        assert_eq!((clock.skew_seconds(), clock.earlier(LOCAL), clock.later(LOCAL)), (None, LOCAL, LOCAL));
    }

    #[test]
    fn a_local_clock_that_is_set_back_during_an_exchange_breaks_nothing() {
        assert_eq!(clocks_after(115, 100, 107), (1000, 1007));
    }
}
