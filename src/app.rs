//! The wiring: from a validated configuration to a connector that runs to its end. The one place that sees everything; it
//! decides nothing.
//!
//! ```text
//!  config ──> schemas ──> polls: an HTTP client for each app ──> facts log ───────────────┐
//!                           │ clients                                                     ├──> pipelines, to their end
//!                           └─> requests: an executor over the same clients ─> requests log┘
//!  reload, beside them: whom the configuration names from now on ──> polls
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::{Either, FutureExt, try_join};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::admin::observed::ObservedConnector;
use crate::admin::routes;
use crate::admin::server::AdminPort;
use crate::avro::encode::Encoders;
use crate::avro::material::{RequestDecoder, ResultEncoder};
use crate::avro::schema_lookup::SchemaSource;
use crate::config::{Config, RequestSettings};
use crate::kafka::client::broker_probe;
use crate::kafka::client::settings::Settings;
use crate::kafka::facts_log::FactsLog;
use crate::kafka::facts_log::peers::InstanceProfile;
use crate::kafka::group::observer::{LogObservers, OwnershipObserver};
use crate::kafka::registry_topic::Registrations;
use crate::kafka::registry_topic::discovery_topic::DiscoveryTopic;
use crate::kafka::requests_log::RequestsLog;
use crate::kafka::transaction::record::RecordClock;
use crate::model::feed::{Interface, InterfaceCaller};
use crate::model::promoter::IdKind;
use crate::requests::executor::{Executor, MaterialApp};
use crate::requests::pipeline::RequestPipeline;
use crate::requests::totals::RequestTotals;
use crate::retry;
use crate::session::configured::roster;
use crate::session::{AppSettings, PollPipeline, PolledApp};
use crate::text;
use crate::upstream::budget_shares::BudgetShares;
use crate::upstream::buffer::Buffers;
use crate::upstream::client::Client;
use crate::upstream::http::{HttpSettings, HttpTransport};
use schemas::Schemas;

pub use discovery::discovery;
pub use pipelines::Unfit;
pub use reload::ReloadSource;
pub use schemas::{TopicSchema, material_framings, promoter_framing, topic_schemas};

mod digest;
mod discovery;
mod pipelines;
mod reload;
mod schemas;

