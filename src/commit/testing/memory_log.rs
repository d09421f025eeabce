//! A log in memory: what Kafka promises, without Kafka, and with every way in which it can fail at hand.

use std::sync::{Arc, Mutex, MutexGuard};

use super::durable_topics::{DurableTopics, PARTITIONS, whole};
use super::fault_script::FaultScript;
use super::memory_group::MemoryGroup;
use crate::commit::failpoint::Failpoint;
use crate::commit::log::{CommitError, CommitLog, OpenError, Opened};
use crate::model::age::AgeLimits;
use crate::model::batch::Batch;
use crate::model::shard::AssignedShard;
use crate::model::shares::note::NotedShares;

pub struct MemoryLog {
    durable: Arc<Mutex<DurableTopics>>,
    script: FaultScript,
    epoch: u64,
    instance: String,
    group: MemoryGroup,
    shares: Option<Arc<dyn NotedShares>>,
}

impl MemoryLog {
    /// Of the only instance.
    pub fn new(durable: Arc<Mutex<DurableTopics>>, script: FaultScript) -> MemoryLog {
        MemoryLog::shared(durable, script, "alone", &MemoryGroup::of_one("alone", PARTITIONS))
    }

    /// Of one instance of `group`.
    pub fn shared(
        durable: Arc<Mutex<DurableTopics>>,
        script: FaultScript,
        instance: &str,
        group: &MemoryGroup,
    ) -> MemoryLog {
        MemoryLog { durable, script, epoch: 0, instance: instance.to_owned(), group: group.clone(), shares: None }
    }

    /// With what is to be noted of the shares of a shard.
    pub fn noting(self, shares: Arc<dyn NotedShares>) -> MemoryLog {
        MemoryLog { shares: Some(shares), ..self }
    }

    fn durable(&self) -> MutexGuard<'_, DurableTopics> {
        whole(&self.durable)
    }
}

impl CommitLog for MemoryLog {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        let fault = self.script.next().await;
        self.epoch = {
            let mut durable = self.durable();
            let epoch = durable.epochs.entry(self.instance.clone()).or_default();
            *epoch += 1;
            *epoch
        };
        self.script.reach(Failpoint::Fenced, fault).await;
        self.script.reach(Failpoint::Restored, fault).await;
        self.script.opens(fault)?;
        let ownership = self.group.join(&self.instance, self.durable.clone());
        Ok(Opened { partitions: PARTITIONS, age_limits: AgeLimits::default(), ownership })
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        let MemoryLog { durable, epoch, instance, group, script, shares } = self;
        let write = |lost: Vec<AssignedShard>| match lost.is_empty() {
            true => {
                let mut durable = whole(durable);
                durable.write(&batch, instance, *epoch)?;
                if let Some(shares) = shares {
                    durable.notes.extend(batch.shards.iter().map(|shard| (shard.shard, shares.note(*shard))));
                }
                Ok(())
            }
            false => Err(CommitError::ShardsLost(lost)),
        };
        script.commit(|| group.write(instance, &batch.shards, write)).await
    }

    async fn release(&mut self) {
        self.group.leave(&self.instance);
    }
}
