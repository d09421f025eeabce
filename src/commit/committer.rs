//! The one writer: plans intakes into batches, and makes the batches durable one after the other.
//!
//! While a transaction is under way the next batch grows beside it, so the log never waits for planning. `State`
//! runs ahead of the log by those two batches; see [`crate::model::state`] for why that needs no way back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::crash_point::{CrashPoint, reach};
use super::log::{CommitError, CommitLog, Ended, StateLog};
use super::pace::Pace;
use super::planned::Planned;
use super::queue::{IntakeReceiver, Queued};
use super::totals::Totals;
use crate::model::batch::Batch;
use crate::model::state::{State, Tally};

/// How often a batch is tried again before the log is opened anew.
pub const ATTEMPTS_MAX: u32 = 5;
/// The pause before the second attempt; each further one waits twice as long.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);
/// What an operator can do about a transaction that takes too long.
const REMEDY: &str = "lower commit.bytes_max, or raise \"transaction.timeout.ms\" in [kafka]";
/// How long a transaction under way is waited for when the lease is revoked.
pub const REVOCATION_GRACE: Duration = Duration::from_secs(10);

/// When intakes stop being added to a batch.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a batch waits for more, from its first intake on.
    pub linger: Duration,
    pub events_max: usize,
    pub bytes_max: usize,
}

pub struct Committer<L> {
    log: L,
    state: State,
    bounds: Bounds,
    totals: Arc<Totals>,
}

/// A batch that grows.
struct Growing {
    planned: Planned,
    /// When it stops waiting for more; set by its first intake.
    deadline: Option<Instant>,
    /// Who wants to know when it is durable.
    waiting: Vec<oneshot::Sender<()>>,
}

/// How the commit of a planned batch went.
struct Outcome {
    /// What became durable, in as many transactions.
    committed: Vec<(Tally, Arc<Batch>)>,
    /// Records and bytes of the smallest part that the log was too slow for.
    too_slow: Option<(usize, usize)>,
    took: Duration,
    result: Result<(), CommitError>,
}

type Commit<L> = Pin<Box<dyn Future<Output = (L, Outcome)> + Send>>;

/// Where the log is: at hand, or inside the transaction under way.
enum Log<L> {
    Idle(L),
    Committing(Commit<L>),
}

impl<L: StateLog> Committer<L> {
    pub fn new(log: L, state: State, bounds: Bounds, totals: Arc<Totals>) -> Committer<L> {
        Committer { log, state, bounds, totals }
    }

    /// Writes until the queue is closed and drained, the lease is revoked, or the log fails. Gives the log back,
    /// unless it is lost in a transaction that did not end in time.
    pub async fn run(self, mut intakes: IntakeReceiver, revoked: CancellationToken) -> (Option<L>, Ended) {
        let Committer { log, mut state, bounds, totals } = self;
        let mut log = Log::Idle(log);
        let mut growing = Growing::new();
        let mut pace = Pace::new(bounds);
        let mut open = true;
        loop {
            let bounds = pace.bounds();
            if !open && growing.is_empty() && matches!(log, Log::Idle(_)) {
                return (log.idle(), Ended::Drained);
            }
            if growing.is_empty() && matches!(log, Log::Idle(_)) {
                // What they wait for needed no record, or stands in a batch before.
                tell(&mut growing.waiting);
            }
            let due = !open || growing.is_full(bounds) || growing.is_due();
            log = match log {
                Log::Idle(idle) if due && !growing.is_empty() => {
                    let planned = std::mem::replace(&mut growing, Growing::new());
                    reach(CrashPoint::Planned);
                    Log::Committing(Box::pin(commit(idle, planned)))
                }
                log => log,
            };
            tokio::select! {
                biased;
                () = revoked.cancelled() => {
                    return match tokio::time::timeout(REVOCATION_GRACE, log.settled()).await {
                        Ok((log, Some(outcome))) => {
                            (Some(log), outcome.conclude(&totals).map_or_else(Ended::from, |()| Ended::Revoked))
                        }
                        Ok((log, None)) => (Some(log), Ended::Revoked),
                        // Nobody knows what becomes of it: this is no end in order.
                        Err(_) => {
                            (None, Ended::Reopen("a transaction did not end before its partitions were given back".into()))
                        }
                    };
                }
                (idle, outcome) = log.committed() => {
                    log = Log::Idle(idle);
                    match outcome.too_slow {
                        Some((records, bytes)) => pace.too_slow(records, bytes),
                        None => pace.took(outcome.took),
                    }
                    if let Err(error) = outcome.conclude(&totals) {
                        return (log.idle(), error.into());
                    }
                }
                queued = intakes.receive(), if open && !growing.is_full(bounds) => match queued {
                    Some(queued) => growing.take(queued, &mut state, bounds),
                    None => open = false,
                },
                () = growing.wait(), if !growing.is_due() && matches!(log, Log::Idle(_)) => {}
            }
        }
    }
}

