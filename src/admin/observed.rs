//! What is looked at: the parts of the connector that note how they are.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::commit::totals::CommitTotals;
use crate::model::time::UnixMillis;
use crate::requests::totals::RequestTotals;
use crate::session::PolledApp;
use crate::session::registration_query::RegistrationQueries;
use crate::telemetry::health::{HealthSnapshot, PipelineHealth};
use crate::telemetry::pipeline;

/// All that the admin port reads.
pub struct ObservedConnector {
    /// The connector's.
    pub name: String,
    pub instance: String,
    /// When the process began, about.
    pub began: UnixMillis,
    pub apps: Arc<Vec<PolledApp>>,
    pub polls: Arc<CommitTotals>,
    pub registrations: Arc<RegistrationQueries>,
    /// Absent where requests are not taken.
    pub requests: Option<Arc<RequestTotals>>,
    /// Cancelled when the connector stops.
    pub stop: CancellationToken,
}

impl ObservedConnector {
    /// The pipelines by name, as they are now.
    pub fn pipelines(&self) -> Vec<(&'static str, HealthSnapshot)> {
        let polls = Some((pipeline::POLLS, &*self.polls.health));
        let requests = self.requests.as_ref().map(|requests| (pipeline::REQUESTS, &*requests.health));
        let snapshot = |(name, health): (_, &PipelineHealth)| (name, health.snapshot());
        polls.into_iter().chain(requests).map(snapshot).collect()
    }
}
