//! What this process holds of one topic's partitions, from one opening to the next: a claim on them, and a session with
//! its producer. The polls have one, and the commands have one.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::limits::LearnedLimits;
use super::{Failure, Written};
use crate::commit::log::{CommitError, OpenError};
use crate::kafka::client::rights::{self, Refusals};
use crate::kafka::client::settings::Settings;
use crate::kafka::group::joining::Claim;
use crate::kafka::group::membership::Assignment;
use crate::model::time::UnixMillis;

/// What the topics were like before a wait for partitions that was longer than this is looked at again after it.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// Lives as long as the process; clones share everything but the session.
pub(in crate::kafka) struct Tenure<S> {
    shared: Arc<Shared>,
    session: Option<Held<S>>,
}

struct Shared {
    settings: Settings,
    claim: Claim,
    limits: LearnedLimits,
    refusals: Refusals,
    topics_checked: CancellationToken,
}

/// Why a session did not start.
pub(in crate::kafka) enum StartFailure {
    Open(OpenError),
    /// Its first transaction failed.
    Transaction(Failure),
}

impl From<OpenError> for StartFailure {
    fn from(error: OpenError) -> StartFailure {
        StartFailure::Open(error)
    }
}

impl From<Failure> for StartFailure {
    fn from(failure: Failure) -> StartFailure {
        StartFailure::Transaction(failure)
    }
}

struct Held<S> {
    session: Arc<S>,
    assignment: Arc<Assignment>,
}

impl<S> Clone for Tenure<S> {
    fn clone(&self) -> Tenure<S> {
        Tenure { shared: self.shared.clone(), session: None }
    }
}

impl<S: Send + Sync + 'static> Tenure<S> {
    /// Of the partitions of `topic`, as a member of `group`.
    pub fn new(settings: Settings, group: String, topic: String) -> Tenure<S> {
        let shared = Shared {
            settings,
            claim: Claim::new(group, topic),
            limits: LearnedLimits::default(),
            refusals: Refusals::default(),
            topics_checked: CancellationToken::new(),
        };
        Tenure { shared: Arc::new(shared), session: None }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub fn topics_checked(&self) -> CancellationToken {
        self.shared.topics_checked.clone()
    }

    /// Prepares the topics, waits for partitions, and starts a session with them; `start` blocks.
    pub async fn open<P, F, R, E>(
        &mut self,
        prepare: impl Fn() -> F + Send,
        start: impl FnOnce(&LearnedLimits, P, Arc<Assignment>) -> Result<(S, R), E> + Send + 'static,
    ) -> Result<R, OpenError>
    where
        P: Send + 'static,
        F: Future<Output = Result<P, OpenError>> + Send,
        R: Send + 'static,
        E: Into<StartFailure>,
    {
        self.release().await;
        let mut prepared = prepare().await?;
        self.shared.topics_checked.cancel();
        let began = Instant::now();
        let assignment = self.shared.claim.acquire(&self.shared.settings).await?;
        if began.elapsed() > STALE_AFTER {
            prepared = match prepare().await {
                Ok(prepared) => prepared,
                Err(error) => {
                    self.release().await;
                    return Err(error);
                }
            };
        }
        let started = tokio::task::spawn_blocking({
            let (shared, assignment) = (self.shared.clone(), assignment.clone());
            move || -> Result<(S, R), StartFailure> {
                // A producer of its own would only fence the one of whoever comes next.
                if assignment.recalled.is_cancelled() {
                    return Err(OpenError::Again("the partitions were revoked before the log was open".into()).into());
                }
                start(&shared.limits, prepared, assignment).map_err(E::into)
            }
        });
        let started = started.await.map_err(|error| OpenError::Again(format!("opening the log: {error}")));
        match started.map_err(StartFailure::Open).and_then(|result| result) {
            Ok((session, opened)) => {
                self.session = Some(Held { session: Arc::new(session), assignment });
                Ok(opened)
            }
            Err(failure) => {
                let error = self.judge_start(failure, assignment.number);
                self.release().await;
                Err(error)
            }
        }
    }

    fn judge_start(&self, failure: StartFailure, assignment: u64) -> OpenError {
        let failure = match failure {
            StartFailure::Open(error) => return error,
            // It may not write at all, and only an operator can allow it.
            StartFailure::Transaction(Failure::NotAllowed { topic, reason }) => {
                return OpenError::Stop(rights::may_not_write(topic.as_deref(), &reason));
            }
            StartFailure::Transaction(failure) => failure,
        };
        match self.judge(failure, assignment) {
            CommitError::NothingWritten(reason) | CommitError::TooSlow(reason) | CommitError::Reopen(reason) => {
                OpenError::Again(reason)
            }
            CommitError::Stop(reason) => OpenError::Stop(reason),
        }
    }

    /// `commit` blocks.
    pub async fn commit(
        &self,
        commit: impl FnOnce(&S) -> Result<Written, Failure> + Send + 'static,
    ) -> Result<(), CommitError> {
        let Some(Held { session, assignment }) = &self.session else {
            return Err(CommitError::Reopen("the log is not open".into()));
        };
        let session = session.clone();
        let result = tokio::task::spawn_blocking(move || commit(&session)).await;
        let result = result.unwrap_or_else(|error| Err(Failure::Reopen(format!("transaction thread: {error}"))));
        let written = result.map_err(|failure| self.judge(failure, assignment.number))?;
        self.shared.refusals.taken(&written);
        Ok(())
    }

    pub async fn release(&mut self) {
        if let Some(Held { session, .. }) = self.session.take() {
            // The end of a session blocks until its threads have ended.
            let dropped = tokio::task::spawn_blocking(move || drop(session)).await;
            if let Err(error) = dropped {
                tracing::error!(%error, "closing the producer");
            }
        }
        self.shared.claim.release();
    }

    fn judge(&self, failure: Failure, assignment: u64) -> CommitError {
        match failure {
            Failure::NothingWritten(reason) | Failure::Refused { reason, .. } => CommitError::NothingWritten(reason),
            Failure::NotAllowed { topic, reason } => match &topic {
                Some(name) if self.shared.refusals.refused(name, Instant::now()) => {
                    CommitError::Stop(rights::may_not_write(topic.as_deref(), &reason))
                }
                _ => CommitError::NothingWritten(rights::may_not_write(topic.as_deref(), &reason)),
            },
            Failure::TooSlow(reason) => CommitError::TooSlow(reason),
            Failure::Reopen(reason) => CommitError::Reopen(reason),
            Failure::Recalled(reason) => {
                self.shared.claim.refuse(assignment);
                CommitError::Reopen(reason)
            }
            Failure::TooLarge { topic, reason } => {
                self.shared.limits.refused(&topic);
                CommitError::Reopen(reason)
            }
            Failure::WrongTime { topic, time, reason } => {
                let now = UnixMillis(jiff::Timestamp::now().as_millisecond());
                self.shared.limits.refused_time(&topic, time, now);
                CommitError::Reopen(format!("{reason}; is the clock of the broker, or of this host, wrong?"))
            }
        }
    }
}
