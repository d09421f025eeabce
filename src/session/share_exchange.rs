//! Budgets are divided among the partitions by what each needs: tells the others what the own ones need, goes by what they tell, and
//! divides where this instance owns the divider's shard. [`crate::model::shares`] says how, and why it is safe.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{PollPipeline, PolledApp};
use crate::commit::log::{NotesReader, ShardOwnership};
use crate::commit::queue::{Closed, WriteOutcome, WriteSender};
use crate::model::batch::ShardRecord;
use crate::model::feed::Interface;
use crate::model::queued_write::QueuedWrite;
use crate::model::shard::{AssignedShard, Shard};
use crate::model::shares::divider::Divider;
use crate::model::shares::ledger::{LEDGER_KEY, NOTED_KEY};
use crate::model::shares::note::{NotedShares, PartitionNote, divided};
use crate::model::shares::wanted::{BudgetSize, ShareNeed};
use crate::upstream::budget_shares::{BudgetShares, budget_name};

/// How soon notes are read again while there is something to be waited for: at first, and at most.
const READ_AT_ONCE: Duration = Duration::from_millis(100);
const READ_EVERY: Duration = Duration::from_secs(5);
/// How long the feeds of a shard may take to come once it is taken up: before that nobody knows what it needs.
const NEEDS_AFTER: Duration = Duration::from_secs(10);

/// The shards that were taken up.
#[derive(Clone, Debug, Default)]
struct OpenShards {
    /// As they were assigned last, and when they were taken up then.
    since: BTreeMap<Shard, (AssignedShard, Instant)>,
    /// What stood in the divider's shard, if that is one of them.
    ledger: Option<Box<[u8]>>,
}

/// Runs until it is dropped.
pub(super) struct ShareExchange {
    open: watch::Sender<OpenShards>,
    _task: AbortOnDropHandle<()>,
}

struct Exchange {
    shares: Arc<BudgetShares>,
    apps: Arc<Vec<PolledApp>>,
    read: NotesReader,
    queue: WriteSender,
    partitions: usize,
    open: watch::Receiver<OpenShards>,
    budgets: BTreeMap<String, BudgetSize>,
    divider: Option<(AssignedShard, Divider)>,
    /// As they were told last.
    needs: BTreeMap<AssignedShard, BTreeMap<String, ShareNeed>>,
    read_last: Vec<PartitionNote>,
}

impl ShareExchange {
    /// Nothing where the pipeline does not divide its budgets. `queue` is held until it is dropped.
    pub fn begin(
        pipeline: &PollPipeline,
        ownership: &dyn ShardOwnership,
        queue: WriteSender,
        partitions: i32,
    ) -> Option<ShareExchange> {
        let (shares, apps) = (pipeline.shares.clone()?, pipeline.apps.clone());
        let (open, opened) = watch::channel(OpenShards::default());
        let exchange = Exchange {
            budgets: shares.budgets(),
            shares,
            apps,
            read: ownership.notes(),
            queue,
            partitions: usize::try_from(partitions).ok()?,
            open: opened,
            divider: None,
            needs: BTreeMap::new(),
            read_last: Vec::new(),
        };
        let task = tokio::spawn(async move {
            // The queue is closed once the session is over.
            let _ = exchange.run().await;
        });
        Some(ShareExchange { open, _task: AbortOnDropHandle::new(task) })
    }

    /// These are taken up: whoever writes of them is heard from here on. `ledger` is what stood in the divider's shard, where that is one.
    pub fn opened(&self, shards: &[AssignedShard], ledger: Option<Box<[u8]>>) {
        self.open.send_modify(|open| {
            if shards.iter().any(|assigned| assigned.shard == Shard::DIVIDING) {
                open.ledger = ledger;
            }
            open.since.extend(shards.iter().map(|assigned| (assigned.shard, (*assigned, Instant::now()))));
        });
    }

    pub fn closed(&self, shards: &[AssignedShard]) {
        self.open.send_modify(|open| open.since.retain(|_, (assigned, _)| !shards.contains(assigned)));
    }
}

