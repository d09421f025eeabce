//! What the committer asks of a log: all of a batch becomes durable, or none of it.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::batch::Batch;
use crate::domain::promoter::Promoter;
use crate::domain::state::State;

/// Two implementations: Kafka's transactions, and a log in memory with crash points for simulation.
pub trait CommitLog: Send + 'static {
    /// Waits until this instance owns something, shuts out whoever wrote before, and reads the state. Everything
    /// committed before it returns is in the state, and nothing can be committed by an earlier owner any more.
    fn open(&mut self) -> impl Future<Output = Result<Opened, OpenError>> + Send;

    /// Makes the batch durable, all or nothing. Only between [`open`](Self::open) and an error other than
    /// [`CommitError::NothingWritten`].
    fn commit(&mut self, batch: Arc<Batch>) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Gives back what was owned. Nothing is written after it until the next [`open`](Self::open).
    fn release(&mut self) -> impl Future<Output = ()> + Send;
}

/// What an open log hands over.
pub struct Opened {
    pub state: State,
    pub lease: Lease,
}

/// The right to poll some promoters and to write for them.
#[derive(Clone)]
pub struct Lease {
    owns: Arc<dyn Fn(&Promoter) -> bool + Send + Sync>,
    /// Cancelled when the right is to be given back. What is under way may still be finished: the log waits for
    /// [`CommitLog::release`] for a bounded time.
    pub recalled: CancellationToken,
}

impl Lease {
    pub fn new(owns: impl Fn(&Promoter) -> bool + Send + Sync + 'static, recalled: CancellationToken) -> Lease {
        Lease { owns: Arc::new(owns), recalled }
    }

    pub fn owns(&self, promoter: &Promoter) -> bool {
        (self.owns)(promoter)
    }
}

/// Why a log could not be opened, cut by what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Open again after a while.
    #[error("{0}")]
    Again(String),
    /// Only an operator can help: the process stops.
    #[error("{0}")]
    Stop(String),
}

/// Why a batch was not made durable, cut by what to do.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It is certain that nothing was written: commit the same batch again.
    #[error("{0}")]
    NothingWritten(String),
    /// The outcome is unknown, or someone else writes now: drop everything and open again.
    #[error("{0}")]
    Reopen(String),
    /// Only an operator can help: the process stops.
    #[error("{0}")]
    Stop(String),
}
