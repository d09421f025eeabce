//! What a pipeline asks of a log: all of a batch becomes durable, or none of it.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::model::age::AgeLimits;
use crate::model::batch::Batch;
use crate::model::promoter::Promoter;
use crate::model::state::State;

/// The polls have one, which holds their state, and the requests have one, which holds how far they are answered. Each is
/// implemented by Kafka's transactions, and in memory with failpoints for simulation.
pub trait CommitLog: Send + 'static {
    /// What an open log hands over.
    type Opened: Send;
    /// What becomes durable together.
    type Batch: Send + Sync;

    /// Waits until this instance owns something, shuts out whoever wrote before, and reads what was written. Everything
    /// committed before it returns is handed over, and nothing can be committed by an earlier owner any more.
    fn open(&mut self) -> impl Future<Output = Result<Self::Opened, OpenError>> + Send;

    /// Makes the batch durable, all or nothing. Only between [`open`](Self::open) and an error other than
    /// [`CommitError::NothingWritten`] or [`CommitError::TooSlow`].
    fn commit(&mut self, batch: Arc<Self::Batch>) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Gives back what was owned. Nothing is written after it until the next [`open`](Self::open).
    fn release(&mut self) -> impl Future<Output = ()> + Send;
}

/// A log of the polls.
pub trait StateLog: CommitLog<Opened = Opened, Batch = Batch> {}

impl<L: CommitLog<Opened = Opened, Batch = Batch>> StateLog for L {}

/// What an open log of the polls hands over.
pub struct Opened {
    pub state: State,
    pub lease: Lease,
    /// How old facts may be that the log takes and keeps.
    pub age_limits: AgeLimits,
}

/// The right to poll some promoters and to write for them.
#[derive(Clone)]
pub struct Lease {
    owns: Arc<dyn Fn(&Promoter) -> bool + Send + Sync>,
    /// Cancelled when the right is to be given back. What is under way may still be finished: the log waits for
    /// [`CommitLog::release`] for a bounded time.
    pub revoked: CancellationToken,
}

impl Lease {
    pub fn new(owns: impl Fn(&Promoter) -> bool + Send + Sync + 'static, revoked: CancellationToken) -> Lease {
        Lease { owns: Arc::new(owns), revoked }
    }

    pub fn owns(&self, promoter: &Promoter) -> bool {
        (self.owns)(promoter)
    }
}

/// Why a log could not be opened, cut by what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// Open again after a while.
    #[error("{0}")]
    Again(String),
    /// A setting that this log will never take, which only the log could tell: the process stops as for any other wrong
    /// setting.
    #[error("{0}")]
    Unfit(String),
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
    /// It is certain that nothing was written, for it took too long: commit the same again, or less at once.
    #[error("{0}")]
    TooSlow(String),
    /// The outcome is unknown, or someone else writes now: drop everything and open again.
    #[error("{0}")]
    Reopen(String),
    /// Only an operator can help: the process stops.
    #[error("{0}")]
    Stop(String),
}

/// Why a session on an open log is over.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop, and everything that was to be written is durable.
    Drained,
    /// What was owned is to be given back.
    Revoked,
    /// The log has to be opened again.
    Reopen(String),
    /// Only an operator can help.
    Stop(String),
}

impl From<CommitError> for Ended {
    fn from(error: CommitError) -> Ended {
        match error {
            CommitError::NothingWritten(reason) | CommitError::TooSlow(reason) | CommitError::Reopen(reason) => {
                Ended::Reopen(reason)
            }
            CommitError::Stop(reason) => Ended::Stop(reason),
        }
    }
}
