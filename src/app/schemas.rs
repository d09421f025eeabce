//! Which schemas the records of every topic are framed with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::avro::encode::Framings;
use crate::avro::framing::Framing;
use crate::avro::schema_lookup::SchemaSource;
use crate::avro::schema_registry::{SchemaRegistry, SchemaRegistrySettings};
use crate::avro::schemas::RecordKind;
use crate::kafka::client::settings::{RequestTopics, TopicNames};
use crate::kafka::registry_topic::Registrations;
use crate::model::feed::{EventTopic, PerEventTopic};
use crate::retry::{self, COMMAND_PATIENCE};

/// What the connector needs it waits for, as it does for the brokers.
const WHILE_IT_RUNS: Duration = Duration::MAX;

/// What it does without it does not wait for.
const LEDGER_PATIENCE: Duration = Duration::from_secs(10);

/// How the records of all topics are framed, and who knows the schemas of others.
pub struct Schemas {
    pub framings: Framings,
    pub material: MaterialFramings,
    /// Of the registry of promoters.
    pub promoter: Framing,
    /// Absent where records are framed by themselves.
    pub source: Option<Arc<dyn SchemaSource>>,
}

/// How requests and replies are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaterialFramings {
    pub request: Framing,
    pub result: Framing,
}

impl Schemas {
    /// Registers the schemas of every topic under `<topic>-value` where there is a registry: its ids are part of every record
    /// then. Those of requests and replies only where `requests` are taken.
    ///
    /// # Errors
    /// Where the registry refuses one, but for that of the ledger. One that is away is waited for.
    pub async fn resolve(
        settings: Option<SchemaRegistrySettings>,
        topics: &TopicNames,
        requests: Option<&RequestTopics>,
    ) -> anyhow::Result<Schemas> {
        let Some(settings) = settings else {
            let (framings, material) = (Framings::SINGLE_OBJECT, MaterialFramings::SINGLE_OBJECT);
            return Ok(Schemas { framings, material, promoter: Framing::SingleObject, source: None });
        };
        let registry = SchemaRegistry::new(settings)?;
        let mut framings = HashMap::new();
        for TopicSchema { topic, kind } in topic_schemas(topics, requests) {
            let patience = if kind == RecordKind::LedgerDay { LEDGER_PATIENCE } else { WHILE_IT_RUNS };
            match registered(&registry, topic, kind, patience).await {
                // Nothing that is needed: a registry to which others register may not have it yet. The log says that there is none.
                Err(error) if kind == RecordKind::LedgerDay => {
                    tracing::debug!(topic, reason = format!("{error:#}"), "the ledger has no schema");
                }
                framing => drop(framings.insert(topic, framing?)),
            }
        }
        let of = |topic: &String| framings.get(topic.as_str()).copied().unwrap_or(Framing::SingleObject);
        let events = PerEventTopic::new(|topic| of(&topics.events[topic]));
        let material = requests.map_or(MaterialFramings::SINGLE_OBJECT, |topics| MaterialFramings {
            request: of(&topics.requests),
            result: of(&topics.results),
        });
        let ledger = topics.ledger.as_ref().and_then(|topic| framings.get(topic.as_str()).copied());
        let (dead_letter, promoter) = (of(&topics.dead_letters), of(&topics.registry));
        let framings = Framings { events, dead_letter, ledger };
        Ok(Schemas { framings, material, promoter, source: Some(Arc::new(registry)) })
    }
}

/// Which records a topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSchema<'a> {
    pub topic: &'a str,
    pub kind: RecordKind,
}

impl TopicSchema<'_> {
    /// Under which a registry has the schema.
    pub fn subject(&self) -> String {
        format!("{}-value", self.topic)
    }
}

