//! What this process holds of one topic's partitions, from one opening to the next: a claim on them, and a session with
//! its producer. The polls have one, and the commands have one.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::limits::LearnedLimits;
use super::ownership::Assignment;
use super::settings::Settings;
use super::transaction::Failure;
use crate::commit::log::{CommitError, OpenError};

/// What the topics were like before a wait for partitions that was longer than this is looked at again after it.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// Lives as long as the process; clones share everything but the session.
pub(super) struct Tenure<S> {
    shared: Arc<Shared>,
    session: Option<Held<S>>,
}

struct Shared {
    settings: Settings,
    claim: Claim,
    limits: LearnedLimits,
    topics_checked: CancellationToken,
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
            topics_checked: CancellationToken::new(),
        };
        Tenure { shared: Arc::new(shared), session: None }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub fn topics_checked(&self) -> CancellationToken {
        self.shared.topics_checked.clone()
    }

    /// Prepares the topics, waits for partitions, and starts a session with them; `start` blocks.
    pub async fn open<P, F, R>(
        &mut self,
        prepare: impl Fn() -> F + Send,
        start: impl FnOnce(&LearnedLimits, P, Arc<Assignment>) -> Result<(S, R), OpenError> + Send + 'static,
    ) -> Result<R, OpenError>
    where
        P: Send + 'static,
        F: Future<Output = Result<P, OpenError>> + Send,
        R: Send + 'static,
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
            move || start(&shared.limits, prepared, assignment)
        });
        let started = started.await.map_err(|error| OpenError::Again(format!("opening the log: {error}")));
        match started.and_then(|result| result) {
            Ok((session, opened)) => {
                self.session = Some(Held { session: Arc::new(session), assignment });
                Ok(opened)
            }
            Err(error) => {
                self.release().await;
                Err(error)
            }
        }
    }

    /// `commit` blocks.
    pub async fn commit(
        &self,
        commit: impl FnOnce(&S) -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), CommitError> {
        let Some(Held { session, assignment }) = &self.session else {
            return Err(CommitError::Reopen("the log is not open".into()));
        };
        let session = session.clone();
        let result = tokio::task::spawn_blocking(move || commit(&session)).await;
        let result = result.unwrap_or_else(|error| Err(Failure::Reopen(format!("transaction thread: {error}"))));
        result.map_err(|failure| self.judge(failure, assignment.number))
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
            Failure::Reopen(reason) => CommitError::Reopen(reason),
            Failure::Recalled(reason) => {
                self.shared.claim.refuse(assignment);
                CommitError::Reopen(reason)
            }
            Failure::TooLarge { topic, reason } => {
                self.shared.limits.refused(&topic);
                CommitError::Reopen(reason)
            }
        }
    }
}
