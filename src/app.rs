//! The wiring: from a validated configuration to running parts. Decides nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::avro::encode::{Encoders, Framings};
use crate::avro::framing::Framing;
use crate::avro::material::{RequestDecoder, ResultEncoder};
use crate::avro::registry::{Credentials, Registry};
use crate::avro::schemas::RecordKind;
use crate::commit::committer::BatchBounds;
use crate::config::{
    App, Commands, Config, Connector, FeedSettings, Kafka, PromoterEntry, Retention, SchemaRegistry, Topics,
};
use crate::kafka::client::settings::{RequestTopics, Settings, TopicDefaults, TopicNames, TopicPolicy};
use crate::kafka::client::tokens::TokenDistributor;
use crate::kafka::facts_log::FactsLog;
use crate::kafka::requests_log::RequestsLog;
use crate::kafka::transaction::record::RecordClock;
use crate::model::feed::{Feed, Interface, PerFeed};
use crate::model::pacing::PollSettings;
use crate::model::promoter::IdKind;
use crate::model::time::UnixMillis;
use crate::requests::executor::{Executor, MaterialApp, SchemaSource};
use crate::requests::pipeline::RequestPipeline;
use crate::retry::{JITTER, RetrySettings};
use crate::session::{FeedPlan, PolledApp, PolledPromoter, Session};
use crate::supervisor::{self, GivenUp};
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::budget::BudgetSettings;
use crate::upstream::buffer::{Buffer, Buffers};
use crate::upstream::client::{Client, ClientSettings};
use crate::upstream::http::{HttpSettings, HttpTransport};
use crate::upstream::token::{TokenSource, TokenUrl};
use crate::upstream::upstream_clock;

/// How long the first token and the upstream's time may take, before the first cursor is set.
const WARM_UP_MAX: Duration = Duration::from_secs(5);
/// How long a stop may take to commit what was polled.
const STOP_MAX: Duration = Duration::from_secs(20);
/// Bodies of answers that are being read or whose rows wait for the queue, of all apps: some full pages of 1000 rows, so that
/// nobody who may read waits for one who writes, and few, since read they take several times as much.
const READING_BYTES: usize = 2 * 1024 * 1024;
/// The write queue holds as much as a few batches, and at least this much.
const QUEUE_BYTES_MIN: usize = 16 * 1024 * 1024;

/// What stays the same over all sessions of a process.
pub struct Parts {
    pub session: Session<HttpTransport>,
    pub kafka: Settings,
    /// By app id.
    pub id_kinds: HashMap<String, IdKind>,
    /// Absent where commands are off.
    pub commands: Option<RequestParts>,
}

/// What the lane of the commands is made of.
pub struct RequestParts {
    pub topics: RequestTopics,
    /// Calls at once, of each app.
    pub concurrency: usize,
}

/// How the records of all topics are framed, and who knows the schemas of others.
pub struct Schemas {
    pub framings: Framings,
    pub material_request: Framing,
    pub material_result: Framing,
    pub registry: Option<Registry>,
}

impl Schemas {
    /// Without a schema registry.
    pub const SINGLE_OBJECT: Schemas = Schemas {
        framings: Framings::SINGLE_OBJECT,
        material_request: Framing::SingleObject,
        material_result: Framing::SingleObject,
        registry: None,
    };
}

impl Parts {
    /// The first line of the log, before anything is waited for.
    fn say_starting(&self) {
        let Parts { session, kafka, .. } = self;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            name = kafka.name,
            instance = kafka.instance_id,
            apps = session.apps.len(),
            promoters = session.apps.iter().map(|app| app.promoters.len()).sum::<usize>(),
            bootstrap = kafka.bootstrap_servers(),
            "starting"
        );
    }
}

/// Makes the parts that need no network.
pub fn build(config: &Config) -> anyhow::Result<Parts> {
    let (buffers, reading) = (Buffers::new(config.http.buffered_max), Buffer::new(READING_BYTES));
    let apps = config
        .apps
        .iter()
        .map(|app| polled_app(config, app, &buffers, &reading))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let session = Session {
        apps: Arc::new(apps),
        bounds: BatchBounds {
            linger: config.commit.linger,
            events_max: config.commit.events_max,
            bytes_max: config.commit.bytes_max,
        },
        queue_bytes: QUEUE_BYTES_MIN.max(2 * config.commit.bytes_max),
        totals: Arc::default(),
    };
    let id_kinds = config.apps.iter().map(|app| (app.app_id.as_str().to_owned(), app.id_kind)).collect();
    let commands = config.commands.enabled.then(|| RequestParts {
        topics: command_topics(&config.topics, &config.commands),
        concurrency: config.commands.concurrency,
    });
    Ok(Parts { session, kafka: kafka_settings(config), id_kinds, commands })
}

