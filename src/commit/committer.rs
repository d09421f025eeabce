//! The one writer: plans writes into batches, and makes the batches durable one after the other.
//!
//! While a transaction is under way the next batch grows beside it, so the log never waits for planning. `State`
//! runs ahead of the log by those two batches; see [`crate::model::state`] for why that needs no way back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Instrument;

use super::attempts::attempts;
use super::batch_trace::BatchTrace;
use super::failpoint::{Failpoint, reach};
use super::feed_rows::FeedRows;
use super::log::{CommitError, Ended, StateLog};
use super::log_state::{LogState, until};
use super::pace::{BatchBounds, BatchPace};
use super::planned::PlannedBatch;
use super::queue::{Received, ReceivedWrite, WriteOutcome, WriteReceiver};
use super::totals::CommitTotals;
use crate::model::batch::Batch;
use crate::model::disposition::RowCounts;
use crate::model::shard::AssignedShard;
use crate::model::shards::{Shards, WriteShards};
use crate::telemetry::health::HEARTBEAT_EVERY;
use crate::telemetry::pipeline;

/// What an operator can do about a transaction that takes too long.
const REMEDY: &str = "lower commit.bytes_max, or raise \"transaction.timeout.ms\" in [kafka]";

/// The one writer of a session: owns the log and the states of all [`Shards`], and nobody else changes either. It ends with the
/// session; the next one has a committer and states of its own, read from the topic.
pub struct Committer<L> {
    log: L,
    shards: Shards,
    bounds: BatchBounds,
    totals: Arc<CommitTotals>,
}

/// A batch that grows.
struct Growing {
    planned: PlannedBatch,
    /// When it stops waiting for more: a linger after its first write, and at once where somebody waits for one.
    deadline: Option<Instant>,
    /// Who wants to know what has become of their writes.
    waiting: Vec<WaitingWrite>,
    trace: BatchTrace,
}

/// A write whose end somebody waits for.
struct WaitingWrite {
    outcome: oneshot::Sender<WriteOutcome>,
    /// None where they were not there when it was planned.
    shards: WriteShards,
}

/// How the commit of a planned batch went.
struct CommitOutcome {
    /// What became durable, in as many transactions.
    committed: Vec<(FeedRows, Arc<Batch>)>,
    /// Records and bytes of the smallest part that the log was too slow for.
    too_slow: Option<(usize, usize)>,
    /// Shards whose part was dropped, for they are not this instance's any more.
    lost: Vec<AssignedShard>,
    took: Duration,
    result: Result<(), CommitError>,
}

impl<L: StateLog> Committer<L> {
    /// Shards come through the queue; `shards` has those that are there from the beginning.
    pub fn new(log: L, shards: Shards, bounds: BatchBounds, totals: Arc<CommitTotals>) -> Committer<L> {
        Committer { log, shards, bounds, totals }
    }

    /// Writes until the queue is closed and drained, or the log fails. Gives the log back.
    pub async fn run(self, mut writes: WriteReceiver) -> (Option<L>, Ended) {
        let Committer { log, mut shards, bounds, totals } = self;
        let mut log = LogState::Idle(log);
        let mut growing = Growing::new();
        let mut pace = BatchPace::new(bounds);
        let mut open = true;
        // However long nothing comes.
        let mut heartbeats = tokio::time::interval(HEARTBEAT_EVERY);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            totals.health.work_waits(!log.is_idle() || !growing.is_empty());
            // They shrink while the log is slow. What has grown beyond them meanwhile goes as it is.
            let bounds = pace.bounds();
            if log.is_idle() && growing.is_empty() {
                // Nothing is planned and nothing is under way, so all that was to be written is durable.
                if !open {
                    return (log.idle(), Ended::Drained);
                }
                // What they wait for needed no record, or stands in a batch before.
                tell(&mut growing.waiting, &[]);
            }
            // Once the queue is closed there is nothing more to wait for.
            if !open || growing.is_full(bounds) || growing.is_due() {
                log = log.begin(&mut growing);
            }
            // Each arm may be dropped and called again, so nothing is lost where another one is ready first.
            tokio::select! {
                // The end of a transaction first, which lets the next one begin.
                biased;
                (idle, outcome) = log.committed() => {
                    log = LogState::Idle(idle);
                    pace.learn(&outcome);
                    // Before anything more is planned: what was planned on top of the part that is lost goes with it.
                    growing.lose(&outcome.lost, &mut shards);
                    if let Err(error) = outcome.conclude(&totals) {
                        // What has grown is dropped with the states: it was planned on top of what may not be durable.
                        return (log.idle(), error.into());
                    }
                    totals.figures.remembers(shards.facts());
                }
                // A full batch takes no more while the log is busy: then the queue fills, and its senders wait.
                queued = writes.receive(), if open && !growing.is_full(bounds) => match queued {
                    // Planning awaits nothing: what a write changes in the states and in the batch changes in one go.
                    Some(received) => growing.receive(received, &mut shards, bounds),
                    None => open = false,
                },
                // While a transaction is under way its end is what is waited for, whenever the batch is due.
                () = growing.wait(), if !growing.is_due() && log.is_idle() => {}
                // Last, but never starved: a full batch takes no more from the queue, and then this is looked at.
                _ = heartbeats.tick() => totals.figures.remembers(shards.facts()),
            }
        }
    }
}

