//! Budgets are divided among the partitions by what each needs: tells the others what the own ones need, goes by what they tell, and
//! divides where this instance owns the divider's shard. [`crate::model::shares`] says how, and why it is safe.

use std::collections::BTreeMap;
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
use crate::model::shares::ledger::LEDGER_KEY;
use crate::model::shares::note::{PartitionNote, divided};
use crate::model::shares::wanted::{BudgetSize, ShareNeed};
use crate::upstream::budget_shares::{BudgetShares, budget_name};
use crate::upstream::transport::Transport;

/// How often notes are read while something moves, and while nothing does.
const READ_SOON: Duration = Duration::from_secs(1);
const READ_EVERY: Duration = Duration::from_secs(5);
/// While it is not known what an own partition has.
const READ_AT_ONCE: Duration = Duration::from_millis(100);
/// How long the feeds of a shard may take to come once it is taken up: before that nobody knows what it needs.
const NEEDS_AFTER: Duration = Duration::from_secs(10);

/// The shards that were taken up.
#[derive(Clone, Debug, Default)]
struct OpenShards {
    since: BTreeMap<AssignedShard, Instant>,
    /// What stood in the divider's shard, if that is one of them.
    ledger: Option<Box<[u8]>>,
}

/// Runs until it is dropped.
pub(super) struct ShareExchange {
    open: watch::Sender<OpenShards>,
    _task: AbortOnDropHandle<()>,
}

struct Exchange<T> {
    shares: Arc<BudgetShares<T>>,
    apps: Arc<Vec<PolledApp<T>>>,
    read: NotesReader,
    queue: WriteSender,
    partitions: usize,
    open: watch::Receiver<OpenShards>,
    budgets: BTreeMap<String, BudgetSize>,
    divider: Option<(AssignedShard, Divider)>,
    /// As they were told last.
    needs: BTreeMap<AssignedShard, BTreeMap<String, ShareNeed>>,
}

impl ShareExchange {
    /// Nothing where the pipeline does not divide its budgets. `queue` is held until it is dropped.
    pub fn begin<T: Transport>(
        pipeline: &PollPipeline<T>,
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
            open.since.extend(shards.iter().map(|assigned| (*assigned, Instant::now())));
        });
    }

    pub fn closed(&self, shards: &[AssignedShard]) {
        self.open.send_modify(|open| open.since.retain(|assigned, _| !shards.contains(assigned)));
    }
}

impl<T: Transport> Exchange<T> {
    /// # Errors
    /// [`Closed`] once the session is over.
    async fn run(mut self) -> Result<(), Closed> {
        let mut pause = READ_AT_ONCE;
        loop {
            let shares = self.shares.clone();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shares.moved() => {}
                changed = self.open.changed() => changed.map_err(|_| Closed)?,
            }
            let reading = self.shares.begin_reading();
            pause = match (self.read)().await {
                Ok(notes) => {
                    self.shares.take(reading, &notes);
                    let moves = self.act(&notes).await?;
                    if self.shares.is_unknown() {
                        READ_AT_ONCE
                    } else if moves {
                        READ_SOON
                    } else {
                        READ_EVERY
                    }
                }
                Err(error) => {
                    // What is not known to be free stays as it is, and commits tell by themselves that brokers are away.
                    tracing::debug!(error = error.with_causes(), "what other instances note can't be read");
                    READ_SOON
                }
            };
        }
    }

    /// Divides, and notes what is new. Tells whether something was.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    async fn act(&mut self, notes: &[PartitionNote]) -> Result<bool, Closed> {
        let open = self.open.borrow_and_update().clone();
        self.know_needs(&open);
        let divides = self.divide(&open, notes).await?;
        let is_new = |assigned: &AssignedShard| {
            let noted = usize::try_from(assigned.shard.0).ok().and_then(|partition| notes.get(partition));
            noted != Some(&PartitionNote::Shares(self.shares.note(*assigned)))
        };
        let renewed: Vec<AssignedShard> = open.since.keys().filter(|assigned| is_new(assigned)).copied().collect();
        for assigned in &renewed {
            self.write_note(*assigned).await?;
        }
        Ok(divides || !renewed.is_empty())
    }

    /// What a shard needs is told again where it has changed much: it is never quite the same.
    fn know_needs(&mut self, open: &OpenShards) {
        let is_settled = |(_, since): &(&AssignedShard, &Instant)| since.elapsed() >= NEEDS_AFTER;
        let settled: Vec<AssignedShard> = open.since.iter().filter(is_settled).map(|(assigned, _)| *assigned).collect();
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

    /// As the owner of the divider's shard. Tells whether something has moved.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    async fn divide(&mut self, open: &OpenShards, notes: &[PartitionNote]) -> Result<bool, Closed> {
        let Some(assigned) = open.since.keys().find(|assigned| assigned.shard == Shard::DIVIDING).copied() else {
            self.divider = None;
            return Ok(false);
        };
        let known = self.divider.take().filter(|(divided, _)| *divided == assigned).map(|(_, divider)| divider);
        let mut divider = known.unwrap_or_else(|| Divider::new(open.ledger.as_deref(), self.partitions));
        let next = divider.next(notes, &self.budgets);
        if let Some(next) = &next {
            // Of a shard that is lost nothing comes of it, and a session that is over ends this.
            if self.write(assigned, ledger_of(next)).await? == WriteOutcome::Durable {
                divider = next.clone();
                let division = next.ledger().division;
                tracing::debug!(division, "budgets are divided anew among the partitions");
            }
        }
        self.shares.tell(assigned, divider.division());
        self.divider = Some((assigned, divider));
        Ok(next.is_some())
    }

    /// A transaction has a record at least, and each has the note beside it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    async fn write_note(&self, assigned: AssignedShard) -> Result<(), Closed> {
        let of_divider = self.divider.as_ref().filter(|(divided, _)| *divided == assigned);
        let value = match of_divider {
            Some((_, divider)) => ledger_of(divider),
            None => b"{}".to_vec(),
        };
        self.write(assigned, value).await.map(drop)
    }

    async fn write(&self, assigned: AssignedShard, value: Vec<u8>) -> Result<WriteOutcome, Closed> {
        let record = ShardRecord { assigned, key: LEDGER_KEY.to_owned(), value: Some(value) };
        self.queue.send_durably(QueuedWrite::ShardRecords(vec![record])).await
    }
}

fn ledger_of(divider: &Divider) -> Vec<u8> {
    divider.ledger().encode().expect("all of it are numbers and texts")
}
