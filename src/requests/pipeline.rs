//! The requests as a pipeline of the supervisor.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::executor::Executor;
use super::log::{AnswerLog, OpenedRequests};
use super::session;
use super::totals::RequestTotals;
use crate::commit::log::Ended;
use crate::supervisor::Pipeline;
use crate::telemetry::health::PipelineHealth;
use crate::telemetry::pipeline;

pub struct RequestPipeline {
    pub executor: Arc<Executor>,
    pub totals: Arc<RequestTotals>,
}

impl<L: AnswerLog> Pipeline<L> for RequestPipeline {
    const PIPELINE: &'static str = pipeline::REQUESTS;

    fn begins(&self, opened: &OpenedRequests, milliseconds: u64) {
        let (pipeline, partitions) = (<Self as Pipeline<L>>::PIPELINE, opened.answered.len());
        self.totals.health.works();
        tracing::info!(pipeline, milliseconds, partitions, "requests for material are taken");
    }

    async fn run(&self, log: L, opened: OpenedRequests, stop: &CancellationToken) -> (Option<L>, Ended) {
        let (executor, totals) = (self.executor.clone(), self.totals.clone());
        session::run(log, opened, executor, totals, stop).await
    }

    fn health(&self) -> &PipelineHealth {
        &self.totals.health
    }

    fn summarise(&self) {
        self.totals.summarise();
    }

    fn say_stopped(&self) {
        self.totals.say_stopped();
    }
}
