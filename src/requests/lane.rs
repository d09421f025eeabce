//! The commands as a lane of the supervisor.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::executor::Executor;
use super::listener;
use super::log::{CommandLog, OpenedCommands};
use super::totals::CommandTotals;
use crate::commit::log::Ended;
use crate::supervisor::Lane;
use crate::upstream::transport::Transport;

pub struct CommandLane<T> {
    pub executor: Arc<Executor<T>>,
    pub totals: Arc<CommandTotals>,
}

impl<T: Transport, L: CommandLog> Lane<L> for CommandLane<T> {
    const PIPELINE: &'static str = "requests";

    fn begins(&self, opened: &OpenedCommands, milliseconds: u64) {
        let (pipeline, partitions) = (<Self as Lane<L>>::PIPELINE, opened.progress.len());
        tracing::info!(pipeline, milliseconds, partitions, "requests for material are taken");
    }

    async fn run(&self, log: L, opened: OpenedCommands, stop: &CancellationToken) -> (Option<L>, Ended) {
        let (executor, totals) = (self.executor.clone(), self.totals.clone());
        listener::run(log, opened, executor, totals, stop).await
    }

    fn summarise(&self) {
        self.totals.summarise();
    }

    fn say_stopped(&self) {
        self.totals.say_stopped();
    }
}
