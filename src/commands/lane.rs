//! The commands as a lane of the supervisor.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;

use super::executor::Executor;
use super::listener::{self, CommandTotals};
use super::log::{CommandLog, OpenedCommands};
use crate::commit::log::Ended;
use crate::supervisor::Lane;
use crate::wechat::transport::Transport;

pub struct CommandLane<T> {
    pub executor: Arc<Executor<T>>,
    pub totals: Arc<CommandTotals>,
}

impl<T: Transport, L: CommandLog> Lane<L> for CommandLane<T> {
    fn begins(&self, opened: &OpenedCommands, milliseconds: u64) {
        let partitions = opened.progress.len();
        tracing::info!(milliseconds, partitions, "requests for material are taken");
    }

    async fn run(&self, log: L, opened: OpenedCommands, stop: &CancellationToken) -> (Option<L>, Ended) {
        let (executor, totals) = (self.executor.clone(), self.totals.clone());
        listener::run(log, opened, executor, totals, stop).await
    }

    fn report(&self, occasion: &str) {
        let [succeeded, failed, rejected, expired, dead_letters] = [
            &self.totals.succeeded,
            &self.totals.failed,
            &self.totals.rejected,
            &self.totals.expired,
            &self.totals.dead_lettered,
        ]
        .map(|counter| counter.load(Ordering::Relaxed));
        tracing::info!(succeeded, failed, rejected, expired, dead_letters, "requests for material, {occasion}");
    }
}
