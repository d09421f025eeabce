//! One batch, committed again while it is certain that nothing of it was written.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::log::{CommitError, CommitLog};

/// How often a batch is tried again before the log is opened anew.
// With the pauses below some 1.5 s: what takes longer to pass is met by opening anew, which is tried without limit.
pub const ATTEMPTS_MAX: u32 = 5;
/// The pause before the second attempt; each further one waits twice as long.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

/// Commits one batch, again and again while it is certain that nothing of it was written, [`ATTEMPTS_MAX`] times at most.
/// `records` is how many it has, for the log. One that took too long is not tried again where it `may_split`.
///
/// # Errors
///
/// The last attempt's. An error that leaves the outcome open, or asks for an operator, is never followed by another attempt.
pub async fn attempts<L: CommitLog>(
    log: &mut L,
    batch: Arc<L::Batch>,
    records: usize,
    may_split: bool,
) -> Result<(), CommitError> {
    let mut pause = ATTEMPT_PAUSE;
    for attempt in 1.. {
        let began = Instant::now();
        // The same batch each time: the state is ahead of it already, and is not planned again.
        match log.commit(batch.clone()).await {
            // The same size would be as slow again, and each attempt takes a transaction's whole time.
            Err(CommitError::TooSlow(error)) if may_split => return Err(CommitError::TooSlow(error)),
            Err(CommitError::NothingWritten(error) | CommitError::TooSlow(error)) if attempt < ATTEMPTS_MAX => {
                tracing::warn!(attempt, records, error = %error.with_causes(), "transaction aborted, trying again");
                // A rebalance or a new leader takes a moment: at once it would be refused again.
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            result => {
                let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
                tracing::debug!(attempt, records, milliseconds, committed = result.is_ok(), "transaction ended");
                return result;
            }
        }
    }
    unreachable!("the loop ends in a return")
}