/// Of every topic whose records are in Avro; those of requests and replies only where `requests` are taken.
pub fn topic_schemas<'a>(topics: &'a TopicNames, requests: Option<&'a RequestTopics>) -> Vec<TopicSchema<'a>> {
    let events = EventTopic::ALL.map(|topic| (&topics.events[topic], RecordKind::of_events(topic)));
    // With all their fields: a topic to come must not be forgotten here. A reply topic has the records of the results.
    let of_requests = requests.into_iter().flat_map(|RequestTopics { requests, results, reply_topics: _ }| {
        [(requests, RecordKind::MaterialRequest), (results, RecordKind::MaterialResult)]
    });
    let others = [(&topics.dead_letters, RecordKind::DeadLetter), (&topics.registry, RecordKind::Promoter)];
    let ledger = topics.ledger.iter().map(|topic| (topic, RecordKind::LedgerDay));
    let all = events.into_iter().chain(others).chain(of_requests).chain(ledger);
    all.map(|(topic, kind)| TopicSchema { topic, kind }).collect()
}

impl MaterialFramings {
    /// Without a schema registry.
    const SINGLE_OBJECT: MaterialFramings =
        MaterialFramings { request: Framing::SingleObject, result: Framing::SingleObject };

    /// # Errors
    /// Where the registry refuses one of both schemas, or does not answer within `patience`.
    async fn registered(
        registry: &SchemaRegistry,
        topics: &RequestTopics,
        patience: Duration,
    ) -> anyhow::Result<MaterialFramings> {
        Ok(MaterialFramings {
            request: registered(registry, &topics.requests, RecordKind::MaterialRequest, patience).await?,
            result: registered(registry, &topics.results, RecordKind::MaterialResult, patience).await?,
        })
    }
}

/// How requests and replies are framed, for whoever asks for material.
///
/// # Errors
/// Where the registry refuses, or can't be asked for a minute.
pub async fn material_framings(
    settings: Option<SchemaRegistrySettings>,
    topics: &RequestTopics,
) -> anyhow::Result<MaterialFramings> {
    match settings {
        Some(settings) => MaterialFramings::registered(&SchemaRegistry::new(settings)?, topics, COMMAND_PATIENCE).await,
        None => Ok(MaterialFramings::SINGLE_OBJECT),
    }
}

/// How records of the registry of promoters are read and written, for whoever does both on `topic`.
///
/// # Errors
/// Where the registry refuses, or can't be asked for a minute.
pub async fn registrations(settings: Option<SchemaRegistrySettings>, topic: &str) -> anyhow::Result<Registrations> {
    let Some(settings) = settings else {
        return Ok(Registrations { schemas: None, framing: Framing::SingleObject });
    };
    let registry = SchemaRegistry::new(settings)?;
    let framing = registered(&registry, topic, RecordKind::Promoter, COMMAND_PATIENCE).await?;
    Ok(Registrations { schemas: Some(Arc::new(registry)), framing })
}

/// The same for whoever only reads there: no schema is registered for what is never written.
///
/// # Errors
/// Where there is no client for the registry.
pub fn read_registrations(settings: Option<SchemaRegistrySettings>) -> anyhow::Result<Registrations> {
    let registry = settings.map(SchemaRegistry::new).transpose()?;
    let schemas = registry.map(|registry| Arc::new(registry) as Arc<dyn SchemaSource>);
    Ok(Registrations { schemas, framing: Framing::SingleObject })
}

/// How records of the registry of promoters are framed, for whoever writes some on `topic`.
///
/// # Errors
/// As [`registrations`].
pub async fn promoter_framing(settings: Option<SchemaRegistrySettings>, topic: &str) -> anyhow::Result<Framing> {
    Ok(registrations(settings, topic).await?.framing)
}

/// How records of `kind` are framed on `topic`: by the id that their schema has in the registry.
///
/// # Errors
/// Where the registry refuses the schema, or does not answer within `patience`.
async fn registered(
    registry: &SchemaRegistry,
    topic: &str,
    kind: RecordKind,
    patience: Duration,
) -> anyhow::Result<Framing> {
    let subject = TopicSchema { topic, kind }.subject();
    let ask = || registry.resolve(&subject, kind.text());
    let schema_id = retry::retried("schema registry", ask, |error| error.is_retriable(), patience).await?;
    Ok(Framing::Confluent { schema_id })
}