/// Runs the connector until `stop` is cancelled, and then until what was polled is durable. Where there is a `reload`, whom the
/// configuration names is read again meanwhile.
///
/// # Errors
/// [`Unfit`] where the configuration can't work with the brokers that it names; anything else is what it has failed of.
pub async fn run(config: Config, reload: Option<ReloadSource>, stop: CancellationToken) -> anyhow::Result<()> {
    let digest = digest::of(&config);
    let Config { kafka, schema_registry, apps, http, requests, commit, forget, user_ids, admin, .. } = config;
    let id_kinds = id_kinds(&apps);
    let discovery = discovery::settings(&apps);
    let mut polls = PollPipeline::new(polled_apps(apps, http)?, commit, forget);
    let request_totals: Arc<RequestTotals> = Arc::default();
    request_totals.replies.know_apps(polls.apps.iter().map(|app| app.app.as_str().to_owned()).collect());
    say_starting(&kafka, &polls);
    let observed = ObservedConnector {
        name: kafka.name.clone(),
        instance: kafka.instance_id.clone(),
        apps: polls.apps.clone(),
        polls: polls.totals.clone(),
        requests: requests.is_some().then(|| request_totals.clone()),
        stop: stop.clone(),
    };
    // Before anything is waited for, and to the very end: whoever looks sees what it waits for.
    let _observing = observe(observed, &kafka, admin.listen).await?;
    let (tell_roster, latest_roster) = watch::channel(roster(&polls.apps));
    let reload = reload.map(|source| tokio::spawn(reload::run(source, polls.apps.clone(), tell_roster)));
    let _reload = reload.map(AbortOnDropHandle::new);

    let request_topics = requests.as_ref().map(|requests| &requests.topics);
    // Side by side: they ask two that know nothing of each other.
    let told = try_join(Schemas::resolve(schema_registry, &kafka.topics, request_topics), polls.warm_up().map(Ok));
    let Some((schemas, ())) = stop.run_until_cancelled(told).await.transpose()? else { return Ok(()) };

    let clock: RecordClock = Arc::new(polls.clock());
    let encoders = Arc::new(Encoders::new(schemas.framings).showing(user_ids));
    let clients = || polls.apps.iter().map(|app| app.client.clone());
    let observer = |is_shared: fn(Interface) -> bool| -> OwnershipObserver {
        let shares = BudgetShares::new(clients(), is_shared);
        Arc::new(move |owned| shares.own(owned))
    };
    let requests = requests.map(|requests| {
        let results = ResultEncoder::new(schemas.material.result);
        let decoder = RequestDecoder::new(schemas.material.request);
        let executor = Arc::new(executor(&requests, decoder, schemas.source.clone(), &polls));
        let ownership = observer(|interface| interface.called_by() == InterfaceCaller::Requests);
        let observers = LogObservers { health: request_totals.health.clone(), ownership };
        let log = RequestsLog::new(kafka.clone(), requests.topics, encoders.clone(), results, clock.clone(), observers);
        (RequestPipeline { executor, totals: request_totals.clone() }, log)
    });
    let registrations = Registrations { schemas: schemas.source, framing: schemas.promoter };
    if discovery.iter().any(|settings| settings.every.is_some()) {
        let topic = DiscoveryTopic::new(kafka.clone(), registrations.clone());
        polls.discovery = Some(Arc::new(discovery::of(&polls.apps, discovery, topic)));
    }
    let ownership = observer(|interface| interface.called_by() != InterfaceCaller::Requests);
    let observers = LogObservers { health: polls.totals.health.clone(), ownership };
    let profile = InstanceProfile { roster: latest_roster, digest };
    let facts_log = FactsLog::new(kafka, encoders, registrations, id_kinds, clock, profile, observers);
    let quotas = futures_util::future::join_all(polls.apps.iter().map(|app| app.client.keep_quotas()));
    let pipelines = pin!(pipelines::run(&polls, facts_log, requests, &stop));
    // Quotas are kept as long as these run.
    match futures_util::future::select(pipelines, pin!(quotas)).await {
        Either::Left((result, _)) => result,
        Either::Right((_, pipelines)) => pipelines.await,
    }
}

/// Asks the brokers whether they are there, and answers at the admin port, as long as the guard lives.
///
/// # Errors
/// [`Unfit`] where the admin port can't be opened.
async fn observe(
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

/// Which kind of promoter id each app has in its state, by app id.
pub fn id_kinds(apps: &[AppSettings]) -> HashMap<String, IdKind> {
    apps.iter().map(|AppSettings { client, .. }| (client.app_id.as_str().to_owned(), client.id_kind)).collect()
}

/// Each app with connections of its own; the memory for answers is one for all.
///
/// # Errors
/// Where there can be no HTTP client, as without certificates.
pub fn polled_apps(apps: Vec<AppSettings>, settings: HttpSettings) -> anyhow::Result<Vec<PolledApp<HttpTransport>>> {
    let buffers = Buffers::new(settings.buffered_max);
    let polled_app = |AppSettings { client, feeds, promoters, parked_for, catch_up_spread, .. }| {
        let http = HttpTransport::new(settings, buffers.clone()).context("the HTTP client can't be made")?;
        let client = Client::new(client, http).reading_in(buffers.reading.clone());
        Ok(PolledApp::new(client, feeds, promoters, parked_for, catch_up_spread))
    };
    apps.into_iter().map(polled_app).collect()
}

/// Asks the upstream for material by the clients of the polls, whose breakers it shares.
fn executor(
    settings: &RequestSettings,
    decoder: RequestDecoder,
    schemas: Option<Arc<dyn SchemaSource>>,
    polls: &PollPipeline<HttpTransport>,
) -> Executor<HttpTransport> {
    let apps = polls.apps.iter().map(|app| MaterialApp::new(app.client.clone(), settings.concurrency));
    Executor::new(apps, settings.topics.requests.clone(), decoder, schemas, retry::PATIENCE)
}

/// The first line of the log, before anything is waited for.
fn say_starting(kafka: &Settings, polls: &PollPipeline<HttpTransport>) {
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