impl BatchPace {
    fn learn(&mut self, outcome: &CommitOutcome) {
        match outcome.too_slow {
            Some((records, bytes)) => self.too_slow(records, bytes),
            None => self.took(outcome.took),
        }
    }
}

impl Growing {
    fn new() -> Growing {
        Growing { planned: PlannedBatch::default(), deadline: None, waiting: Vec::new(), trace: BatchTrace::default() }
    }

    fn is_empty(&self) -> bool {
        self.planned.batch.is_empty()
    }

    fn receive(&mut self, received: Received, shards: &mut Shards, bounds: BatchBounds) {
        match received {
            Received::Write(write) => self.take(write, shards, bounds),
            // Whoever asked may be gone meanwhile.
            Received::CursorsRequest(request) => drop(request.reply.send(shards.cursors_of(&request.promoters))),
            // It stands in the queue before every page of these shards, so none of them meets a state that is not there.
            Received::ShardsOpened(opened) => {
                opened.into_iter().for_each(|(assigned, state)| shards.open(assigned, state));
            }
            // Behind their last page. Of what is under way of them the broker decides.
            Received::ShardsClosed(closed) => self.lose(&closed, shards),
        }
    }

    fn take(&mut self, queued: ReceivedWrite, shards: &mut Shards, bounds: BatchBounds) {
        let ReceivedWrite { write, outcome, poll, .. } = queued;
        let of = write.feed();
        let (counts, planned_in) = self.planned.take(write, shards);
        if let Some((promoter, feed)) = of {
            let RowCounts { published, dead_lettered, duplicates, behind_cursor, before_start } = counts;
            tracing::debug!(%promoter, %feed, published, dead_lettered, duplicates, behind_cursor, before_start, "page taken");
        }
        self.trace.take(poll, counts, &planned_in);
        // Nobody is kept waiting for more.
        let due = Instant::now() + if outcome.is_some() { Duration::ZERO } else { bounds.linger };
        self.waiting.extend(outcome.map(|outcome| WaitingWrite { outcome, shards: planned_in }));
        // A write that led to nothing new has nothing to wait for.
        // One that is waited for hurries all those before it, too: a batch goes as a whole, and in its order.
        if !self.is_empty() {
            self.deadline = Some(self.deadline.map_or(due, |deadline| deadline.min(due)));
        }
    }

    /// Drops what was planned of shards that were lost meanwhile, and plans no more of them.
    fn lose(&mut self, lost: &[AssignedShard], shards: &mut Shards) {
        if lost.is_empty() {
            return;
        }
        lost.iter().for_each(|assigned| shards.close(*assigned));
        self.planned = std::mem::take(&mut self.planned).without(lost);
        let mut of_lost: Vec<WaitingWrite> = self.waiting.extract_if(.., |waiting| waiting.is_of(lost)).collect();
        tell(&mut of_lost, lost);
        self.trace.lose(lost);
        // Or the next write would be hurried by one that is gone.
        if self.is_empty() {
            self.deadline = None;
        }
    }

    fn is_full(&self, bounds: BatchBounds) -> bool {
        let batch = &self.planned.batch;
        // Looked at before a write is taken, so a batch may pass its bounds by one: a write is never split.
        batch.records() >= bounds.events_max || batch.weight >= bounds.bytes_max
    }

    fn is_due(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Until the batch is due; for ever while it is empty.
    async fn wait(&self) {
        until(self.deadline).await;
    }
}

impl<L: StateLog> LogState<L, CommitOutcome> {
    /// Begins the commit of what has grown, if there is anything and no other is under way.
    fn begin(self, growing: &mut Growing) -> LogState<L, CommitOutcome> {
        match self {
            LogState::Idle(log) if !growing.is_empty() => {
                // With those who wait for it, whose writes stand in it.
                let planned = std::mem::replace(growing, Growing::new());
                reach(Failpoint::Planned);
                LogState::Committing(Box::pin(traced_commit(log, planned)))
            }
            state => state,
        }
    }
}

impl CommitOutcome {
    /// Of a commit that has done nothing yet.
    fn begin() -> CommitOutcome {
        CommitOutcome { committed: Vec::new(), too_slow: None, lost: Vec::new(), took: Duration::ZERO, result: Ok(()) }
    }

