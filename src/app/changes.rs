//! What is changed of promoters while the connector runs: by its own configuration, as that is read again, and its own brokers.

use std::sync::Arc;

use futures_util::FutureExt;

use super::schemas::promoter_framing;
use crate::changes::promoter_changes::PromoterChanges;
use crate::changes::settings::{ChangeSettings, RegisteringApp};
use crate::config::Config;
use crate::model::promoter::Promoter;
use crate::session::PolledApp;

/// Where promoters are registered, without whom the configuration names.
pub(super) fn settings(config: &Config) -> ChangeSettings {
    let (kafka, schema_registry) = (config.kafka.clone(), config.schema_registry.clone());
    ChangeSettings { kafka, schema_registry, apps: Vec::new() }
}

/// `apps` are those that are polled.
pub(super) fn changes(settings: ChangeSettings, apps: Arc<Vec<PolledApp>>) -> PromoterChanges {
    let (schema_registry, topic) = (settings.schema_registry.clone(), settings.kafka.topics.registry.clone());
    let framing = move || {
        let (schema_registry, topic) = (schema_registry.clone(), topic.clone());
        async move { promoter_framing(schema_registry, &topic).await }.boxed()
    };
    let settings_of = move |promoter: &Promoter| {
        let apps = apps.iter().map(|app| registering_app(app, promoter)).collect();
        ChangeSettings { apps, ..settings.clone() }
    };
    PromoterChanges::new(settings_of, framing)
}

/// With what the configuration says of this promoter: there may be a million others.
fn registering_app(app: &PolledApp, promoter: &Promoter) -> RegisteringApp {
    let list = app.promoters.latest();
    let is_asked_for = |named: &&(Promoter, _)| named.0 == *promoter;
    RegisteringApp {
        app_id: app.app.clone(),
        feeds: app.feeds.names(),
        promoters: list.promoters.iter().filter(is_asked_for).cloned().collect(),
    }
}
