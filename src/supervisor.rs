//! Session after session, until told to stop. Recovery is start-up: whatever ends a session, the next one opens the
//! log anew and knows only what the log holds.

use std::fmt::Display;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::commit::committer::{Ended, Totals};
use crate::commit::log::{CommitLog, OpenError};
use crate::retry::{Attempts, JITTER, Next, RetrySettings};
use crate::session::Session;
use crate::wechat::transport::Transport;

/// How long the very first opening is tried: at start a wrong address is more likely than a fault that passes.
const FIRST_OPEN_MAX: Duration = Duration::from_secs(60);
/// A session that lasted this long has recovered: what ends it is met with patience anew.
pub const RECOVERED_AFTER: Duration = Duration::from_secs(30);
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The pauses between openings of the log, and between questions that the start depends on.
pub const PATIENCE: RetrySettings = RetrySettings {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    attempts: u32::MAX,
    jitter: JITTER,
    too_fast: Duration::ZERO,
};

/// Runs sessions until `stop` is cancelled and everything polled is durable. The error is for an operator.
pub async fn run<T: Transport, L: CommitLog>(
    session: &Session<T>,
    mut make_log: impl FnMut() -> L,
    stop: &CancellationToken,
    patience: RetrySettings,
) -> Result<(), String> {
    let mut log = make_log();
    let mut opening = Opening::new(patience);
    loop {
        let begun = Instant::now();
        let Some(opened) = stop.run_until_cancelled(log.open()).await else {
            log.release().await;
            return Ok(());
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(OpenError::Stop(reason)) => return Err(reason),
            Err(OpenError::Again(reason)) => {
                opening.failed(&reason, stop).await?;
                continue;
            }
        };
        tracing::info!(
            milliseconds = begun.elapsed().as_millis(),
            remembered = opened.state.remembered(),
            "log is open, polling begins"
        );
        opening.succeeded();
        let begun = Instant::now();
        let (back, ended) = run_reporting(session, log, opened, stop).await;
        log = back.unwrap_or_else(&mut make_log);
        log.release().await;
        if begun.elapsed() > RECOVERED_AFTER {
            opening.recovered();
        }
        match ended {
            Ended::Drained | Ended::Recalled if stop.is_cancelled() => return Ok(()),
            Ended::Recalled => {}
            Ended::Drained => opening.failed("the polls ended", stop).await?,
            Ended::Reopen(reason) if stop.is_cancelled() => {
                return Err(format!(
                    "the last transaction failed, or nobody knows whether it did; the next start finds out: {reason}"
                ));
            }
            Ended::Reopen(reason) => opening.failed(&reason, stop).await?,
            Ended::Stop(reason) => return Err(reason),
        }
    }
}

/// Pauses between openings, and the bound on the first.
pub struct Opening {
    patience: RetrySettings,
    attempts: Attempts,
    began: Instant,
    opened_once: bool,
}

impl Opening {
    pub fn new(patience: RetrySettings) -> Opening {
        let patience = RetrySettings { attempts: u32::MAX, ..patience };
        Opening { patience, attempts: Attempts::new(&patience), began: Instant::now(), opened_once: false }
    }

    /// Waits before the next attempt. The error gives up.
    pub async fn failed(&mut self, reason: &str, stop: &CancellationToken) -> Result<(), String> {
        if !self.opened_once && self.began.elapsed() >= FIRST_OPEN_MAX {
            return Err(format!("given up after {} s: {reason}", FIRST_OPEN_MAX.as_secs()));
        }
        let Next::RetryAfter(pause) = self.attempts.failed(None) else { return Err(reason.to_owned()) };
        tracing::warn!(reason, milliseconds = pause.as_millis(), "the log is opened again");
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        Ok(())
    }

    pub fn succeeded(&mut self) {
        self.opened_once = true;
    }

    pub fn recovered(&mut self) {
        self.attempts = Attempts::new(&self.patience);
    }
}

async fn run_reporting<T: Transport, L: CommitLog>(
    session: &Session<T>,
    log: L,
    opened: crate::commit::log::Opened,
    stop: &CancellationToken,
) -> (Option<L>, Ended) {
    let reporting = async {
        loop {
            tokio::time::sleep(REPORT_EVERY).await;
            report(&session.totals, "running");
        }
    };
    tokio::select! {
        ended = session.run(log, opened, stop) => ended,
        () = reporting => unreachable!("the reports have no end"),
    }
}

/// A line of what became durable since the process began.
pub fn report(totals: &Totals, message: &str) {
    tracing::info!(
        transactions = totals.transactions.load(Ordering::Relaxed),
        published = totals.published.load(Ordering::Relaxed),
        dead_letters = totals.dead_lettered.load(Ordering::Relaxed),
        known = totals.known.load(Ordering::Relaxed),
        behind = totals.behind.load(Ordering::Relaxed),
        "{message}"
    );
}

/// Calls again while the error may pass, for [`FIRST_OPEN_MAX`] at most. For what is needed at start.
pub async fn retried<R, E: Display, F: Future<Output = Result<R, E>>>(
    what: &str,
    mut call: impl FnMut() -> F,
    may_pass: impl Fn(&E) -> bool,
) -> anyhow::Result<R> {
    let began = Instant::now();
    let mut attempts = Attempts::new(&PATIENCE);
    loop {
        match call().await {
            Ok(result) => return Ok(result),
            Err(error) if may_pass(&error) && began.elapsed() < FIRST_OPEN_MAX => {
                let Next::RetryAfter(pause) = attempts.failed(None) else { anyhow::bail!("{what}: {error}") };
                tracing::warn!(%error, "{what} is asked again");
                tokio::time::sleep(pause).await;
            }
            Err(error) => anyhow::bail!("{what}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::commit::committer::Bounds;
    use crate::commit::log::{CommitError, Opened};
    use crate::domain::batch::Batch;
    use crate::wechat::http::Http;

    /// A log that can't be opened.
    struct Unreachable;

    impl CommitLog for Unreachable {
        async fn open(&mut self) -> Result<Opened, OpenError> {
            Err(OpenError::Again("nobody answers".into()))
        }

        async fn commit(&mut self, _: Arc<Batch>) -> Result<(), CommitError> {
            unreachable!("it was never opened")
        }

        async fn release(&mut self) {}
    }

    fn session() -> Session<Http> {
        Session {
            apps: Arc::default(),
            bounds: Bounds { linger: Duration::ZERO, events_max: 1, bytes_max: 1 },
            queue_bytes: 1,
            totals: Arc::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_never_opens_is_given_up_after_a_minute() {
        let began = Instant::now();
        let ended = run(&session(), || Unreachable, &CancellationToken::new(), PATIENCE).await;
        assert_eq!(ended, Err("given up after 60 s: nobody answers".into()));
        let most = FIRST_OPEN_MAX + PATIENCE.max;
        assert!((FIRST_OPEN_MAX..=most).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_before_the_first_opening_ends_in_order() {
        let stop = CancellationToken::new();
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stop.cancel();
        };
        let session = session();
        let (ended, ()) = tokio::join!(run(&session, || Unreachable, &stop, PATIENCE), stopping);
        assert_eq!(ended, Ok(()));
    }
}
