//! Session after session, until told to stop. Recovery is start-up: whatever ends a session, the next one opens the
//! log anew and knows only what the log holds.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::commit::log::{CommitLog, Ended, LogError, OpenError};
use crate::model::duration::milliseconds;
use crate::retry::{Attempts, NextAttempt, RetrySettings};
use crate::telemetry::health::{HEARTBEAT_EVERY, PipelineHealth, SessionEnd};

/// A session that lasted this long has recovered: what ends it is met with patience anew.
const RECOVERED_AFTER: Duration = Duration::from_secs(30);
const SUMMARY_EVERY: Duration = Duration::from_secs(60);

/// Why there is no next session, for an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp {
    /// The configuration can't work with this log.
    #[error(transparent)]
    Unfit(LogError),
    /// Only an operator can help.
    #[error(transparent)]
    Failed(LogError),
    /// It was told to stop, and the end was not in order.
    #[error("the last transaction failed, or nobody knows whether it did; the next start finds out")]
    UnknownOutcome(#[source] LogError),
}

/// What is done with an open log, session after session.
pub trait Pipeline<L: CommitLog> {
    /// What the log calls it.
    const PIPELINE: &'static str;

    /// Says that the log is open, which took so many milliseconds.
    fn begins(&self, opened: &L::Opened, milliseconds: u64);

    /// One session: runs until `stop` is cancelled and everything done by then is durable, or until the log ends it. Gives
    /// the log back unless it is lost in a transaction that did not end in time.
    fn run(
        &self,
        log: L,
        opened: L::Opened,
        stop: &CancellationToken,
    ) -> impl Future<Output = (Option<L>, Ended)> + Send;

    /// Where it notes how it is.
    fn health(&self) -> &PipelineHealth;

    /// Says what has become of the work since it was last said.
    fn summarise(&self);

    /// Says what became durable since the process began, now that the pipeline has ended in order.
    fn say_stopped(&self);
}

/// Runs sessions until `stop` is cancelled and everything done is durable.
///
/// # Errors
/// [`GivenUp`], why there is no next session.
pub fn run<'a, L: CommitLog, P: Pipeline<L>>(
    pipeline: &'a P,
    make_log: impl FnMut() -> L + Send + 'a,
    stop: &'a CancellationToken,
    patience: RetrySettings,
) -> impl Future<Output = Result<(), GivenUp>> {
    run_boxed(pipeline, Box::new(make_log), stop, patience)
}

/// Boxed, so that all of what follows is compiled once for each log, and not for each closure that makes it.
type MakeLog<'a, L> = Box<dyn FnMut() -> L + Send + 'a>;

/// # Errors
/// As [`run`].
async fn run_boxed<L: CommitLog>(
    pipeline: &impl Pipeline<L>,
    make_log: MakeLog<'_, L>,
    stop: &CancellationToken,
    patience: RetrySettings,
) -> Result<(), GivenUp> {
    // Beside the sessions, and no part of them: a summary has to come while one hangs in its opening, too.
    tokio::select! {
        ended = sessions(pipeline, make_log, stop, patience) => ended?,
        () = summaries(pipeline) => unreachable!("the summaries have no end"),
        // In the very task of the sessions: while that hangs in one of them, nothing is noted. Who writes, in a task of its own,
        // says so itself.
        () = heartbeats(pipeline.health()) => unreachable!("the heartbeats have no end"),
    }
    pipeline.say_stopped();
    Ok(())
}

/// Also while the log can't be opened: nothing stands still in silence.
async fn summaries<L: CommitLog>(pipeline: &impl Pipeline<L>) {
    loop {
        tokio::time::sleep(SUMMARY_EVERY).await;
        pipeline.summarise();
    }
}

/// Notes that the task of the sessions is alive.
async fn heartbeats(health: &PipelineHealth) {
    loop {
        health.heartbeat();
        tokio::time::sleep(HEARTBEAT_EVERY).await;
    }
}

