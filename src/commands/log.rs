//! What the lane asks of Kafka: the records that it owns, in order, and answers that are committed as a whole.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::command::{Answer, Command};
use super::window::Progress;
use crate::commit::log::{CommitError, OpenError};

/// Two implementations: the request topic on Kafka, and one in memory for the tests of the lane.
pub trait CommandLog: Send + 'static {
    /// Waits until this instance owns partitions of the request topic, shuts out whoever answered them before, and
    /// reads how far they are answered. What was committed before it returns is in the progress, and nothing more can be
    /// committed by an earlier owner.
    fn open(&mut self) -> impl Future<Output = Result<OpenedCommands, OpenError>> + Send;

    /// Makes the answers durable together with the progress, all or nothing. Only between [`open`](Self::open) and an
    /// error other than [`CommitError::NothingWritten`].
    fn commit(&mut self, batch: Arc<AnswerBatch>) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Gives back what was owned. Nothing is written after it until the next [`open`](Self::open).
    fn release(&mut self) -> impl Future<Output = ()> + Send;
}

pub struct OpenedCommands {
    /// Of each partition that is owned.
    pub progress: Vec<Progress>,
    /// The records of these partitions from there on, each partition's in order. Ends when reading failed.
    pub commands: mpsc::Receiver<Command>,
    /// Partitions of which no more records are wanted for now; a few may come nevertheless.
    pub paused: watch::Sender<BTreeSet<i32>>,
    /// Cancelled when the partitions are to be given back.
    pub recalled: CancellationToken,
}

/// What becomes durable together.
#[derive(Debug, Default)]
pub struct AnswerBatch {
    pub answers: Vec<(Arc<Command>, Answer)>,
    /// Of each partition that these answers stand in, with them.
    pub progress: Vec<Progress>,
}
