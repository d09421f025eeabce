//! A registry topic, others who write to it, and the follower.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use promoter_connector::avro::framing::Framing;
use promoter_connector::avro::promoter::PromoterEncoder;
use promoter_connector::avro::schema_lookup::{SchemaFuture, SchemaSource};
use promoter_connector::avro::schema_registry::{ExchangeError, SchemaRegistryError};
use promoter_connector::avro::schemas::RecordKind;
use promoter_connector::commit::log::OpenError;
use promoter_connector::kafka::client::settings::{Settings, TopicNames, TopicPolicy};
use promoter_connector::kafka::registry_topic::follower::{FollowedEvents, RegistryFollower};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::shard::{AssignedShard, Shard};
use promoter_connector::model::time::UnixMillis;
use promoter_connector::registry::event::RegistryEvent;
use promoter_connector::registry::record::{PromoterRecord, RegistryContent};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::runtime::Runtime;

use crate::broker::world::BOUND;
use crate::harness::client;
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

const PARTITIONS: i32 = 3;
/// Of the schema that the follower itself would write with.
const OWN_ID: i32 = 5;
/// Of one that the registry tells.
pub const TOLD_ID: i32 = 7;
/// Of one that it can't tell yet.
pub const AWAY_ID: i32 = 8;
/// Of no schema.
pub const UNKNOWN_ID: i32 = 9;

pub struct Scene {
    pub topic: String,
    pub follower: RegistryFollower,
    events: FollowedEvents,
    schemas: Arc<ScriptedSchemas>,
    producer: BaseProducer,
    runtime: Runtime,
}

#[derive(Default)]
struct ScriptedSchemas {
    asked_in_vain: AtomicU64,
    is_back: AtomicBool,
}

impl SchemaSource for ScriptedSchemas {
    fn schema(&self, id: i32) -> SchemaFuture<'_> {
        let told = match id {
            TOLD_ID => Ok(Some(RecordKind::Promoter.text().to_owned())),
            AWAY_ID if self.is_back.load(Ordering::Relaxed) => Ok(Some(RecordKind::Promoter.text().to_owned())),
            AWAY_ID => {
                self.asked_in_vain.fetch_add(1, Ordering::Relaxed);
                Err(SchemaRegistryError::Unavailable { url: "registry".into(), cause: ExchangeError::Timeout })
            }
            _ => Ok(None),
        };
        Box::pin(std::future::ready(told))
    }
}

impl Scene {
    pub fn open(context: &Context) -> Result<Scene> {
        let topic = context.topics().create("registry", PARTITIONS, &[("cleanup.policy", "compact")])?;
        let (runtime, schemas) = (Runtime::new()?, Arc::new(ScriptedSchemas::default()));
        let (follower, events) = start(open_listener(context), &topic, schemas.clone(), &runtime)?;
        let producer = client::config(context.bootstrap()).create()?;
        Ok(Scene { topic, follower, events, schemas, producer, runtime })
    }

    /// Follows another topic.
    pub fn restart_on(&mut self, context: &Context, topic: &str) -> Result<()> {
        (self.follower, self.events) = start(open_listener(context), topic, self.schemas.clone(), &self.runtime)?;
        Ok(())
    }

    /// Follows the same topic as somebody else.
    pub fn restart_as(&mut self, properties: Vec<(String, String)>) -> Result<()> {
        (self.follower, self.events) = start(properties, &self.topic, self.schemas.clone(), &self.runtime)?;
        Ok(())
    }

    pub fn follow(&self, shard: i32, number: u64) -> Result<Vec<RegistryEvent>> {
        Ok(self.try_follow(shard, number)??)
    }

    pub fn try_follow(&self, shard: i32, number: u64) -> Result<Result<Vec<RegistryEvent>, OpenError>> {
        let following = self.follower.follow(of(shard, number));
        self.runtime.block_on(async { tokio::time::timeout(BOUND, following).await }).context("a shard is read")
    }

    pub fn next(&mut self) -> Result<(AssignedShard, Vec<RegistryEvent>)> {
        let Scene { runtime, events, .. } = self;
        let next = runtime.block_on(async { tokio::time::timeout(BOUND, events.next()).await });
        let (assigned, burst) = next.context("a change arrives")?;
        Ok((assigned, burst.events))
    }

    pub fn wait_until_requested(&self) -> Result<()> {
        let asked = || Ok((self.schemas.asked_in_vain.load(Ordering::Relaxed) > 0).then_some(()));
        wait_until("the schema is asked for", BOUND, asked)
    }

    pub fn schemas_are_back(&self) {
        self.schemas.is_back.store(true, Ordering::Relaxed);
    }

    pub fn put(&self, partition: i32, id: &str, value: Option<&[u8]>) -> Result<()> {
        self.send(partition, id, value, false)?;
        Ok(self.producer.flush(BOUND)?)
    }

