//! How the connector is looked at while it runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::pipelines::Unfit;
use crate::admin::observed::ObservedConnector;
use crate::admin::recent::Recent;
use crate::admin::routes;
use crate::admin::server::AdminPort;
use crate::admin::service_manager;
use crate::admin::transitions;
use crate::clock;
use crate::kafka::client::broker_probe;
use crate::kafka::client::settings::Settings;
use crate::requests::totals::RequestTotals;
use crate::session::PollPipeline;

/// `requests` are absent where none are taken.
pub(super) fn connector(
    kafka: &Settings,
    polls: &PollPipeline,
    requests: Option<&Arc<RequestTotals>>,
    stop: &CancellationToken,
) -> ObservedConnector {
    ObservedConnector {
        name: kafka.name.clone(),
        instance: kafka.instance_id.clone(),
        began: clock::now(),
        apps: polls.apps.clone(),
        polls: polls.totals.clone(),
        registrations: polls.registrations.clone(),
        requests: requests.cloned(),
        recent: Recent::default(),
        stop: stop.clone(),
        changing: None,
    }
}

/// How long a service manager may take to hear the last.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// What [`begin`] has begun, until it is dropped.
pub(super) struct Observation {
    end: DropGuard,
    service_manager: JoinHandle<()>,
}

impl Observation {
    /// Ends it, once a service manager has been told the last; one that does not read its socket is not waited for.
    pub async fn end(self) {
        drop(self.end);
        let _ = tokio::time::timeout(FAREWELL_MAX, self.service_manager).await;
    }
}

/// Asks the brokers whether they are there, tells the log of what changes and a service manager how it is, and answers at the admin
/// port.
///
/// # Errors
/// [`Unfit`] where the admin port can't be opened.
pub(super) async fn begin(
    observed: ObservedConnector,
    kafka: &Settings,
    listen: Option<SocketAddr>,
) -> anyhow::Result<Observation> {
    let end = CancellationToken::new();
    let polls = Some(observed.polls.health.clone());
    let requests = observed.requests.as_ref().map(|requests| requests.health.clone());
    let pipelines = polls.into_iter().chain(requests).collect();
    tokio::spawn(broker_probe::watch(kafka.clone(), pipelines, end.clone()));
    let observed = Arc::new(observed);
    tokio::spawn(transitions::watch(observed.clone(), end.clone()));
    let service_manager = tokio::spawn(service_manager::tell(observed.clone(), end.clone()));
    if let Some(listen) = listen {
        let port = AdminPort::open(listen).await.map_err(Unfit::AdminPort)?;
        tracing::info!(address = %port.address(), "admin port is open");
        tokio::spawn(port.serve(routes::router(observed), end.clone()));
    }
    Ok(Observation { end: end.drop_guard(), service_manager })
}
