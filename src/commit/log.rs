//! What a pipeline asks of a log: all of a batch becomes durable, or none of it.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::queue::FenceSender;
use crate::model::age::AgeLimits;
use crate::model::batch::Batch;
use crate::model::shard::AssignedShard;
use crate::model::shares::note::PartitionNote;
use crate::model::state::State;
use crate::registry::event::{EventBurst, RegistryEvent};

pub use error::{CommitError, Ended, LogError, OpenError};

mod error;

/// The polls have one, which holds their state, and the requests have one, which holds how far they are answered. Each is
/// implemented by Kafka's transactions, and in memory with failpoints for simulation.
pub trait CommitLog: Send + 'static {
    /// What an open log hands over.
    type Opened: Send;
    /// What becomes durable together.
    type Batch: Send + Sync;

    /// Waits until this instance owns something, shuts out whoever wrote before, and reads what was written. Everything
    /// committed before it returns is handed over, and nothing can be committed by an earlier owner any more.
    ///
    /// # Errors
    /// [`OpenError`], by which the supervisor opens again after a while, or the process stops.
    fn open(&mut self) -> impl Future<Output = Result<Self::Opened, OpenError>> + Send;

    /// Makes the batch durable, all or nothing. Only between [`open`](Self::open) and an error other than
    /// [`CommitError::NothingWritten`] or [`CommitError::TooSlow`].
    ///
    /// # Errors
    /// [`CommitError`], by whether it is certain that nothing was written.
    fn commit(&mut self, batch: Arc<Self::Batch>) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Gives back what was owned. Nothing is written after it until the next [`open`](Self::open).
    fn release(&mut self) -> impl Future<Output = ()> + Send;
}

/// A log of the polls.
pub(crate) trait StateLog: CommitLog<Opened = Opened, Batch = Batch> {}

impl<L: CommitLog<Opened = Opened, Batch = Batch>> StateLog for L {}

/// What an open log of the polls hands over.
pub struct Opened {
    /// Of the registry, and of the state.
    pub partitions: i32,
    /// How old facts may be that the log takes and keeps.
    pub age_limits: AgeLimits,
    /// Which shards are this instance's, from now on.
    pub ownership: Box<dyn ShardOwnership>,
}

/// Which shards are this instance's, from one opening of the log to the next. Dropping it gives all of them up.
pub trait ShardOwnership: Send + Sync {
    /// The next change, waiting for one if need be. May be dropped and called again.
    fn next(&mut self) -> BoxFuture<'_, OwnershipChange>;

    /// Shuts out whoever owned these shards before, and reads what was written of them: everything committed before a shard is
    /// told is handed over with it, and nothing can be committed of it by an earlier owner any more. Each is told by itself,
    /// when it is known; those that have failed may be asked for again. It ends early once `given_up` is cancelled.
    fn restore(&self, shards: Vec<AssignedShard>, fences: FenceSender, given_up: CancellationToken) -> Restores;

    /// What the owners of all partitions have noted of their shares.
    fn notes(&self) -> NotesReader;

    /// Has others take over all shards, which are worked on until then. Done when they have, or when it is known that nobody does,
    /// or not soon. Nothing is done before it is polled.
    fn hand_over(&self) -> BoxFuture<'static, ()>;
}

/// Reads the notes of all partitions, in their order, as they were committed by the time when it is called or later.
pub(crate) type NotesReader = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<PartitionNote>, LogError>> + Send + Sync>;

/// One of shards that are restored together. Where it is dropped, nothing of it is read any more.
pub(crate) type Restore = BoxFuture<'static, (AssignedShard, Result<RestoredShard, OpenError>)>;

/// Each shard once, as it is known. [`OpenError::Again`] where the same may be asked for again, while others are polled.
pub(crate) type Restores = FuturesUnordered<Restore>;

/// A shard that may be polled.
pub struct RestoredShard {
    pub state: State,
    /// All that the registry says in it.
    pub registered: Vec<RegistryEvent>,
}

/// What has become of the shards of this instance.
pub enum OwnershipChange {
    /// They are this instance's.
    Assigned(Vec<AssignedShard>),
    /// The registry has said this in a shard that was restored.
    Registered(AssignedShard, EventBurst),
    /// They are this instance's no more: what is still planned of them is not committed.
    Revoked(Vec<AssignedShard>),
    /// There will be no further change.
    Failed(OpenError),
}