/// Runs the connector until `stop` is cancelled, and then until what was polled is durable.
pub async fn run(config: &Config, stop: CancellationToken) -> anyhow::Result<()> {
    let parts = build(config)?;
    parts.say_starting();
    let Some(schemas) = stop.run_until_cancelled(schemas(config)).await.transpose()? else { return Ok(()) };
    run_parts(parts, schemas, stop).await
}

/// The schemas of every topic, registered under `<topic>-value` where there is a registry: its ids are part of every
/// record then.
pub async fn schemas(config: &Config) -> anyhow::Result<Schemas> {
    let Some(settings) = &config.schema_registry else { return Ok(Schemas::SINGLE_OBJECT) };
    let commands = config.commands.enabled.then(|| command_topics(&config.topics, &config.commands));
    resolve_schemas(settings, &kafka_settings(config).topics, commands.as_ref()).await
}

/// Runs parts that are already made, with schemas that are already resolved.
pub async fn run_parts(parts: Parts, schemas: Schemas, stop: CancellationToken) -> anyhow::Result<()> {
    let Parts { session, kafka, id_kinds, commands } = parts;
    let stop = stop.child_token();
    stop.run_until_cancelled(warm_up(&session)).await;
    let clock = record_clock(&session);
    let encoders = Arc::new(Encoders::new(schemas.framings));
    let lane = commands.map(|commands| command_lane(commands, schemas, &session, &kafka, &encoders, &clock));
    let log = FactsLog::new(kafka, encoders, id_kinds, clock, session.roster());
    let stopping = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tracing::info!("stopping: what was polled is committed first");
            tokio::time::sleep(STOP_MAX).await;
        }
    };
    let polls_checked = log.topics_checked();
    let commands_checked = lane.as_ref().map(|(_, topic)| topic.topics_checked());
    let polling = async {
        let polling = supervisor::run(&session, || log.clone(), &stop, supervisor::PATIENCE);
        to_the_end(polling, &polls_checked, commands_checked.as_ref(), &stop).await
    };
    let commanding = async {
        let (Some((lane, topic)), Some(checked)) = (lane, &commands_checked) else { return Ok(()) };
        let commanding = supervisor::run(&lane, || topic.clone(), &stop, supervisor::PATIENCE);
        to_the_end(commanding, checked, Some(&polls_checked), &stop).await
    };
    tokio::select! {
        (polled, commanded) = async { tokio::join!(polling, commanding) } => {
            let failures = [polled.err(), commanded.err()].into_iter().flatten().collect::<Vec<_>>();
            if failures.is_empty() { Ok(()) } else { Err(joined(&failures)) }
        }
        () = stopping => anyhow::bail!(
            "what was polled could not be committed within {} s; it is polled again at the next start",
            STOP_MAX.as_secs()
        ),
    }
}

/// A lane to its end, with which the other one stops. Its failure waits until the `other` lane's topics have been looked
/// at as its `own` have, so that every problem is told at once.
async fn to_the_end(
    lane: impl Future<Output = Result<(), GivenUp>>,
    own: &CancellationToken,
    other: Option<&CancellationToken>,
    stop: &CancellationToken,
) -> Result<(), GivenUp> {
    let result = lane.await;
    own.cancel();
    if let (Err(_), Some(other)) = (&result, other) {
        other.cancelled().await;
    }
    stop.cancel();
    result
}

/// The configuration can't work with the brokers that it names: a fault of the same kind as those that are found without
/// them.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

