//! What the lane takes from its log, and what it writes.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::command::{Answer, Command};
use super::progress::{Progress, ProgressRecord};
use crate::commit::log::CommitLog;

/// The most that is read again at once: commands, and about their bytes.
pub const CHUNK_MAX: usize = 512;
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// A log of the commands.
pub trait CommandLog: CommitLog<Opened = OpenedCommands, Batch = AnswerBatch> {}

impl<L: CommitLog<Opened = OpenedCommands, Batch = AnswerBatch>> CommandLog for L {}

/// What an open log of the commands hands over.
pub struct OpenedCommands {
    /// Of each partition that is owned.
    pub progress: Vec<Progress>,
    /// The records of these partitions from there on, each partition's in order. Ends when reading failed.
    pub commands: mpsc::Receiver<Command>,
    /// Takes wishes for what was read before. Nobody takes them any more when reading failed.
    pub again: mpsc::Sender<ReadAgain>,
    /// Cancelled when the partitions are to be given back.
    pub revoked: CancellationToken,
}

/// Wants the records of a partition from one offset to before another, all of which have been there before, or the first
/// `most` of them.
#[derive(Debug)]
pub struct ReadAgain {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
    pub most: usize,
    pub chunk: oneshot::Sender<Chunk>,
}

/// Records in their order, [`CHUNK_MAX`] at most.
#[derive(Debug, Default)]
pub struct Chunk {
    pub commands: Vec<Command>,
    /// There is nothing else between these and this offset. It is where the chunk begins where nothing could be read now.
    pub next: i64,
}

/// What becomes durable together.
#[derive(Debug, Default)]
pub struct AnswerBatch {
    pub answers: Vec<(Arc<Command>, Answer)>,
    /// How far each partition is answered that these answers stand in, with them.
    pub progress: Vec<ProgressRecord>,
    /// Of each of these partitions the offset of the first request without an answer.
    pub positions: Vec<(i32, i64)>,
}
