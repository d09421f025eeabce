//! What survives a crash of those that write a log in memory: its topics.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::commit::log::{CommitError, LogError, OpenError};
use crate::model::batch::{Batch, Event, ShardRecord};
use crate::model::dead_letter::DeadLetter;
use crate::model::shard::{AssignedShard, Shard};
use crate::model::shares::ledger::{LEDGER_KEY, NOTED_KEY};
use crate::model::shares::note::ShareNote;
use crate::model::state::State;
use crate::model::state_record::{StateKey, StateValue};

/// Of the registry and the state that the log stands for.
pub const PARTITIONS: i32 = 3;

/// What survives a crash: the topics as a `read_committed` consumer sees them.
#[derive(Default)]
pub struct DurableTopics {
    pub events: Vec<Event>,
    pub dead_letters: Vec<DeadLetter>,
    /// The state topic after compaction, in bytes, so that its codec takes part.
    pub state: HashMap<String, Vec<u8>>,
    /// Whose the shards are, and how far their registry is read; not restored.
    pub shard_records: HashMap<(Shard, String), Option<Vec<u8>>>,
    pub commits: u64,
    /// Whoever opened last of each instance; an earlier one is refused.
    pub(super) epochs: HashMap<String, u64>,
    /// What was noted of the shares of each shard last.
    pub(super) notes: HashMap<Shard, ShareNote>,
    /// The state of each shard as it was below the fence of its latest owner.
    fenced: HashMap<Shard, (AssignedShard, HashMap<String, Vec<u8>>)>,
}

/// A poisoned lock means that a test has failed already; its content is still whole.
pub(super) fn whole(durable: &Mutex<DurableTopics>) -> MutexGuard<'_, DurableTopics> {
    durable.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DurableTopics {
    /// # Errors
    /// [`CommitError::Reopen`] where the instance has opened again since `epoch`, and [`CommitError::Stop`] where the batch has
    /// records of a shard that it does not tell.
    pub(super) fn write(&mut self, batch: &Batch, instance: &str, epoch: u64) -> Result<(), CommitError> {
        if self.epochs.get(instance) != Some(&epoch) {
            return Err(CommitError::Reopen("fenced".into()));
        }
        if let Some(shard) = untold_shard(batch) {
            return Err(CommitError::Stop(format!("a batch has records of {shard:?} and does not tell it").into()));
        }
        let is_fence = |record: &&ShardRecord| ![LEDGER_KEY, NOTED_KEY].contains(&record.key.as_str());
        for fence in batch.shard_records.iter().filter(is_fence) {
            let shard = fence.assigned.shard;
            let below = self.state.iter().filter(|(key, _)| shard_of(key) == Some(shard));
            let below = below.map(|(key, value)| (key.clone(), value.clone())).collect();
            self.fenced.insert(shard, (fence.assigned, below));
        }
        self.events.extend(batch.events.iter().cloned());
        self.dead_letters.extend(batch.dead_letters.iter().cloned());
        for ShardRecord { assigned, key, value } in &batch.shard_records {
            self.shard_records.insert((assigned.shard, key.clone()), value.clone());
        }
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

    /// What stands below the fence of this shard, if it was written.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where a record of it can't be read.
    pub(super) fn behind_fence(&self, assigned: AssignedShard) -> Result<Option<State>, OpenError> {
        let fenced = self.fenced.get(&assigned.shard).filter(|(fence, _)| *fence == assigned);
        let state = fenced.map(|(_, below)| restored(below)).transpose()?;
        // Nobody but the owner has written it since.
        let ledger = self.shard_records.get(&(assigned.shard, LEDGER_KEY.to_owned()));
        Ok(state.map(|mut state| {
            state.restore_ledger(ledger.and_then(Option::as_deref));
            state
        }))
    }
}

/// A shard of which the batch has records though it does not tell it: nobody would notice that it is not owned any more.
fn untold_shard(batch: &Batch) -> Option<Shard> {
    let events = batch.events.iter().map(|event| &event.promoter);
    let promoters = events.chain(batch.state.iter().map(|record| record.key.promoter()));
    let of_promoters = promoters.map(|promoter| Shard::of(promoter, PARTITIONS));
    let mut all = of_promoters.chain(batch.shard_records.iter().map(|record| record.assigned.shard));
    all.find(|shard| !batch.shards.iter().any(|told| told.shard == *shard))
}

fn shard_of(key: &str) -> Option<Shard> {
    StateKey::decode(key.as_bytes()).ok().map(|key| Shard::of(key.promoter(), PARTITIONS))
}

fn restored(records: &HashMap<String, Vec<u8>>) -> Result<State, OpenError> {
    let mut state = State::default();
    for (key, value) in records {
        let stop = |error| OpenError::Stop(LogError::because(key, error));
        let key = StateKey::decode(key.as_bytes()).map_err(stop)?;
        let value = StateValue::decode(&key, value).map_err(stop)?;
        state.restore(key, Some(value));
    }
    state.restored();
    Ok(state)
}
