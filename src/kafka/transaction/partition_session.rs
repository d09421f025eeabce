//! What this process holds of one topic's partitions: for as long as it runs a membership of their group, and from one opening of
//! the log to the next a session with its producer. The polls have one, and the requests have one.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Written;
use super::error::TransactionError;
use super::holding::Holding;
use super::limits::LearnedLimits;
use crate::commit::log::{CommitError, LogError, OpenError};
use crate::kafka::client::rights::Refusals;
use crate::kafka::client::settings::Settings;
use crate::kafka::group::observer::LogObservers;
use crate::telemetry::health::{PipelineHealth, TransactionOutcome};

/// What the topics were like before a wait for partitions that was longer than this is looked at again after it.
const STALE_AFTER: Duration = Duration::from_secs(10);
/// How often one that waits for partitions looks whether it is in the group by now.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Lives as long as the process; clones share everything but the session.
pub struct PartitionSession<S, H> {
    shared: Arc<ProcessPart<H>>,
    session: Option<Arc<S>>,
}

struct ProcessPart<H> {
    settings: Settings,
    holding: H,
    limits: LearnedLimits,
    refusals: Refusals,
    topics_checked: CancellationToken,
    health: Arc<PipelineHealth>,
    /// What the log calls the pipeline.
    pipeline: &'static str,
}

/// Why a session did not start.
pub enum StartError {
    Open(OpenError),
    /// Its first transaction failed.
    Transaction(TransactionError),
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> StartError {
        StartError::Open(error)
    }
}

impl From<TransactionError> for StartError {
    fn from(failure: TransactionError) -> StartError {
        StartError::Transaction(failure)
    }
}

/// A topic takes no record of this time. The guess at what to look at stands behind the causes, so they are told with it.
#[derive(Debug, thiserror::Error)]
#[error("{}; is the clock of the broker, or of this host, wrong?", .0.with_causes())]
struct SuspectClock(LogError);

impl<S, H> Clone for PartitionSession<S, H> {
    fn clone(&self) -> PartitionSession<S, H> {
        PartitionSession { shared: self.shared.clone(), session: None }
    }
}

