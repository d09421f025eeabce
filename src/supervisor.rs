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
use crate::retry::{Attempts, Next, RetrySettings};
use crate::session::Session;
use crate::wechat::transport::Transport;

/// How long the very first opening is tried: at start a wrong address is more likely than a fault that passes.
const FIRST_OPEN_MAX: Duration = Duration::from_secs(60);
/// A session that lasted this long has recovered: what ends it is met with patience anew.
const RECOVERED_AFTER: Duration = Duration::from_secs(30);
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The pauses between attempts that have no bound of their own.
const PATIENCE: RetrySettings = RetrySettings {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    attempts: u32::MAX,
    too_fast: Duration::ZERO,
};

/// Runs sessions until `stop` is cancelled and everything polled is durable. The error is for an operator.
pub async fn run<T: Transport, L: CommitLog>(
    session: &Session<T>,
    mut make_log: impl FnMut() -> L,
    stop: &CancellationToken,
) -> Result<(), String> {
    let mut log = make_log();
    let mut opening = Opening::new();
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
                    "the last transaction has an unknown outcome, the next start decides it: {reason}"
                ));
            }
            Ended::Reopen(reason) => opening.failed(&reason, stop).await?,
            Ended::Stop(reason) => return Err(reason),
        }
    }
}

/// Pauses between openings, and the bound on the first.
struct Opening {
    attempts: Attempts,
    began: Instant,
    opened_once: bool,
}

impl Opening {
    fn new() -> Opening {
        Opening { attempts: Attempts::new(&PATIENCE), began: Instant::now(), opened_once: false }
    }

    async fn failed(&mut self, reason: &str, stop: &CancellationToken) -> Result<(), String> {
        if !self.opened_once && self.began.elapsed() >= FIRST_OPEN_MAX {
            return Err(format!("given up after {} s: {reason}", FIRST_OPEN_MAX.as_secs()));
        }
        let Next::RetryAfter(pause) = self.attempts.failed(None) else { return Err(reason.to_owned()) };
        tracing::warn!(reason, milliseconds = pause.as_millis(), "the log is opened again");
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        Ok(())
    }

    fn succeeded(&mut self) {
        self.opened_once = true;
    }

    fn recovered(&mut self) {
        self.attempts = Attempts::new(&PATIENCE);
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
