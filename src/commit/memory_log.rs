//! A log in memory: what Kafka promises, without Kafka, and with every way in which it can fail at hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::crash_point::CrashPoint;
use super::log::{CommitError, CommitLog, Lease, OpenError, Opened};
use crate::domain::batch::{Batch, Event};
use crate::domain::dead_letter::DeadLetter;
use crate::domain::state::State;
use crate::domain::state_record::{StateKey, StateValue};

/// What survives a crash: the topics as a `read_committed` consumer sees them.
#[derive(Default)]
pub struct Durable {
    pub events: Vec<Event>,
    pub dead_letters: Vec<DeadLetter>,
    /// The state topic after compaction, in bytes, so that its codec takes part.
    pub state: HashMap<String, Vec<u8>>,
    pub commits: u64,
    /// Whoever opened last; an earlier one is refused.
    epoch: u64,
}

/// What goes wrong with one commit, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The transaction is aborted.
    Aborted,
    /// The answer is lost; the transaction was committed.
    UnknownCommitted,
    /// The answer is lost; the transaction was not committed.
    UnknownAborted,
    /// The process dies there: the call never returns, and [`MemoryLog::crashed`] is cancelled.
    Crash(CrashPoint),
}

/// Decides on the next open or commit: how long it takes, and what goes wrong with it.
pub type Script = Box<dyn FnMut() -> (Duration, Fault) + Send>;

pub struct MemoryLog {
    durable: Arc<Mutex<Durable>>,
    script: Script,
    epoch: u64,
    /// Cancelled when a scripted crash is reached.
    pub crashed: CancellationToken,
}

impl MemoryLog {
    pub fn new(durable: Arc<Mutex<Durable>>, script: Script) -> MemoryLog {
        MemoryLog { durable, script, epoch: 0, crashed: CancellationToken::new() }
    }

    async fn crash(&mut self) -> ! {
        self.crashed.cancel();
        std::future::pending().await
    }

    fn durable(&self) -> std::sync::MutexGuard<'_, Durable> {
        // A poisoned lock means that a test has failed already; its content is still whole.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut durable = self.durable();
        if durable.epoch != self.epoch {
            return Err(CommitError::Reopen("fenced".into()));
        }
        durable.events.extend(batch.events.iter().cloned());
        durable.dead_letters.extend(batch.dead_letters.iter().cloned());
        for record in &batch.state {
            let key = record.key.encode();
            match &record.value {
                Some(value) => durable.state.insert(key, value.encode()),
                None => durable.state.remove(&key),
            };
        }
        durable.commits += 1;
        Ok(())
    }
}

impl CommitLog for MemoryLog {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        let (delay, fault) = (self.script)();
        tokio::time::sleep(delay).await;
        self.epoch = {
            let mut durable = self.durable();
            durable.epoch += 1;
            durable.epoch
        };
        if matches!(fault, Fault::Crash(CrashPoint::Fenced)) {
            self.crash().await;
        }
        let mut state = State::default();
        for (key, value) in &self.durable().state {
            let stop = |error| OpenError::Stop(format!("{key}: {error}"));
            let key = StateKey::decode(key.as_bytes()).map_err(stop)?;
            let value = StateValue::decode(&key, value).map_err(stop)?;
            state.restore(key, Some(value));
        }
        state.restored();
        if matches!(fault, Fault::Crash(CrashPoint::Restored)) {
            self.crash().await;
        }
        if fault != Fault::None && !matches!(fault, Fault::Crash(_)) {
            return Err(OpenError::Again("scripted".into()));
        }
        Ok(Opened { state, lease: Lease::new(|_| true, CancellationToken::new()) })
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        let (delay, fault) = (self.script)();
        tokio::time::sleep(delay).await;
        match fault {
            Fault::None => self.write(&batch),
            Fault::Aborted => Err(CommitError::NothingWritten("scripted abort".into())),
            Fault::UnknownAborted => Err(CommitError::Reopen("scripted, not committed".into())),
            Fault::UnknownCommitted => {
                self.write(&batch)?;
                Err(CommitError::Reopen("scripted, committed".into()))
            }
            Fault::Crash(CrashPoint::Committed) => {
                self.write(&batch)?;
                self.crash().await
            }
            Fault::Crash(_) => self.crash().await,
        }
    }

    async fn release(&mut self) {}
}
