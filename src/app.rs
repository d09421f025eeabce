//! The wiring: from a validated configuration to a connector that runs to its end. The one place that sees everything; it
//! decides nothing.
//!
//! ```text
//!  config ──> polls: an HTTP client for each app ──> schemas, beside the clients' warm-up ──> adoption, where that was asked for
//!               │ clients                                                                       │
//!               │                       shares of budgets, discovery ──> polls ──> facts log ───┤
//!               └─> requests: an executor over the same clients ──> requests log ───────────────┴──> pipelines, to their end
//!  beside them, from before the schemas to the very end: observation (the admin port, a service manager);
//!  reload: whom the configuration names from now on ──> polls
//! ```

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, FutureExt, join_all, select, try_join};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::admin::observed::PermittedChanges;
use crate::avro::encode::Encoders;
use crate::config::Config;
use crate::kafka::facts_log::FactsLog;
use crate::kafka::facts_log::peers::InstanceProfile;
use crate::kafka::registry_topic::Registrations;
use crate::kafka::registry_topic::discovery_topic::DiscoveryTopic;
use crate::kafka::requests_log::RequestsLog;
use crate::requests::pipeline::RequestPipeline;
use crate::session::PollPipeline;
use crate::session::configured::roster;
use log_parts::LogParts;
use schemas::Schemas;

pub use discovery::discovery;
pub use pipelines::Unfit;
pub use polls::{id_kinds, polled_apps};
pub use reload::ReloadSource;
pub use schemas::{TopicSchema, material_framings, promoter_framing, topic_schemas};

mod adoption;
mod changes;
mod digest;
mod discovery;
mod log_parts;
mod observation;
mod pipelines;
mod polls;
mod reload;
mod requests;
mod schemas;

/// How a connector runs beside what its configuration says.
#[derive(Default)]
pub struct RunMode {
    /// Whom the configuration names is read again by it, while the connector runs.
    pub reload: Option<ReloadSource>,
    /// Whether it takes over what a connector of another name has left.
    pub adopt: bool,
}

/// Runs the connector until `stop` is cancelled, and then until what was polled is durable.
///
/// # Errors
/// [`Unfit`] where the configuration can't work with the brokers that it names; anything else is what it has failed of.
pub async fn run(config: Config, RunMode { reload, adopt }: RunMode, stop: CancellationToken) -> anyhow::Result<()> {
    let (digest, change_settings) = (digest::of(&config), changes::settings(&config));
    let Config { kafka, schema_registry, apps, http, requests, commit, forget, user_ids, admin, .. } = config;
    let (id_kinds, discovery) = (id_kinds(&apps), discovery::settings(&apps));
    let polls = PollPipeline::new(polled_apps(apps, http)?, commit, forget);
    let request_totals = requests::totals(&polls);
    polls::say_starting(&kafka, &polls);
    let mut observed = observation::connector(&kafka, &polls, requests.is_some().then_some(&request_totals), &stop);
    if let Some(token) = admin.token {
        let changes = changes::changes(change_settings, polls.apps.clone());
        observed.changing = Some(PermittedChanges { token, changes });
    }
    // Before anything is waited for, and to the very end: whoever looks sees what it waits for.
    let observation = observation::begin(observed, &kafka, admin.listen).await?;
    let ended: anyhow::Result<()> = async {
        let (tell_roster, latest_roster) = watch::channel(roster(&polls.apps));
        let reload = reload.map(|source| tokio::spawn(reload::run(source, polls.apps.clone(), tell_roster)));
        let _reload = reload.map(AbortOnDropHandle::new);

        let request_topics = requests.as_ref().map(|requests| &requests.topics);
        // Side by side: they ask two that know nothing of each other.
        let ready = try_join(Schemas::resolve(schema_registry, &kafka.topics, request_topics), polls.warm_up().map(Ok));
        let Some((schemas, ())) = stop.run_until_cancelled(ready).await.transpose()? else { return Ok(()) };
        if adopt && stop.run_until_cancelled(adoption::adopt(&kafka, &id_kinds)).await.transpose()?.is_none() {
            return Ok(());
        }

        let encoders = Arc::new(Encoders::new(schemas.framings).showing(user_ids));
        let parts = LogParts { kafka, encoders, clock: Arc::new(polls.clock()) };
        let requests = requests.map(|settings| {
            requests::pipeline(settings, schemas.material, schemas.source.clone(), &parts, &polls, request_totals)
        });
        let registrations = Registrations { schemas: schemas.source, framing: schemas.promoter };
        let discovery = discovery.iter().any(|settings| settings.every.is_some()).then(|| {
            let topic = DiscoveryTopic::new(parts.kafka.clone(), registrations.clone(), None);
            Arc::new(discovery::of(&polls.apps, discovery, topic))
        });
        let shares = Arc::new(polls::shares(&polls, &parts.kafka));
        let polls = PollPipeline { discovery, shares: Some(shares.clone()), ..polls };
        let profile = InstanceProfile { roster: latest_roster, digest, shares: shares.clone() };
        let facts_log = polls::facts_log(parts, registrations, id_kinds, profile, &polls, shares);
        run_pipelines(&polls, facts_log, requests, &stop).await
    }
    .await;
    observation.end().await;
    ended
}

/// Both to their end. Quotas are kept as long as these run.
///
/// # Errors
/// As [`pipelines::run`].
async fn run_pipelines(
    polls: &PollPipeline,
    facts_log: FactsLog,
    requests: Option<(RequestPipeline, RequestsLog)>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let quotas = join_all(polls.apps.iter().map(|app| app.client.keep_quotas()));
    let pipelines = pin!(pipelines::run(polls, facts_log, requests, stop));
    match select(pipelines, pin!(quotas)).await {
        Either::Left((result, _)) => result,
        // With an app this is never reached: keeping its quotas has no end.
        Either::Right((_, pipelines)) => pipelines.await,
    }
}
