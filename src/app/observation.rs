//! How the connector is looked at while it runs.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::pipelines::Unfit;
use crate::admin::observed::ObservedConnector;
use crate::admin::routes;
use crate::admin::server::AdminPort;
use crate::clock;
use crate::kafka::client::broker_probe;
use crate::kafka::client::settings::Settings;
use crate::requests::totals::RequestTotals;
use crate::session::PollPipeline;
use crate::text;

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
        stop: stop.clone(),
    }
}

/// Asks the brokers whether they are there, and answers at the admin port, as long as the guard lives.
///
/// # Errors
/// [`Unfit`] where the admin port can't be opened.
pub(super) async fn begin(
    observed: ObservedConnector,
    kafka: &Settings,
    listen: Option<SocketAddr>,
) -> anyhow::Result<DropGuard> {
    let end = CancellationToken::new();
    let polls = Some(observed.polls.health.clone());
    let requests = observed.requests.as_ref().map(|requests| requests.health.clone());
    let pipelines = polls.into_iter().chain(requests).collect();
    tokio::spawn(broker_probe::watch(kafka.clone(), pipelines, end.clone()));
    if let Some(listen) = listen {
        let port = AdminPort::open(listen).await.map_err(|error| Unfit(text::with_causes(&error)))?;
        tracing::info!(address = %port.address(), "admin port is open");
        tokio::spawn(port.serve(routes::router(Arc::new(observed)), end.clone()));
    }
    Ok(end.drop_guard())
}
