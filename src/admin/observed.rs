//! What is looked at: the parts of the connector that note how they are; and what may be changed.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::counters::Counters;
use super::permission::AdminToken;
use super::recent::Recent;
use crate::changes::promoter_changes::PromoterChanges;
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
    pub recent: Recent,
    /// Cancelled when the connector stops.
    pub stop: CancellationToken,
    /// Absent where nothing may be changed over the port.
    pub changing: Option<PermittedChanges>,
}

/// Changes, and what whoever asks for one has to show.
pub struct PermittedChanges {
    pub token: AdminToken,
    pub changes: PromoterChanges,
}

impl ObservedConnector {
    /// One without apps that has just begun.
    #[cfg(test)]
    pub fn for_tests() -> ObservedConnector {
        ObservedConnector {
            name: "shop".into(),
            instance: "one".into(),
            began: UnixMillis(0),
            apps: Arc::default(),
            polls: Arc::default(),
            registrations: Arc::default(),
            requests: None,
            recent: Recent::default(),
            stop: CancellationToken::new(),
            changing: None,
        }
    }

    pub fn counters(&self) -> Counters<'_> {
        Counters { apps: &self.apps, polls: &self.polls, requests: self.requests.as_deref() }
    }

    /// The pipelines by name, as they are now.
    pub fn pipelines(&self) -> Vec<(&'static str, HealthSnapshot)> {
        self.healths().map(|(name, health)| (name, health.snapshot())).collect()
    }

    /// What the pipelines note of themselves, by name.
    pub fn healths(&self) -> impl Iterator<Item = (&'static str, &PipelineHealth)> {
        let polls = (pipeline::POLLS, &*self.polls.health);
        let requests = self.requests.as_ref().map(|requests| (pipeline::REQUESTS, &*requests.health));
        std::iter::once(polls).chain(requests)
    }
}