    pub fn put_json(&self, partition: i32, id: &str, value: &str) -> Result<()> {
        self.send(partition, id, Some(value.as_bytes()), true)?;
        Ok(self.producer.flush(BOUND)?)
    }

    /// Deregisters them.
    pub fn put_all(&self, partition: i32, ids: &[String]) -> Result<()> {
        ids.iter().try_for_each(|id| self.send(partition, id, None, false))?;
        Ok(self.producer.flush(BOUND)?)
    }

    fn send(&self, partition: i32, id: &str, value: Option<&[u8]>, is_json: bool) -> Result<()> {
        let key = format!("wx1/{id}");
        let mut record = BaseRecord::<_, [u8]>::to(&self.topic).partition(partition).key(&key);
        record.payload = value;
        if is_json {
            let content_type = Header { key: "content-type", value: Some("application/json") };
            record = record.headers(OwnedHeaders::new().insert(content_type));
        }
        self.producer.send(record).map_err(|(error, _)| error)?;
        Ok(())
    }

    pub fn promoter(&self, id: &str) -> Result<Promoter> {
        Ok(Promoter::from_key(&format!("wx1/{id}"))?)
    }

    pub fn removed(&self, id: &str) -> Result<RegistryEvent> {
        Ok(RegistryEvent::Said { promoter: self.promoter(id)?, content: RegistryContent::Record(None) })
    }

    pub fn own(&self, id: &str) -> Result<Vec<u8>> {
        self.framed(id, OWN_ID)
    }

    pub fn framed(&self, id: &str, schema_id: i32) -> Result<Vec<u8>> {
        self.encoded(id, false, Framing::Confluent { schema_id })
    }

    pub fn single_object(&self, id: &str, paused: bool) -> Result<Vec<u8>> {
        self.encoded(id, paused, Framing::SingleObject)
    }

    fn encoded(&self, id: &str, paused: bool, framing: Framing) -> Result<Vec<u8>> {
        let record = PromoterRecord { paused, updated_at: UnixMillis(1), ..PromoterRecord::default() };
        let mut bytes = Vec::new();
        PromoterEncoder::new(framing).encode(&self.promoter(id)?, &record, &mut bytes)?;
        Ok(bytes)
    }
}

/// That asks nobody who is there.
fn open_listener(context: &Context) -> Vec<(String, String)> {
    vec![("bootstrap.servers".to_owned(), context.bootstrap().to_owned())]
}

fn start(
    properties: Vec<(String, String)>,
    topic: &str,
    schemas: Arc<ScriptedSchemas>,
    runtime: &Runtime,
) -> Result<(RegistryFollower, FollowedEvents)> {
    let settings = Settings {
        properties,
        credentials: None,
        name: "follower".to_owned(),
        instance_id: "one".to_owned(),
        topics: TopicNames { registry: topic.to_owned(), ..TopicNames::default() },
        topic_policy: TopicPolicy::Check,
    };
    let framing = Framing::Confluent { schema_id: OWN_ID };
    let (health, runtime) = (Arc::default(), runtime.handle().clone());
    Ok(RegistryFollower::start(&settings, Some(schemas), framing, PARTITIONS, health, runtime)?)
}

pub fn of(shard: i32, number: u64) -> AssignedShard {
    AssignedShard { shard: Shard(shard), number }
}

/// One promoter of the shard; another number is another one.
pub fn id_in(shard: i32, number: usize) -> String {
    let ids = (0..).map(|salt| format!("o{number}-{salt}"));
    let is_there = |id: &String| {
        Promoter::from_key(&format!("wx1/{id}")).is_ok_and(|promoter| Shard::of(&promoter, PARTITIONS) == Shard(shard))
    };
    ids.into_iter().find(is_there).unwrap_or_default()
}

pub fn json(id: &str) -> String {
    format!(r#"{{"app_id": "wx1", "promoter_openid": "{id}"}}"#)
}

/// The promoters that something is said of, and whether they are paused; nothing where they are deregistered.
pub fn said(events: &[RegistryEvent]) -> Vec<(String, Option<bool>)> {
    let said = |event: &RegistryEvent| match event {
        RegistryEvent::Said { promoter, content: RegistryContent::Record(record) } => {
            Some((promoter.promoter_id().to_owned(), record.as_ref().map(|record| record.paused)))
        }
        RegistryEvent::Said { .. } | RegistryEvent::Unreadable { .. } => None,
    };
    events.iter().filter_map(said).collect()
}

/// The offsets of what can't be read, why, and the promoter of the key.
pub fn letters(events: &[RegistryEvent]) -> Vec<(i64, String, String)> {
    let letter = |event: &RegistryEvent| match event {
        RegistryEvent::Unreadable { offset, letter } => {
            let id = letter.promoter.as_ref().map(|promoter| promoter.promoter_id().to_owned());
            Some((*offset, letter.reason.to_owned(), id.unwrap_or_default()))
        }
        RegistryEvent::Said { .. } => None,
    };
    events.iter().filter_map(letter).collect()
}