    /// Counts what became durable, also where the rest did not.
    ///
    /// # Errors
    /// That of the part that ended the commit, behind which nothing was tried: the session ends with it.
    fn conclude(self, totals: &CommitTotals) -> Result<(), CommitError> {
        self.committed.iter().for_each(|(rows, batch)| totals.add(rows, batch));
        self.result
    }
}

impl WaitingWrite {
    /// Whether one of `lost` is among its shards.
    fn is_of(&self, lost: &[AssignedShard]) -> bool {
        self.shards.iter().any(|shard| lost.contains(shard))
    }
}

/// Tells everybody that their writes are durable, but for those of `lost` shards and of such as were not there.
fn tell(waiting: &mut Vec<WaitingWrite>, lost: &[AssignedShard]) {
    for waiting in waiting.drain(..) {
        let is_lost = waiting.shards.is_empty() || waiting.is_of(lost);
        // Whoever waited may have been told to stop meanwhile.
        let _ = waiting.outcome.send(if is_lost { WriteOutcome::ShardLost } else { WriteOutcome::Durable });
    }
}

/// As [`commit`], told to the traces of the polls whose pages are in the batch.
async fn traced_commit<L: StateLog>(log: L, mut growing: Growing) -> (L, CommitOutcome) {
    let trace = growing.trace.begin(&growing.planned.batch);
    let (log, outcome) = commit(log, growing).await;
    if let Some(trace) = trace {
        trace.end(&outcome.lost, outcome.result.as_ref().err());
    }
    (log, outcome)
}

/// Commits a batch: as a whole, or in parts where the log is too slow for that. Whoever waits for it is told once all of it is
/// durable; after an error the rest of the parts is dropped.
async fn commit<L: StateLog>(mut log: L, growing: Growing) -> (L, CommitOutcome) {
    let Growing { planned, mut waiting, .. } = growing;
    let mut outcome = CommitOutcome::begin();
    // The last of them is the next.
    let mut parts = vec![planned];
    while let Some(part) = parts.pop() {
        let began = Instant::now();
        let (records, bytes) = (part.batch.records(), part.batch.weight);
        // What was too slow once in this batch is not tried in the same size again.
        if part.may_be_halved() && outcome.too_slow.is_some_and(|(_, least)| bytes >= least) {
            push_halves(&mut parts, part);
            continue;
        }
        let span = tracing::info_span!("commit", pipeline = pipeline::POLLS, records, events = part.batch.events.len());
        let may_split = part.may_be_halved();
        let result = attempts(&mut log, part.batch.clone(), records, may_split).instrument(span).await;
        // The slowest part counts: what the pace bounds is one transaction, and not the batch.
        outcome.took = outcome.took.max(began.elapsed());
        match result {
            Ok(()) => outcome.committed.push((part.rows(), part.batch)),
            Err(CommitError::TooSlow(error)) if may_split => {
                let error = error.with_causes();
                tracing::warn!(records, bytes, %error, remedy = REMEDY, "a transaction took too long: it is split");
                // Parts only get smaller, so the latest one is the smallest.
                outcome.too_slow = Some((records, bytes));
                push_halves(&mut parts, part);
            }
            Err(CommitError::ShardsLost(lost)) => {
                tracing::info!(
                    records,
                    shards = lost.len(),
                    "shards are not owned any more: what was not written of them is left to their owners"
                );
                // Each time at least one of the part's shards goes, so this comes to an end.
                let left = part.without(&lost);
                outcome.lost.extend(lost);
                // Nothing of the part was written, so what is left of it comes before the parts behind it.
                if !left.batch.is_empty() {
                    parts.push(left);
                }
            }
            Err(error) => {
                // The parts behind it are not tried: what they hold was planned on top of this one.
                // Nor is anybody told: the session ends with this, as whoever waits sees by a channel that is dropped.
                outcome.result = Err(error);
                return (log, outcome);
            }
        }
    }
    tell(&mut waiting, &outcome.lost);
    (log, outcome)
}

/// The first half is taken next: parts become durable in the order in which they were planned.
fn push_halves(parts: &mut Vec<PlannedBatch>, part: PlannedBatch) {
    let [first, second] = part.halved();
    parts.extend([second, first]);
}

#[cfg(test)]
mod tests;