/// # Errors
/// [`GivenUp`], why there is no next session.
async fn sessions<L: CommitLog, P: Pipeline<L>>(
    pipeline: &P,
    mut make_log: MakeLog<'_, L>,
    stop: &CancellationToken,
    patience: RetrySettings,
) -> Result<(), GivenUp> {
    let mut log = make_log();
    let mut opening = Opening::new(P::PIPELINE, patience, pipeline.health());
    while let Some(opened) = open(pipeline, &mut log, &mut opening, stop).await? {
        let begun = Instant::now();
        let (back, ended) = pipeline.run(log, opened, stop).await;
        pipeline.health().session_ended(session_end(&ended));
        // One that is lost in its transaction is shut out by the next, which opens under the same name.
        log = back.unwrap_or_else(&mut make_log);
        // Before any pause: whoever else could go on waits for it.
        log.release().await;
        // Before its end is classified: a session that had recovered owes nothing to the failures before it.
        opening.lasted(begun.elapsed());
        match ended {
            Ended::Drained | Ended::Revoked if stop.is_cancelled() => return Ok(()),
            // Nothing has failed, so it is opened again at once, and waits there for something to own.
            Ended::Revoked => {}
            // Nobody told it to: with a pause, or one that ends as soon as it begins would be opened without end.
            Ended::Drained => opening.failed("the session ended by itself".into(), stop).await?,
            // Not opened once more to find out: whoever stops the process waits, and the next start looks anyway.
            Ended::Reopen(reason) if stop.is_cancelled() => return Err(GivenUp::UnknownOutcome(reason)),
            Ended::Reopen(reason) => opening.failed(reason, stop).await?,
            Ended::Stop(reason) => return Err(GivenUp::Failed(reason)),
        }
    }
    Ok(())
}

/// Opens the log, however often that is tried. Nothing where `stop` came first.
///
/// # Errors
/// [`GivenUp`] where the log says that another attempt is of no use.
async fn open<L: CommitLog, P: Pipeline<L>>(
    pipeline: &P,
    log: &mut L,
    opening: &mut Opening<'_>,
    stop: &CancellationToken,
) -> Result<Option<L::Opened>, GivenUp> {
    loop {
        let begun = Instant::now();
        // A standby waits in here for hours, so a stop does not wait for it.
        let Some(opened) = stop.run_until_cancelled(log.open()).await else {
            // The opening was dropped where it stood, and may own something already.
            log.release().await;
            return Ok(None);
        };
        match opened {
            Ok(opened) => {
                pipeline.begins(&opened, milliseconds(begun.elapsed()));
                pipeline.health().opened();
                return Ok(Some(opened));
            }
            Err(OpenError::Stop(reason)) => return Err(GivenUp::Failed(reason)),
            Err(OpenError::Unfit(reason)) => return Err(GivenUp::Unfit(reason)),
            Err(OpenError::Again(reason)) => {
                pipeline.health().session_ended(SessionEnd::NotOpened);
                // Waiting for something to own is a part of it, and no failure, however long it took.
                opening.lasted(begun.elapsed());
                opening.failed(reason, stop).await?;
            }
        }
    }
}

fn session_end(ended: &Ended) -> SessionEnd {
    match ended {
        Ended::Drained => SessionEnd::Stopped,
        Ended::Revoked => SessionEnd::Revoked,
        Ended::Reopen(_) => SessionEnd::Reopened,
        Ended::Stop(_) => SessionEnd::Failed,
    }
}

/// Pauses between openings, however many there are: brokers that are away come back, and a process that ended meanwhile would
/// be started again to wait for them all the same.
struct Opening<'a> {
    pipeline: &'static str,
    patience: RetrySettings,
    attempts: Attempts,
    health: &'a PipelineHealth,
}

impl Opening<'_> {
    fn new<'a>(pipeline: &'static str, patience: RetrySettings, health: &'a PipelineHealth) -> Opening<'a> {
        let patience = RetrySettings { attempts: u32::MAX, ..patience };
        Opening { pipeline, patience, attempts: Attempts::new(&patience), health }
    }

    /// Waits before the next attempt, or until `stop`.
    ///
    /// # Errors
    /// [`GivenUp::Failed`] with the reason, once no attempt is left.
    async fn failed(&mut self, reason: LogError, stop: &CancellationToken) -> Result<(), GivenUp> {
        let NextAttempt::RetryAfter(pause) = self.attempts.failed(None) else {
            return Err(GivenUp::Failed(reason));
        };
        let (pipeline, milliseconds, error) = (self.pipeline, milliseconds(pause), reason.with_causes());
        tracing::warn!(pipeline, error, milliseconds, "the log is opened again");
        self.health.troubled(error, pause);
        // A stop only cuts the pause short: the next opening sees it before it begins, and ends the sessions in order.
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        Ok(())
    }

    /// A session, or an opening that waited for something to own, has ended after so long. If that was long enough, what
    /// failed before was something else.
    fn lasted(&mut self, duration: Duration) {
        if duration > RECOVERED_AFTER {
            self.attempts = Attempts::new(&self.patience);
        }
    }
}

#[cfg(test)]
mod tests;