impl Growing {
    fn new() -> Growing {
        Growing { planned: Planned::default(), deadline: None, waiting: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.planned.batch.is_empty()
    }

    fn take(&mut self, queued: Queued, state: &mut State, bounds: Bounds) {
        let Queued { intake, durable, .. } = queued;
        let of = intake.feed();
        let tally = self.planned.take(intake, state);
        if let Some((promoter, feed)) = of {
            let Tally { published, dead_lettered, known, behind, before_start } = tally;
            tracing::debug!(%promoter, %feed, published, dead_lettered, known, behind, before_start, "page taken");
        }
        self.waiting.extend(durable);
        if !self.is_empty() {
            self.deadline.get_or_insert_with(|| Instant::now() + bounds.linger);
        }
    }

    fn is_full(&self, bounds: Bounds) -> bool {
        let batch = &self.planned.batch;
        batch.records() >= bounds.events_max || batch.weight >= bounds.bytes_max
    }

    fn is_due(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Until the batch is due; for ever while it is empty.
    async fn wait(&self) {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}

impl<L> Log<L> {
    fn idle(self) -> Option<L> {
        match self {
            Log::Idle(log) => Some(log),
            Log::Committing(_) => None,
        }
    }

    /// Until the transaction under way has ended; for ever when there is none.
    async fn committed(&mut self) -> (L, Outcome) {
        match self {
            Log::Committing(commit) => commit.await,
            Log::Idle(_) => std::future::pending().await,
        }
    }

    /// The log, once no transaction is under way.
    async fn settled(self) -> (L, Option<Outcome>) {
        match self {
            Log::Idle(log) => (log, None),
            Log::Committing(commit) => {
                let (log, outcome) = commit.await;
                (log, Some(outcome))
            }
        }
    }
}

impl Outcome {
    /// Counts what became durable, also where the rest did not.
    fn conclude(self, totals: &Totals) -> Result<(), CommitError> {
        self.committed.iter().for_each(|(tally, batch)| totals.add(*tally, batch));
        self.result
    }
}

fn tell(waiting: &mut Vec<oneshot::Sender<()>>) {
    for waiting in waiting.drain(..) {
        // Whoever waited may have been told to stop meanwhile.
        let _ = waiting.send(());
    }
}

async fn commit<L: StateLog>(mut log: L, growing: Growing) -> (L, Outcome) {
    let Growing { planned, mut waiting, .. } = growing;
    let mut outcome = Outcome { committed: Vec::new(), too_slow: None, took: Duration::ZERO, result: Ok(()) };
    // The last of them is the next.
    let mut parts = vec![planned];
    while let Some(part) = parts.pop() {
        let began = Instant::now();
        let (records, bytes) = (part.batch.records(), part.batch.weight);
        if part.may_be_halved() && outcome.too_slow.is_some_and(|(_, least)| bytes >= least) {
            let [first, second] = part.halved();
            parts.extend([second, first]);
            continue;
        }
        let span = tracing::info_span!("commit", pipeline = "polls", records, events = part.batch.events.len());
        let may_split = part.may_be_halved();
        let result = attempts(&mut log, part.batch.clone(), records, may_split).instrument(span).await;
        outcome.took = outcome.took.max(began.elapsed());
        match result {
            Ok(()) => outcome.committed.push((part.tally(), part.batch)),
            Err(CommitError::TooSlow(error)) if may_split => {
                tracing::warn!(records, bytes, %error, remedy = REMEDY, "a transaction took too long: it is split");
                outcome.too_slow = Some((records, bytes));
                let [first, second] = part.halved();
                parts.extend([second, first]);
            }
            Err(error) => {
                outcome.result = Err(error);
                return (log, outcome);
            }
        }
    }
    tell(&mut waiting);
    (log, outcome)
}

/// Commits one batch, again and again while it is certain that nothing of it was written, [`ATTEMPTS_MAX`] times at most.
/// `records` is how many it has, for the log. One that took too long is not tried again where it `may_split`.
pub async fn attempts<L: CommitLog>(
    log: &mut L,
    batch: Arc<L::Batch>,
    records: usize,
    may_split: bool,
) -> Result<(), CommitError> {
    let mut pause = ATTEMPT_PAUSE;
    for attempt in 1.. {
        let began = Instant::now();
        match log.commit(batch.clone()).await {
            Err(CommitError::TooSlow(error)) if may_split => return Err(CommitError::TooSlow(error)),
            Err(CommitError::NothingWritten(error) | CommitError::TooSlow(error)) if attempt < ATTEMPTS_MAX => {
                tracing::warn!(attempt, records, %error, "transaction aborted, trying again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            result => {
                let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
                tracing::debug!(attempt, records, milliseconds, committed = result.is_ok(), "transaction ended");
                return result;
            }
        }
    }
    unreachable!("the loop ends in a return")
}

#[cfg(test)]
mod tests;
