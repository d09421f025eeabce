//! How many answers go into one transaction.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::commit::log::CommitError;

/// What an operator can do about replies that take too long.
const REMEDY: &str = "lower commands.concurrency, or raise \"transaction.timeout.ms\" in [kafka]";

/// How many answers one transaction may hold: fewer than there are while the log is too slow for them.
pub(in crate::requests) struct AtOnce(AtomicUsize);

impl Default for AtOnce {
    /// Nothing has been too slow yet.
    fn default() -> AtOnce {
        AtOnce(AtomicUsize::new(usize::MAX))
    }
}

impl AtOnce {
    pub fn most(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// So many were committed, or were not.
    pub fn learn(&self, result: &Result<(), CommitError>, answers: usize) {
        let most = match result {
            Ok(()) => self.most().saturating_add(self.most() / 4 + 1),
            Err(CommitError::TooSlow(error)) => {
                let error = error.with_causes();
                tracing::warn!(answers, %error, remedy = REMEDY, "replies took too long: fewer are sent at once");
                (answers / 2).max(1)
            }
            Err(_) => return,
        };
        self.0.store(most, Ordering::Relaxed);
    }
}
