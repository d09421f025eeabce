//! How many answers go into one transaction.

use parking_lot::Mutex;

use crate::commit::adaptive_bound::AdaptiveBound;
use crate::commit::log::CommitError;

/// What an operator can do about replies that take too long.
const REMEDY: &str = "lower commands.concurrency, or raise \"transaction.timeout.ms\" in [kafka]";

/// How many answers one transaction may hold: fewer than there are while the log is too slow for them.
pub(in crate::requests) struct AtOnce(Mutex<AdaptiveBound>);

impl Default for AtOnce {
    /// Nothing has been too slow yet.
    fn default() -> AtOnce {
        AtOnce(Mutex::new(AdaptiveBound::new(usize::MAX)))
    }
}

impl AtOnce {
    pub fn most(&self) -> usize {
        self.0.lock().now()
    }

    /// So many were committed, or were not.
    pub fn learn(&self, result: &Result<(), CommitError>, answers: usize) {
        match result {
            Ok(()) => self.0.lock().no_trouble(),
            Err(CommitError::TooSlow(error)) => {
                let error = error.with_causes();
                tracing::warn!(answers, %error, remedy = REMEDY, "replies took too long: fewer are sent at once");
                self.0.lock().too_many(answers);
            }
            Err(_) => {}
        }
    }
}
