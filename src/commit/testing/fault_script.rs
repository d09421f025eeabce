//! What befalls a log in memory, one call after the other, as a script says: so a seed can write it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::commit::failpoint::Failpoint;
use crate::commit::log::{CommitError, OpenError};

/// What goes wrong with one call, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptedFault {
    None,
    /// The transaction is aborted.
    Aborted,
    /// The answer is lost; the transaction was committed.
    UnknownCommitted,
    /// The answer is lost; the transaction was not committed.
    UnknownAborted,
    /// The process dies there: the call never returns, and the script's owner is told.
    Crash(Failpoint),
}

pub struct FaultScript {
    decide: Box<dyn FnMut() -> (Duration, ScriptedFault) + Send>,
    crashed: CancellationToken,
}

impl FaultScript {
    /// `decide` says of the next open or commit how long it takes, and what goes wrong with it. `crashed` is cancelled
    /// when a scripted crash is reached.
    pub fn new(
        decide: impl FnMut() -> (Duration, ScriptedFault) + Send + 'static,
        crashed: CancellationToken,
    ) -> FaultScript {
        FaultScript { decide: Box::new(decide), crashed }
    }

    /// Nothing takes time, and nothing goes wrong.
    pub fn uneventful() -> FaultScript {
        FaultScript::new(|| (Duration::ZERO, ScriptedFault::None), CancellationToken::new())
    }

    /// What goes wrong with the call that begins now, once its time is over.
    pub async fn next(&mut self) -> ScriptedFault {
        let (delay, fault) = (self.decide)();
        tokio::time::sleep(delay).await;
        fault
    }

    /// Dies here, if `fault` says so.
    pub async fn reach(&mut self, point: Failpoint, fault: ScriptedFault) {
        if fault == ScriptedFault::Crash(point) {
            self.crash().await;
        }
    }

    /// The end of an opening: whatever is no crash opens nothing.
    ///
    /// # Errors
    /// [`OpenError::Again`] where the script has this opening fail.
    pub fn opens(&self, fault: ScriptedFault) -> Result<(), OpenError> {
        match fault {
            ScriptedFault::None | ScriptedFault::Crash(_) => Ok(()),
            ScriptedFault::Aborted | ScriptedFault::UnknownCommitted | ScriptedFault::UnknownAborted => {
                Err(OpenError::Again("scripted".into()))
            }
        }
    }

    async fn crash(&mut self) -> ! {
        self.crashed.cancel();
        std::future::pending().await
    }

    /// One commit. `write` makes the batch durable, or refuses.
    ///
    /// # Errors
    /// [`CommitError`] as the script has it, whether it was written or not; else that of `write`.
    pub async fn commit(&mut self, write: impl FnOnce() -> Result<(), CommitError> + Send) -> Result<(), CommitError> {
        match self.next().await {
            ScriptedFault::None => write(),
            ScriptedFault::Aborted => Err(CommitError::NothingWritten("scripted abort".into())),
            ScriptedFault::UnknownAborted => Err(CommitError::Reopen("scripted, not committed".into())),
            ScriptedFault::UnknownCommitted => {
                write()?;
                Err(CommitError::Reopen("scripted, committed".into()))
            }
            ScriptedFault::Crash(Failpoint::Committed) => {
                write()?;
                self.crash().await
            }
            ScriptedFault::Crash(_) => self.crash().await,
        }
    }
}
