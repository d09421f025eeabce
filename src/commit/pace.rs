//! How much goes into one transaction: what is configured, or less while the log is too slow for that.

use std::time::Duration;

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
    configured: BatchBounds,
    now: BatchBounds,
}

impl BatchPace {
    pub fn new(configured: BatchBounds) -> BatchPace {
        BatchPace { configured, now: configured }
    }

    pub fn bounds(&self) -> BatchBounds {
        self.now
    }

    /// So much was too much: half of it is tried next.
    pub(crate) fn too_slow(&mut self, records: usize, bytes: usize) {
        self.now.events_max = self.now.events_max.min(records / 2).max(1);
        self.now.bytes_max = self.now.bytes_max.min(bytes / 2).max(1);
    }

    /// A commit took so long. Quick ones let the bounds grow back by a quarter each.
    pub fn took(&mut self, duration: Duration) {
        if duration < QUICK {
            let grown = |now: usize, configured: usize| now.saturating_add(now / 4 + 1).min(configured);
            self.now.events_max = grown(self.now.events_max, self.configured.events_max);
            self.now.bytes_max = grown(self.now.bytes_max, self.configured.bytes_max);
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
