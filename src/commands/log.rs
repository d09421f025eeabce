//! What the lane takes from its log, and what it writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::command::{Answer, Command};
use super::window::Progress;
use crate::commit::log::CommitLog;

/// A log of the commands.
pub trait CommandLog: CommitLog<Opened = OpenedCommands, Batch = AnswerBatch> {}

impl<L: CommitLog<Opened = OpenedCommands, Batch = AnswerBatch>> CommandLog for L {}

/// What an open log of the commands hands over.
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
