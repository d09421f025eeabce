//! Session after session of the lane, until told to stop. Recovery is start-up, as in the main lane.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::executor::Executor;
use super::listener::{self, CommandTotals, Ended};
use super::log::CommandLog;
use crate::commit::log::OpenError;
use crate::retry::RetrySettings;
use crate::supervisor::{Opening, RECOVERED_AFTER};
use crate::wechat::transport::Transport;

const REPORT_EVERY: Duration = Duration::from_secs(60);

pub struct Lane<T> {
    pub executor: Arc<Executor<T>>,
    pub totals: Arc<CommandTotals>,
}

impl<T: Transport> Lane<T> {
    /// Answers commands until `stop` is cancelled and what was answered is committed. The error is for an operator.
    pub async fn run<L: CommandLog>(
        &self,
        mut log: L,
        stop: &CancellationToken,
        patience: RetrySettings,
    ) -> Result<(), String> {
        let mut opening = Opening::new(patience);
        loop {
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
            opening.succeeded();
            let begun = Instant::now();
            let session = listener::run(log, opened, self.executor.clone(), self.totals.clone(), patience, stop);
            let (back, ended) = tokio::select! {
                ended = session => ended,
                () = self.report_from_time_to_time() => unreachable!("the reports have no end"),
            };
            log = back;
            log.release().await;
            if begun.elapsed() > RECOVERED_AFTER {
                opening.recovered();
            }
            match ended {
                Ended::Stopped => return Ok(()),
                Ended::Recalled => {}
                Ended::Stop(reason) => return Err(reason),
                Ended::Reopen(_) if stop.is_cancelled() => return Ok(()),
                Ended::Reopen(reason) => opening.failed(&reason, stop).await?,
            }
        }
    }

    async fn report_from_time_to_time(&self) {
        loop {
            tokio::time::sleep(REPORT_EVERY).await;
            let [succeeded, failed, rejected, expired, dead_letters] = [
                &self.totals.succeeded,
                &self.totals.failed,
                &self.totals.rejected,
                &self.totals.expired,
                &self.totals.dead_lettered,
            ]
            .map(|counter| counter.load(Ordering::Relaxed));
            tracing::info!(succeeded, failed, rejected, expired, dead_letters, "requests for material answered");
        }
    }
}
