//! Which schemas the records of every topic are framed with.

use std::sync::Arc;
use std::time::Duration;

use crate::avro::encode::Framings;
use crate::avro::framing::Framing;
use crate::avro::schema_lookup::SchemaSource;
use crate::avro::schema_registry::{SchemaRegistry, SchemaRegistrySettings};
use crate::avro::schemas::RecordKind;
use crate::kafka::client::settings::{RequestTopics, TopicNames};
use crate::model::feed::{EventTopic, PerEventTopic};
use crate::supervisor::{self, COMMAND_PATIENCE};

/// What the connector needs it waits for, as it does for the brokers.
const WHILE_IT_RUNS: Duration = Duration::MAX;

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
    /// Where the registry refuses. One that is away is waited for.
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
        let mut events = PerEventTopic::new(|_| Framing::SingleObject);
        for topic in EventTopic::ALL {
            events[topic] =
                registered(&registry, &topics.events[topic], RecordKind::of_events(topic), WHILE_IT_RUNS).await?;
        }
        let dead_letter = registered(&registry, &topics.dead_letters, RecordKind::DeadLetter, WHILE_IT_RUNS).await?;
        let framings = Framings { events, dead_letter };
        let material = match requests {
            Some(topics) => MaterialFramings::registered(&registry, topics, WHILE_IT_RUNS).await?,
            None => MaterialFramings::SINGLE_OBJECT,
        };
        let promoter = registered(&registry, &topics.registry, RecordKind::Promoter, WHILE_IT_RUNS).await?;
        Ok(Schemas { framings, material, promoter, source: Some(Arc::new(registry)) })
    }
}

impl MaterialFramings {
    /// Without a schema registry.
    const SINGLE_OBJECT: MaterialFramings =
        MaterialFramings { request: Framing::SingleObject, result: Framing::SingleObject };

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

/// How records of the registry of promoters are framed, for whoever writes some on `topic`.
///
/// # Errors
/// Where the registry refuses, or can't be asked for a minute.
pub async fn promoter_framing(settings: Option<SchemaRegistrySettings>, topic: &str) -> anyhow::Result<Framing> {
    match settings {
        Some(settings) => {
            registered(&SchemaRegistry::new(settings)?, topic, RecordKind::Promoter, COMMAND_PATIENCE).await
        }
        None => Ok(Framing::SingleObject),
    }
}

async fn registered(
    registry: &SchemaRegistry,
    topic: &str,
    kind: RecordKind,
    patience: Duration,
) -> anyhow::Result<Framing> {
    let subject = format!("{topic}-value");
    let ask = || registry.resolve(&subject, kind.text());
    let schema_id = supervisor::retried("schema registry", ask, |error| error.is_retriable(), patience).await?;
    Ok(Framing::Confluent { schema_id })
}
