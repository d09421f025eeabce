//! Where a pipeline's log is, and how long what is under way in it is waited for. Both pipelines have one transaction
//! under way at most, and gather the next batch beside it.

use std::future::Future;
use std::pin::Pin;

use tokio::time::Instant;

/// The log at hand, or inside the transaction under way, which gives it back with its outcome `R`.
pub enum LogState<L, R> {
    Idle(L),
    Committing(Pin<Box<dyn Future<Output = (L, R)> + Send>>),
}

impl<L, R> LogState<L, R> {
    pub fn is_idle(&self) -> bool {
        matches!(self, LogState::Idle(_))
    }

    /// The log, if no transaction is under way.
    pub fn idle(self) -> Option<L> {
        match self {
            LogState::Idle(log) => Some(log),
            LogState::Committing(_) => None,
        }
    }

    /// Until the transaction under way has ended; for ever when there is none. May be dropped and called again: the
    /// transaction goes on from where it is.
    pub async fn committed(&mut self) -> (L, R) {
        match self {
            LogState::Committing(commit) => commit.await,
            LogState::Idle(_) => std::future::pending().await,
        }
    }
}

/// Until that time has come; for ever where there is none.
pub async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
