//! What discovers promoters: in the connector by the clients of its polls, for a command by some of its own.

use std::sync::Arc;
use std::time::Instant;

use super::{polled_apps, schemas};
use crate::config::Config;
use crate::kafka::registry_topic::discovery_topic::DiscoveryTopic;
use crate::session::discovery::{DiscoveredApp, Discovery, DiscoverySettings};
use crate::session::{AppSettings, PolledApp};

/// Discovers the promoters of the apps of a configuration, for a command that is over by `until`; one of a `dry_run` writes nothing, and
/// registers no schema.
///
/// # Errors
/// Where a client can't be made, or the registry of schemas does not take the schema of the records.
pub async fn discovery(config: Config, until: Instant, dry_run: bool) -> anyhow::Result<Discovery> {
    let Config { kafka, schema_registry, apps, http, .. } = config;
    let registrations = match dry_run {
        true => schemas::read_registrations(schema_registry)?,
        false => schemas::registrations(schema_registry, &kafka.topics.registry).await?,
    };
    let (settings, apps) = (settings(&apps), polled_apps(apps, http)?);
    Ok(of(&apps, settings, DiscoveryTopic::new(kafka, registrations, Some(until))))
}

pub(super) fn settings(apps: &[AppSettings]) -> Vec<DiscoverySettings> {
    apps.iter().map(|app| app.discovery.clone()).collect()
}

/// By the clients of the polls; `settings` are those of the apps, in their order.
pub(super) fn of(apps: &[PolledApp], settings: Vec<DiscoverySettings>, topic: DiscoveryTopic) -> Discovery {
    let discovered = |(app, settings): (&PolledApp, _)| DiscoveredApp { client: app.client.clone(), settings };
    Discovery { apps: apps.iter().zip(settings).map(discovered).collect(), topic: Arc::new(topic) }
}
