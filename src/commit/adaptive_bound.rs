//! A bound that gives way to a log that is too slow, and comes back.

/// How many of something go into one transaction: never more than is configured, and less while that is too much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdaptiveBound {
    configured: usize,
    now: usize,
}

impl AdaptiveBound {
    pub fn new(configured: usize) -> AdaptiveBound {
        AdaptiveBound { configured, now: configured }
    }

    /// At least one.
    pub fn now(self) -> usize {
        self.now
    }

    /// So many were too many: half of them are tried next.
    pub fn too_many(&mut self, count: usize) {
        self.now = self.now.min(count / 2).max(1);
    }

    /// As many as there were are no trouble: it grows by a quarter.
    pub fn no_trouble(&mut self) {
        self.now = self.now.saturating_add(self.now / 4 + 1).min(self.configured);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shrinks_below_what_was_too_much_and_grows_back_to_what_is_configured() {
        let mut bound = AdaptiveBound::new(1000);
        bound.too_many(800);
        assert_eq!(bound.now(), 400);
        bound.too_many(1000);
        assert_eq!(bound.now(), 400, "it was more than the bound already");
        bound.no_trouble();
        assert_eq!(bound.now(), 501);
        (0..100).for_each(|_| bound.no_trouble());
        assert_eq!(bound.now(), 1000);
        (0..100).for_each(|_| bound.too_many(1));
        assert_eq!(bound.now(), 1, "one always goes");
    }
}
