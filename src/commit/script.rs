//! What befalls a log in memory, one call after the other, as a script says: so a seed can write it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::crash_point::CrashPoint;
use super::log::{CommitError, OpenError};

/// What goes wrong with one call, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The transaction is aborted.
    Aborted,
    /// The answer is lost; the transaction was committed.
    UnknownCommitted,
    /// The answer is lost; the transaction was not committed.
    UnknownAborted,
    /// The process dies there: the call never returns, and the script's owner is told.
    Crash(CrashPoint),
}

pub struct Script {
    decide: Box<dyn FnMut() -> (Duration, Fault) + Send>,
    crashed: CancellationToken,
}

impl Script {
    /// `decide` says of the next open or commit how long it takes, and what goes wrong with it. `crashed` is cancelled
    /// when a scripted crash is reached.
    pub fn new(decide: impl FnMut() -> (Duration, Fault) + Send + 'static, crashed: CancellationToken) -> Script {
        Script { decide: Box::new(decide), crashed }
    }

    /// Nothing takes time, and nothing goes wrong.
    pub fn uneventful() -> Script {
        Script::new(|| (Duration::ZERO, Fault::None), CancellationToken::new())
    }

    /// What goes wrong with the call that begins now, once its time is over.
    pub async fn next(&mut self) -> Fault {
        let (delay, fault) = (self.decide)();
        tokio::time::sleep(delay).await;
        fault
    }

    /// Dies here, if `fault` says so.
    pub async fn reach(&mut self, point: CrashPoint, fault: Fault) {
        if fault == Fault::Crash(point) {
            self.crash().await;
        }
    }

    /// The end of an opening: whatever is no crash opens nothing.
    pub fn opens(&self, fault: Fault) -> Result<(), OpenError> {
        match fault {
            Fault::None | Fault::Crash(_) => Ok(()),
            Fault::Aborted | Fault::UnknownCommitted | Fault::UnknownAborted => {
                Err(OpenError::Again("scripted".into()))
            }
        }
    }

    async fn crash(&mut self) -> ! {
        self.crashed.cancel();
        std::future::pending().await
    }

    /// One commit. `write` makes the batch durable, or refuses.
    pub async fn commit(&mut self, write: impl FnOnce() -> Result<(), CommitError> + Send) -> Result<(), CommitError> {
        match self.next().await {
            Fault::None => write(),
            Fault::Aborted => Err(CommitError::NothingWritten("scripted abort".into())),
            Fault::UnknownAborted => Err(CommitError::Reopen("scripted, not committed".into())),
            Fault::UnknownCommitted => {
                write()?;
                Err(CommitError::Reopen("scripted, committed".into()))
            }
            Fault::Crash(CrashPoint::Committed) => {
                write()?;
                self.crash().await
            }
            Fault::Crash(_) => self.crash().await,
        }
    }
}