impl Exchange {
    /// # Errors
    /// [`Closed`] once the session is over.
    async fn run(mut self) -> Result<(), Closed> {
        let mut pause = READ_AT_ONCE;
        loop {
            let shares = self.shares.clone();
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (2 * pause).min(READ_EVERY),
                () = shares.moved() => pause = READ_AT_ONCE,
                changed = self.open.changed() => {
                    changed.map_err(|_| Closed)?;
                    pause = READ_AT_ONCE;
                }
            }
            // Whoever has all has nobody to tell anything, nor has whoever has none. That ends with a generation, in which all notes are
            // written anew.
            if !self.shares.is_one_of_several() {
                pause = READ_EVERY;
                continue;
            }
            let reading = self.shares.begin_reading();
            match (self.read)().await {
                Ok(notes) => {
                    self.shares.take(reading, &notes);
                    self.act(&notes).await?;
                    if notes != self.read_last {
                        // Whoever has written them goes on with what he reads next.
                        pause = READ_AT_ONCE;
                        self.read_last = notes;
                    }
                }
                // What is not known to be free stays as it is, and commits tell by themselves that brokers are away.
                Err(error) => tracing::debug!(error = error.with_causes(), "what other instances note can't be read"),
            }
        }
    }

    /// Divides, and notes what is new.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    async fn act(&mut self, notes: &[PartitionNote]) -> Result<(), Closed> {
        let open = self.open.borrow_and_update().clone();
        self.know_needs(&open);
        self.divide(&open, notes).await?;
        let is_new = |assigned: &AssignedShard| {
            let noted = usize::try_from(assigned.shard.0).ok().and_then(|partition| notes.get(partition));
            noted != Some(&PartitionNote::Shares(self.shares.note(*assigned)))
        };
        let renewed: Vec<AssignedShard> =
            open.since.values().map(|(assigned, _)| *assigned).filter(|assigned| is_new(assigned)).collect();
        if !renewed.is_empty() {
            // The notes stand beside the records of their transaction.
            self.write(&renewed, NOTED_KEY, b"{}").await?;
        }
        Ok(())
    }

    /// What a shard needs is told again where it has changed much: it is never quite the same.
    fn know_needs(&mut self, open: &OpenShards) {
        let is_settled = |(_, since): &&(AssignedShard, Instant)| since.elapsed() >= NEEDS_AFTER;
        let settled = open.since.values().filter(is_settled).map(|(assigned, _)| *assigned);
        let names = divided(self.budgets.keys().map(String::as_str), self.partitions);
        let mut known = BTreeMap::new();
        for assigned in settled {
            let mut told = self.needs.remove(&assigned).unwrap_or_default();
            for (name, need) in self.needs_of(assigned.shard).filter(|(name, _)| names.contains(&name.as_str())) {
                if told.get(&name).is_none_or(|told| need.differs_from(*told)) {
                    told.insert(name, need);
                }
            }
            known.insert(assigned, told);
        }
        self.needs = known;
        self.shares.know_needs(self.needs.clone());
    }

    fn needs_of(&self, shard: Shard) -> impl Iterator<Item = (String, ShareNeed)> {
        self.apps.iter().flat_map(move |app| {
            let of = move |interface| (budget_name(&app.client, interface), app.reports.need(shard, interface));
            Interface::ALL.into_iter().filter(|interface| interface.is_polled()).map(of)
        })
    }

    fn restore(&self, open: &OpenShards) -> Divider {
        let divider = Divider::new(open.ledger.as_deref(), self.partitions);
        if open.ledger.is_some() && !divider.has_ledger() {
            tracing::warn!(
                key = LEDGER_KEY,
                "how budgets were divided can't be read from the state: all partitions have equal parts until that is begun anew"
            );
        }
        divider
    }

    /// As the owner of the divider's shard.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    async fn divide(&mut self, open: &OpenShards, notes: &[PartitionNote]) -> Result<(), Closed> {
        let Some((assigned, _)) = open.since.get(&Shard::DIVIDING).copied() else {
            self.divider = None;
            return Ok(());
        };
        let known = self.divider.take().filter(|(divided, _)| *divided == assigned).map(|(_, divider)| divider);
        let mut divider = known.unwrap_or_else(|| self.restore(open));
        // Of keys that are drawn at random.
        let name = || RandomState::new().hash_one(assigned);
        let next = divider.next(notes, &self.budgets, self.shares.may_begin(notes).then(name));
        if let Some((next, ledger)) = next.and_then(|next| Some((next.clone(), next.encoded()?))) {
            // Of a shard that is lost nothing comes of it, and a session that is over ends this.
            if self.write(&[assigned], LEDGER_KEY, &ledger).await? == WriteOutcome::Durable {
                tracing::debug!(division = ?next.division(), "budgets are divided anew among the partitions");
                divider = next;
            }
        }
        if let Some(division) = divider.division() {
            self.shares.tell(assigned, division);
        }
        self.divider = Some((assigned, divider));
        Ok(())
    }

    /// # Errors
    /// As [`run`](Self::run).
    async fn write(&self, shards: &[AssignedShard], key: &str, value: &[u8]) -> Result<WriteOutcome, Closed> {
        let record = |assigned: &AssignedShard| ShardRecord {
            assigned: *assigned,
            key: key.to_owned(),
            value: Some(value.to_vec()),
        };
        self.queue.send_durably(QueuedWrite::ShardRecords(shards.iter().map(record).collect())).await
    }
}
