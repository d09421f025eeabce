//! How much goes into one transaction: what is configured, or less while the log is too slow for that.

use std::time::Duration;

use super::adaptive_bound::AdaptiveBound;

/// A commit that is this quick shows that more would go.
const QUICK: Duration = Duration::from_secs(3);

/// When writes stop being added to a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchBounds {
    /// How long a batch waits for more, from its first write on.
    pub linger: Duration,
    /// Records of all kinds.
    pub events_max: usize,
    /// Bytes of memory, about.
    pub bytes_max: usize,
}

/// The bounds of the next batch: never above those that are configured.
pub(super) struct BatchPace {
    linger: Duration,
    events: AdaptiveBound,
    bytes: AdaptiveBound,
}

impl BatchPace {
    pub fn new(BatchBounds { linger, events_max, bytes_max }: BatchBounds) -> BatchPace {
        BatchPace { linger, events: AdaptiveBound::new(events_max), bytes: AdaptiveBound::new(bytes_max) }
    }

    pub fn bounds(&self) -> BatchBounds {
        BatchBounds { linger: self.linger, events_max: self.events.now(), bytes_max: self.bytes.now() }
    }

    /// So much was too much for one commit.
    pub(crate) fn too_slow(&mut self, records: usize, bytes: usize) {
        self.events.too_many(records);
        self.bytes.too_many(bytes);
    }

    /// A commit took so long. Quick ones let the bounds grow back.
    pub fn took(&mut self, duration: Duration) {
        if duration < QUICK {
            self.events.no_trouble();
            self.bytes.no_trouble();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_shrink_below_what_was_too_much_and_grow_back_with_quick_commits() {
        let configured = BatchBounds { linger: Duration::ZERO, events_max: 1000, bytes_max: 1 << 20 };
        let of = |pace: &BatchPace| (pace.bounds().events_max, pace.bounds().bytes_max);
        let mut pace = BatchPace::new(configured);
        pace.too_slow(800, 1 << 19);
        assert_eq!(of(&pace), (400, 1 << 18));
        pace.took(QUICK);
        assert_eq!(of(&pace), (400, 1 << 18), "it was only just enough");
        (0..100).for_each(|_| pace.took(Duration::ZERO));
        assert_eq!(of(&pace), (1000, 1 << 20));
        (0..100).for_each(|_| pace.too_slow(1, 1));
        assert_eq!(of(&pace), (1, 1));
    }
}