impl<S: Send + Sync + 'static, H: Holding> PartitionSession<S, H> {
    /// Of the partitions of `topic`, as a member of `group`. That the brokers answer, what is owned, and who else is in the group, is
    /// noted.
    pub fn new(settings: Settings, group: String, topic: String, observers: LogObservers) -> PartitionSession<S, H> {
        let LogObservers { pipeline, health, ownership } = observers;
        let shared = ProcessPart {
            settings,
            holding: H::new(group, topic, ownership, health.clone()),
            limits: LearnedLimits::default(),
            refusals: Refusals::default(),
            topics_checked: CancellationToken::new(),
            health,
            pipeline,
        };
        PartitionSession { shared: Arc::new(shared), session: None }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub fn topics_checked(&self) -> CancellationToken {
        self.shared.topics_checked.clone()
    }

    /// Prepares the topics, waits for partitions, and starts a session with them; `start` blocks.
    ///
    /// The order matters. What was held is let go first, or this process would wait for itself. The topics are prepared
    /// before the group is joined: whoever can't work with them takes no partitions from those who can. And `start` gets what
    /// the topics are like now, not what they were like before a long wait. Whatever fails once the assignment is in use,
    /// ends in [`release`](Self::release).
    ///
    /// # Errors
    /// [`OpenError`] of `prepare`, of the holding, or of `start`: by it whether this may be tried again.
    pub async fn open<P, F, R, E>(
        &mut self,
        prepare: impl Fn() -> F + Send,
        start: impl FnOnce(&LearnedLimits, P, H::Held) -> Result<(S, R), E> + Send + 'static,
    ) -> Result<R, OpenError>
    where
        P: Send + 'static,
        F: Future<Output = Result<P, OpenError>> + Send,
        R: Send + 'static,
        E: Into<StartError>,
    {
        self.release().await;
        let prepared = prepare().await?;
        self.shared.topics_checked.cancel();
        self.shared.health.answered();
        let began = Instant::now();
        let held = self.acquire().await?;
        // A standby may have waited for days.
        let prepared = if began.elapsed() > STALE_AFTER { prepare().await } else { Ok(prepared) };
        let started = match prepared {
            Ok(prepared) => self.start(prepared, held, start).await,
            Err(error) => Err(StartError::Open(error)),
        };
        match started {
            Ok((session, opened)) => {
                self.session = Some(Arc::new(session));
                self.shared.health.answered();
                Ok(opened)
            }
            Err(failure) => {
                let error = self.classify_start(failure);
                self.release().await;
                Err(error)
            }
        }
    }

    /// Waits until something is owned, and notes meanwhile that this process stands by.
    ///
    /// # Errors
    /// [`OpenError`] where nothing will ever be owned.
    async fn acquire(&self) -> Result<H::Held, OpenError> {
        let ProcessPart { settings, holding, health, .. } = &*self.shared;
        let standing_by = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                if holding.is_member() {
                    health.stands_by();
                }
            }
        };
        tokio::select! {
            held = holding.acquire(settings) => held,
            () = standing_by => unreachable!("it looks on without end"),
        }
    }

    /// Runs `start` where it may block.
    ///
    /// # Errors
    /// That of `start`; [`OpenError::Again`] where it was not run to its end.
    async fn start<P, R, E>(
        &self,
        prepared: P,
        held: H::Held,
        start: impl FnOnce(&LearnedLimits, P, H::Held) -> Result<(S, R), E> + Send + 'static,
    ) -> Result<(S, R), StartError>
    where
        P: Send + 'static,
        R: Send + 'static,
        E: Into<StartError>,
    {
        let shared = self.shared.clone();
        let started = tokio::task::spawn_blocking(move || start(&shared.limits, prepared, held).map_err(E::into));
        started.await.unwrap_or_else(|error| Err(OpenError::Again(LogError::because("opening the log", error)).into()))
    }

    fn classify_start(&self, failure: StartError) -> OpenError {
        let failure = match failure {
            StartError::Open(error) => return error,
            // It may not write at all, and only an operator can allow it.
            StartError::Transaction(error @ TransactionError::NotAllowed { .. }) => {
                return OpenError::Stop(LogError::new(error));
            }
            StartError::Transaction(failure) => failure,
        };
        match self.classify(failure) {
            CommitError::NothingWritten(reason) | CommitError::TooSlow(reason) | CommitError::Reopen(reason) => {
                OpenError::Again(reason)
            }
            lost @ CommitError::ShardsLost(_) => OpenError::Again(LogError::new(lost)),
            CommitError::Stop(reason) => OpenError::Stop(reason),
        }
    }

    /// `commit` blocks.
    ///
    /// # Errors
    /// [`CommitError`], by whether it is certain that nothing was written. Where the log is not open that is
    /// [`CommitError::Reopen`].
    pub async fn commit(
        &self,
        commit: impl FnOnce(&S) -> Result<Written, TransactionError> + Send + 'static,
    ) -> Result<(), CommitError> {
        let Some(session) = &self.session else {
            return Err(CommitError::Reopen("the log is not open".into()));
        };
        let (session, began) = (session.clone(), Instant::now());
        // Whoever drops this future leaves the transaction to its thread, which has a share in the session, and ends it; the
        // next opening fences it.
        let result = tokio::task::spawn_blocking(move || commit(&session)).await;
        let result = result
            .unwrap_or_else(|error| Err(TransactionError::Reopen(LogError::because("transaction thread", error))));
        if let Some(outcome) = outcome(&result) {
            self.shared.health.transaction(outcome, began.elapsed());
        }
        let written = result.map_err(|failure| self.classify(failure))?;
        self.shared.refusals.taken(&written);
        Ok(())
    }

    pub async fn release(&mut self) {
        if let Some(session) = self.session.take() {
            // The end of a session blocks until its threads have ended.
            let dropped = tokio::task::spawn_blocking(move || drop(session)).await;
            if let Err(error) = dropped {
                tracing::error!(%error, "closing the producer");
            }
        }
        self.shared.holding.release();
    }

    fn say_fenced(&self, by: &str, reason: &LogError) {
        let (pipeline, error) = (self.shared.pipeline, reason.with_causes());
        tracing::warn!(pipeline, by, error, "fenced");
    }

    fn classify(&self, failure: TransactionError) -> CommitError {
        match failure {
            TransactionError::NothingWritten(reason)
            | TransactionError::NoteTooLarge(reason)
            | TransactionError::Refused { reason, .. } => CommitError::NothingWritten(reason),
            TransactionError::NotAllowed { ref topic, .. } => match topic {
                Some(topic) if self.shared.refusals.refused(topic, Instant::now()) => {
                    CommitError::Stop(LogError::new(failure))
                }
                // A grant may not have reached every broker yet; and where no topic is named, nobody could tell since when it
                // refuses.
                _ => CommitError::NothingWritten(LogError::new(failure)),
            },
            TransactionError::TooSlow(reason) => CommitError::TooSlow(reason),
            TransactionError::Final(reason) => CommitError::Stop(reason),
            TransactionError::ShardsLost(lost) => CommitError::ShardsLost(lost),
            TransactionError::Reopen(reason) => CommitError::Reopen(reason),
            TransactionError::Fenced(reason) => {
                self.say_fenced(
                    "another producer of its transactional.id: of a process under its name, or of who took over",
                    &reason,
                );
                CommitError::Reopen(reason)
            }
            TransactionError::Revoked(reason) => {
                self.say_fenced("a newer generation of its group", &reason);
                self.shared.holding.refused();
                CommitError::Reopen(reason)
            }
            TransactionError::TooLarge { topic, reason } => {
                self.shared.limits.refused(&topic);
                CommitError::Reopen(reason)
            }
            TransactionError::WrongTime { topic, time, reason } => {
                let now = crate::clock::now();
                self.shared.limits.refused_time(&topic, time, now);
                CommitError::Reopen(LogError::new(SuspectClock(reason)))
            }
        }
    }
}

/// How a transaction ended; nothing where none was begun.
fn outcome(result: &Result<Written, TransactionError>) -> Option<TransactionOutcome> {
    match result {
        Ok(_) => Some(TransactionOutcome::Committed),
        Err(TransactionError::ShardsLost(_)) => None,
        Err(TransactionError::Revoked(_) | TransactionError::Fenced(_)) => Some(TransactionOutcome::Fenced),
        Err(TransactionError::Reopen(_)) => Some(TransactionOutcome::Unknown),
        Err(
            TransactionError::NothingWritten(_)
            | TransactionError::NoteTooLarge(_)
            | TransactionError::Refused { .. }
            | TransactionError::NotAllowed { .. }
            | TransactionError::TooSlow(_)
            | TransactionError::Final(_)
            | TransactionError::TooLarge { .. }
            | TransactionError::WrongTime { .. },
        ) => Some(TransactionOutcome::Aborted),
    }
}