/// Each problem once: both lanes use the topic of the dead letters, and complain of the same brokers. On one line, as the
/// log has it.
fn joined(failures: &[GivenUp]) -> anyhow::Error {
    let failures_text: Vec<String> = failures.iter().map(GivenUp::to_string).collect();
    let mut problems: Vec<&str> = Vec::new();
    for problem in failures_text.iter().flat_map(|failure| failure.lines()) {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    let reason = problems.join("; ");
    match failures.iter().any(|failure| matches!(failure, GivenUp::Unfit(_))) {
        true => Unfit(reason).into(),
        false => anyhow::Error::msg(reason),
    }
}

fn command_lane(
    parts: RequestParts,
    schemas: Schemas,
    session: &Session<HttpTransport>,
    kafka: &Settings,
    encoders: &Arc<Encoders>,
    clock: &RecordClock,
) -> (RequestPipeline<HttpTransport>, RequestsLog) {
    let RequestParts { topics, concurrency } = parts;
    let apps = session.apps.iter().map(|app| MaterialApp::new(app.client.clone(), concurrency));
    let decoder = RequestDecoder::new(schemas.material_request);
    let registry = schemas.registry.map(|registry| Arc::new(registry) as Arc<dyn SchemaSource>);
    let executor = Executor::new(apps, topics.requests.clone(), decoder, registry, supervisor::PATIENCE);
    let lane = RequestPipeline { executor: Arc::new(executor), totals: Arc::default() };
    let results = ResultEncoder::new(schemas.material_result);
    (lane, RequestsLog::new(kafka.clone(), topics, encoders.clone(), results, clock.clone()))
}

/// The local clock, set back where all upstreams show that it is ahead.
fn record_clock(session: &Session<HttpTransport>) -> RecordClock {
    let clients: Vec<_> = session.apps.iter().map(|app| app.client.clone()).collect();
    Arc::new(move || {
        let local = UnixMillis(jiff::Timestamp::now().as_millisecond());
        upstream_clock::set_back(local, clients.iter().filter_map(|client| client.upstream_skew_seconds()))
    })
}

/// Asks every app's token source once, and hears the upstream's clock. A failure is met again, and reported, by the first poll.
async fn warm_up(session: &Session<HttpTransport>) {
    let mut asking = tokio::task::JoinSet::new();
    for app in session.apps.iter() {
        let client = app.client.clone();
        asking.spawn(async move { tokio::time::timeout(WARM_UP_MAX, client.warm_up()).await });
    }
    while asking.join_next().await.is_some() {}
}

fn polled_app(
    config: &Config,
    app: &App,
    buffers: &Buffers,
    reading: &Buffer,
) -> anyhow::Result<PolledApp<HttpTransport>> {
    let http = HttpTransport::new(HttpSettings {
        timeout: config.http.timeout,
        response_max: config.http.response_max,
        buffers: buffers.clone(),
        idle_connections_max: config.http.in_flight,
    })
    .context("the HTTP client can't be made")?;
    let budget = |interface: Interface| {
        let quota = app.quota.of(interface);
        let number = |limit: Option<std::num::NonZeroU32>| limit.map_or(0, std::num::NonZeroU32::get);
        (interface, BudgetSettings { per_minute: number(quota.per_minute), per_day: number(quota.per_day) })
    };
    let settings = ClientSettings {
        app_id: app.app_id.clone(),
        id_kind: app.id_kind,
        base_url: app.base_url.clone(),
        spare_urls: app.spare_urls.clone(),
        token_source: token_source(&app.token),
        retry: RetrySettings {
            initial: config.retry.initial,
            max: config.retry.max,
            attempts: config.retry.attempts,
            jitter: JITTER,
        },
        breakers: BreakerSettings {
            too_fast: config.retry.too_fast,
            stopped: config.retry.stopped,
            unanswered: config.retry.max,
        },
        budgets: Interface::ALL.into_iter().map(budget).collect::<BTreeMap<_, _>>(),
        in_flight: config.http.in_flight,
        reading: reading.clone(),
    };
    Ok(PolledApp {
        app: app.app_id.clone(),
        client: Arc::new(Client::new(settings, http)),
        promoters: app.promoters.iter().map(|entry| polled_promoter(app, entry)).collect(),
        parked_for: config.retry.parked,
        reports: Arc::default(),
    })
}

fn polled_promoter(app: &App, entry: &PromoterEntry) -> PolledPromoter {
    let plan = |feed: Feed| {
        let settings = app.feeds.of(feed);
        entry.feeds.contains(&feed).then(|| FeedPlan {
            settings: rules(settings),
            start_from: entry.start_from.unwrap_or(settings.start_from),
        })
    };
    let refunds = app.feeds.of(Feed::Refunds);
    PolledPromoter {
        promoter: entry.promoter.clone(),
        feeds: PerFeed::new(plan),
        refunds_lateness: seconds(refunds.lateness),
        refunds_start: entry.start_from.unwrap_or(refunds.start_from),
    }
}

fn rules(settings: &FeedSettings) -> PollSettings {
    PollSettings { every: settings.every, idle_every: settings.idle_every, lateness: seconds(settings.lateness) }
}

/// Whole seconds, rounded up: a lateness is never cut short.
fn seconds(duration: Duration) -> i64 {
    let rounded = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

fn token_source(source: &crate::config::TokenSource) -> TokenSource {
    match source {
        crate::config::TokenSource::Stable { secret } => TokenSource::Stable(secret.clone()),
        crate::config::TokenSource::Classic { secret } => TokenSource::Classic(secret.clone()),
        crate::config::TokenSource::File { path } => TokenSource::File(path.clone()),
        crate::config::TokenSource::Url { url, headers } => {
            TokenSource::Url(TokenUrl { url: url.clone(), headers: headers.clone() })
        }
    }
}

/// The topics of the commands, as configured.
pub fn command_topics(topics: &Topics, commands: &Commands) -> RequestTopics {
    RequestTopics {
        requests: topics.material_requests.clone(),
        results: topics.material_results.clone(),
        reply_topics: commands.reply_topics.clone(),
    }
}

/// The Kafka side of the configuration.
pub fn kafka_settings(config: &Config) -> Settings {
    settings(&config.connector, &config.kafka, &config.topics)
}

/// The same of its sections.
pub fn settings(connector: &Connector, kafka: &Kafka, topics: &Topics) -> Settings {
    let policy = if topics.create {
        TopicPolicy::Create(TopicDefaults {
            partitions: topics.partitions,
            replication: topics.replication,
            retention: match topics.retention {
                Retention::Forever => None,
                Retention::For(duration) => Some(duration),
            },
        })
    } else {
        TopicPolicy::Check
    };
    Settings {
        properties: kafka.properties.clone(),
        tokens: kafka.login.clone().map(|login| Arc::new(TokenDistributor::new(login))),
        name: connector.name.clone(),
        instance_id: connector.instance_id.clone(),
        topics: TopicNames {
            touches: topics.touches.clone(),
            orders: topics.orders.clone(),
            dead_letters: topics.dead_letters.clone(),
            registry: topics.registry.clone(),
            state: topics.state.clone(),
        },
        topic_policy: policy,
    }
}

async fn resolve_schemas(
    settings: &SchemaRegistry,
    topics: &TopicNames,
    commands: Option<&RequestTopics>,
) -> anyhow::Result<Schemas> {
    let registry = registry(settings)?;
    let id = async |topic: &str, kind| resolve_schema(&registry, topic, kind).await;
    let framings = Framings {
        touch: id(&topics.touches, RecordKind::Touch).await?,
        order: id(&topics.orders, RecordKind::Order).await?,
        dead_letter: id(&topics.dead_letters, RecordKind::DeadLetter).await?,
    };
    let (material_request, material_result) = match commands {
        Some(commands) => (
            id(&commands.requests, RecordKind::MaterialRequest).await?,
            id(&commands.results, RecordKind::MaterialResult).await?,
        ),
        None => (Framing::SingleObject, Framing::SingleObject),
    };
    Ok(Schemas { framings, material_request, material_result, registry: Some(registry) })
}

fn registry(settings: &SchemaRegistry) -> anyhow::Result<Registry> {
    let credentials = settings
        .basic_auth
        .as_ref()
        .map(|auth| Credentials { username: auth.username.clone(), password: auth.password.clone() });
    Ok(Registry::new(&settings.urls.join(","), credentials)?)
}

async fn resolve_schema(registry: &Registry, topic: &str, kind: RecordKind) -> anyhow::Result<Framing> {
    let subject = format!("{topic}-value");
    let ask = || registry.resolve(&subject, kind.text());
    let schema_id = supervisor::retried("schema registry", ask, |error| error.is_retriable()).await?;
    Ok(Framing::Confluent { schema_id })
}

/// How requests and replies are framed, for whoever asks.
pub async fn command_framings(
    settings: Option<&SchemaRegistry>,
    topics: &RequestTopics,
) -> anyhow::Result<(Framing, Framing)> {
    let Some(settings) = settings else { return Ok((Framing::SingleObject, Framing::SingleObject)) };
    let registry = registry(settings)?;
    let requests = resolve_schema(&registry, &topics.requests, RecordKind::MaterialRequest).await?;
    Ok((requests, resolve_schema(&registry, &topics.results, RecordKind::MaterialResult).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_lanes_say_is_one_line_with_each_problem_once() {
        let failures = ["topic a is missing\ntopic d is missing", "topic d is missing\ntopic r is missing"];
        let failures = failures.map(|problems| GivenUp::from(problems.to_owned()));
        let told = joined(&failures);
        assert_eq!(told.to_string(), "topic a is missing; topic d is missing; topic r is missing");
        assert!(told.downcast_ref::<Unfit>().is_none());
        let unfit = [&failures[..], &[GivenUp::Unfit("too long".into())]].concat();
        assert!(joined(&unfit).downcast_ref::<Unfit>().is_some());
    }
}
