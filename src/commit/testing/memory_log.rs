//! A log in memory: what Kafka promises, without Kafka, and with every way in which it can fail at hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::fault_script::FaultScript;
use crate::commit::failpoint::Failpoint;
use crate::commit::log::{CommitError, CommitLog, Lease, LogError, OpenError, Opened};
use crate::model::age::AgeLimits;
use crate::model::batch::{Batch, Event};
use crate::model::dead_letter::DeadLetter;
use crate::model::state::State;
use crate::model::state_record::{StateKey, StateValue};

/// What survives a crash: the topics as a `read_committed` consumer sees them.
#[derive(Default)]
pub struct DurableTopics {
    pub events: Vec<Event>,
    pub dead_letters: Vec<DeadLetter>,
    /// The state topic after compaction, in bytes, so that its codec takes part.
    pub state: HashMap<String, Vec<u8>>,
    pub commits: u64,
    /// Whoever opened last; an earlier one is refused.
    epoch: u64,
}

pub struct MemoryLog {
    durable: Arc<Mutex<DurableTopics>>,
    script: FaultScript,
    epoch: u64,
}

impl MemoryLog {
    pub fn new(durable: Arc<Mutex<DurableTopics>>, script: FaultScript) -> MemoryLog {
        MemoryLog { durable, script, epoch: 0 }
    }

    fn durable(&self) -> MutexGuard<'_, DurableTopics> {
        whole(&self.durable)
    }
}

/// A poisoned lock means that a test has failed already; its content is still whole.
fn whole(durable: &Mutex<DurableTopics>) -> MutexGuard<'_, DurableTopics> {
    durable.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DurableTopics {
    fn write(&mut self, batch: &Batch, epoch: u64) -> Result<(), CommitError> {
        if self.epoch != epoch {
            return Err(CommitError::Reopen("fenced".into()));
        }
        self.events.extend(batch.events.iter().cloned());
        self.dead_letters.extend(batch.dead_letters.iter().cloned());
        for record in &batch.state {
            let key = record.key.encode();
            match &record.value {
                Some(value) => self.state.insert(key, value.encode()),
                None => self.state.remove(&key),
            };
        }
        self.commits += 1;
        Ok(())
    }
}

impl CommitLog for MemoryLog {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        let fault = self.script.next().await;
        self.epoch = {
            let mut durable = self.durable();
            durable.epoch += 1;
            durable.epoch
        };
        self.script.reach(Failpoint::Fenced, fault).await;
        let mut state = State::default();
        for (key, value) in &self.durable().state {
            let stop = |error| OpenError::Stop(LogError::because(key, error));
            let key = StateKey::decode(key.as_bytes()).map_err(stop)?;
            let value = StateValue::decode(&key, value).map_err(stop)?;
            state.restore(key, Some(value));
        }
        state.restored();
        self.script.reach(Failpoint::Restored, fault).await;
        self.script.opens(fault)?;
        Ok(Opened { state, lease: Lease::new(|_| true, CancellationToken::new()), age_limits: AgeLimits::default() })
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        let (durable, epoch) = (&self.durable, self.epoch);
        self.script.commit(|| whole(durable).write(&batch, epoch)).await
    }

    async fn release(&mut self) {}
}
