//! The one writer: plans intakes into batches, and makes the batches durable one after the other.
//!
//! While a transaction is under way the next batch grows beside it, so the log never waits for planning. `State`
//! runs ahead of the log by those two batches; see [`crate::domain::state`] for why that needs no way back.

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
use super::queue::{IntakeReceiver, Queued};
use super::totals::Totals;
use crate::domain::batch::Batch;
use crate::domain::state::{State, Tally};

/// How often a batch is tried again before the log is opened anew.
pub const ATTEMPTS_MAX: u32 = 5;
/// The pause before the second attempt; each further one waits twice as long.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a transaction under way is waited for when the lease is recalled.
pub const RECALL_GRACE: Duration = Duration::from_secs(10);

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
    batch: Batch,
    tally: Tally,
    /// When it stops waiting for more; set by its first intake.
    deadline: Option<Instant>,
    /// Who wants to know when it is durable.
    waiting: Vec<oneshot::Sender<()>>,
}

/// What a transaction has made durable.
type Committed = (Tally, Arc<Batch>);
type Commit<L> = Pin<Box<dyn Future<Output = (L, Result<Committed, CommitError>)> + Send>>;

/// Where the log is: at hand, or inside the transaction under way.
enum Log<L> {
    Idle(L),
    Committing(Commit<L>),
}

impl<L: StateLog> Committer<L> {
    pub fn new(log: L, state: State, bounds: Bounds, totals: Arc<Totals>) -> Committer<L> {
        Committer { log, state, bounds, totals }
    }

    /// Writes until the queue is closed and drained, the lease is recalled, or the log fails. Gives the log back,
    /// unless it is lost in a transaction that did not end in time.
    pub async fn run(self, mut intakes: IntakeReceiver, recalled: CancellationToken) -> (Option<L>, Ended) {
        let Committer { log, mut state, bounds, totals } = self;
        let mut log = Log::Idle(log);
        let mut growing = Growing::new();
        let mut open = true;
        loop {
            if !open && growing.batch.is_empty() && matches!(log, Log::Idle(_)) {
                return (log.idle(), Ended::Drained);
            }
            if growing.batch.is_empty() && matches!(log, Log::Idle(_)) {
                // What they wait for needed no record, or stands in a batch before.
                tell(&mut growing.waiting);
            }
            let due = !open || growing.is_full(bounds) || growing.is_due();
            log = match log {
                Log::Idle(idle) if due && !growing.batch.is_empty() => {
                    let planned = std::mem::replace(&mut growing, Growing::new());
                    reach(CrashPoint::Planned);
                    Log::Committing(Box::pin(commit(idle, planned)))
                }
                log => log,
            };
            tokio::select! {
                biased;
                () = recalled.cancelled() => {
                    return match tokio::time::timeout(RECALL_GRACE, log.settled()).await {
                        Ok((log, Ok(committed))) => { count(&totals, committed); (Some(log), Ended::Recalled) }
                        Ok((log, Err(error))) => (Some(log), error.into()),
                        Err(_) => (None, Ended::Recalled),
                    };
                }
                (idle, result) = log.committed() => {
                    log = Log::Idle(idle);
                    match result {
                        Ok(committed) => count(&totals, Some(committed)),
                        Err(error) => return (log.idle(), error.into()),
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
        Growing { batch: Batch::default(), tally: Tally::default(), deadline: None, waiting: Vec::new() }
    }

    fn take(&mut self, queued: Queued, state: &mut State, bounds: Bounds) {
        let Queued { intake, durable, .. } = queued;
        let of = intake.feed();
        let tally = state.take(intake, &mut self.batch);
        if let Some((promoter, feed)) = of {
            let Tally { published, dead_lettered, known, behind, before_start } = tally;
            tracing::debug!(%promoter, %feed, published, dead_lettered, known, behind, before_start, "page taken");
        }
        self.tally += tally;
        self.waiting.extend(durable);
        if !self.batch.is_empty() {
            self.deadline.get_or_insert_with(|| Instant::now() + bounds.linger);
        }
    }

    fn is_full(&self, bounds: Bounds) -> bool {
        self.batch.records() >= bounds.events_max || self.batch.weight >= bounds.bytes_max
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
    async fn committed(&mut self) -> (L, Result<Committed, CommitError>) {
        match self {
            Log::Committing(commit) => commit.await,
            Log::Idle(_) => std::future::pending().await,
        }
    }

    /// The log, once no transaction is under way.
    async fn settled(self) -> (L, Result<Option<Committed>, CommitError>) {
        match self {
            Log::Idle(log) => (log, Ok(None)),
            Log::Committing(commit) => {
                let (log, result) = commit.await;
                (log, result.map(Some))
            }
        }
    }
}

fn count(totals: &Totals, committed: Option<Committed>) {
    if let Some((tally, batch)) = committed {
        totals.add(tally, &batch);
    }
}

fn tell(waiting: &mut Vec<oneshot::Sender<()>>) {
    for waiting in waiting.drain(..) {
        // Whoever waited may have been told to stop meanwhile.
        let _ = waiting.send(());
    }
}

async fn commit<L: StateLog>(mut log: L, planned: Growing) -> (L, Result<Committed, CommitError>) {
    let Growing { batch, tally, mut waiting, .. } = planned;
    let records = batch.records();
    let batch = Arc::new(batch);
    let span = tracing::info_span!("commit", pipeline = "polls", records, events = batch.events.len());
    let result = commit_again(&mut log, batch.clone(), records).instrument(span).await;
    if result.is_ok() {
        tell(&mut waiting);
    }
    (log, result.map(|()| (tally, batch)))
}

/// Commits one batch, again and again while it is certain that nothing of it was written, [`ATTEMPTS_MAX`] times at most.
/// `records` is how many it has, for the log.
pub async fn commit_again<L: CommitLog>(log: &mut L, batch: Arc<L::Batch>, records: usize) -> Result<(), CommitError> {
    let mut pause = ATTEMPT_PAUSE;
    for attempt in 1.. {
        let began = Instant::now();
        match log.commit(batch.clone()).await {
            Err(CommitError::NothingWritten(error)) if attempt < ATTEMPTS_MAX => {
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
