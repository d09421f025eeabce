//! What the polls are made of: a client for each app, and the log of the facts.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;

use super::log_parts::{self, LogParts, ownership};
use crate::kafka::client::settings::Settings;
use crate::kafka::facts_log::FactsLog;
use crate::kafka::facts_log::peers::InstanceProfile;
use crate::kafka::group::observer::LogObservers;
use crate::kafka::group::timeouts;
use crate::kafka::registry_topic::Registrations;
use crate::model::feed::InterfaceCaller;
use crate::model::promoter::IdKind;
use crate::session::{AppSettings, PollPipeline, PolledApp};
use crate::telemetry::pipeline;
use crate::upstream::budget_shares::BudgetShares;
use crate::upstream::buffer::Buffers;
use crate::upstream::client::Client;
use crate::upstream::http::{HttpSettings, HttpTransport};

/// Which kind of promoter id each app has in its state, by app id.
pub fn id_kinds(apps: &[AppSettings]) -> HashMap<String, IdKind> {
    apps.iter().map(|AppSettings { client, .. }| (client.app_id.as_str().to_owned(), client.id_kind)).collect()
}

/// Each app with connections of its own; the memory for answers is one for all.
///
/// # Errors
/// Where there can be no HTTP client, as without certificates.
pub fn polled_apps(apps: Vec<AppSettings>, settings: HttpSettings) -> anyhow::Result<Vec<PolledApp>> {
    let buffers = Buffers::new(settings.buffered_max);
    let polled_app = |AppSettings { client, feeds, promoters, parked_for, catch_up_spread, .. }| {
        let http = HttpTransport::new(settings, buffers.clone()).context("the HTTP client can't be made")?;
        let client = Client::new(client, http).reading_in(buffers.reading.clone());
        Ok(PolledApp::new(client, feeds, promoters, parked_for, catch_up_spread))
    };
    apps.into_iter().map(polled_app).collect()
}

/// Of all calls but those of requests, divided by what each shard needs.
pub(super) fn shares(polls: &PollPipeline, kafka: &Settings) -> BudgetShares {
    let session = timeouts::session(kafka, &kafka.name);
    log_parts::shares(polls, |interface| interface.called_by() != InterfaceCaller::Requests).divided(session)
}

/// With the group of the registry the instances share the budgets of all calls but those of requests.
pub(super) fn facts_log(
    LogParts { kafka, encoders, clock }: LogParts,
    registrations: Registrations,
    id_kinds: HashMap<String, IdKind>,
    profile: InstanceProfile,
    polls: &PollPipeline,
    shares: Arc<BudgetShares>,
) -> FactsLog {
    let ownership = ownership(shares);
    let observers = LogObservers { pipeline: pipeline::POLLS, health: polls.totals.health.clone(), ownership };
    FactsLog::new(kafka, encoders, registrations, id_kinds, clock, profile, observers)
}

/// The first line of the log, before anything is waited for.
pub(super) fn say_starting(kafka: &Settings, polls: &PollPipeline) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        name = kafka.name,
        instance = kafka.instance_id,
        apps = polls.apps.len(),
        promoters = polls.apps.iter().map(|app| app.promoters.latest().promoters.len()).sum::<usize>(),
        bootstrap = kafka.bootstrap_servers(),
        "starting"
    );
}
