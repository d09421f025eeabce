//! How a running instance follows the registry: the partitions of its shards, from their beginning on.

use std::sync::Arc;
use std::thread::JoinHandle;

use futures_util::future::BoxFuture;
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::event_reader::EventReader;
use super::following::Following;
use super::hold_ups::HoldUps;
use super::registry_consumer::RegistryConsumer;
use crate::avro::framing::Framing;
use crate::avro::schema_lookup::{SchemaLookups, SchemaSource};
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::model::shard::AssignedShard;
use crate::registry::event::{EventBurst, RegistryEvent};
use crate::retry::PATIENCE;
use crate::telemetry::health::PipelineHealth;

/// Follows the partitions of the registry topic of those shards that this instance has: with one thread, and one read_committed
/// consumer outside of any group. Dropping it ends the thread and leaves all shards.
pub struct RegistryFollower {
    following: Arc<Following>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What is said in the shards that are followed, from where their initial readings ended on.
pub struct FollowedEvents(Arc<Following>);

impl RegistryFollower {
    /// Of the registry topic, which has `partitions`. `schemas` tells the schemas of others, asked on `runtime`; `framing` is what
    /// this process itself writes such records with. `health` is told which partitions can't be read on.
    ///
    /// # Errors
    /// Where there can be no consumer, or no thread.
    pub fn start(
        settings: &Settings,
        schemas: Option<Arc<dyn SchemaSource>>,
        framing: Framing,
        partitions: i32,
        health: Arc<PipelineHealth>,
        runtime: Handle,
    ) -> Result<(RegistryFollower, FollowedEvents), ClientError> {
        let failed = |error| ClientError::new("the registry can't be followed", error);
        let consumer = RegistryConsumer::new(settings).map_err(failed)?;
        let reader = EventReader::new(framing, settings.topics.registry.clone(), partitions);
        let lookups = SchemaLookups::new("registrations", schemas, PATIENCE);
        let following = Arc::new(Following::new(consumer, reader, lookups, runtime));
        let (reading, stop) = (following.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let hold_ups = HoldUps::new(&settings.topics.registry, health);
        let thread = std::thread::Builder::new()
            .name("registry".into())
            .spawn(move || read(&reading, hold_ups, &stopped))
            .map_err(|error| failed(KafkaError::ClientCreation(error.to_string())))?;
        let events = FollowedEvents(following.clone());
        Ok((RegistryFollower { following, stop, thread: Some(thread) }, events))
    }

    /// Reads the partition of the shard from its beginning. Resolves with everything that stands there, up to where it
    /// ended when this was asked: of each promoter the last that was said, tombstones among them, and each record that
    /// can't be read. What comes later comes out of [`FollowedEvents`], and not before this has resolved.
    ///
    /// It waits for schemas as long as their registry is away. Where it is dropped before it has resolved, the shard is
    /// left.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where the topic, or the right to read it, is missing. [`OpenError::Again`] where the shard was left
    /// meanwhile.
    pub fn follow(&self, shard: AssignedShard) -> BoxFuture<'static, Result<Vec<RegistryEvent>, OpenError>> {
        let mut untaken = UntakenShard { following: self.following.clone(), shard, is_taken: false };
        // At once, and not where the reading begins: a shard that is left in between is no longer expected then.
        let content = self.following.expect(shard);
        let following = self.following.clone();
        let beginning = self.following.runtime.spawn_blocking(move || following.begin(shard));
        Box::pin(async move {
            let begun = beginning.await;
            begun.unwrap_or_else(|error| Err(OpenError::Again(LogError::because("reading the registry", error))))?;
            let left = || OpenError::Again("the shard was left while its registry was read".into());
            let events = content.await.map_err(|_| left())??;
            untaken.take();
            Ok(events)
        })
    }

    /// Ends the following of the shard: nothing of it comes out of [`FollowedEvents`] any more.
    pub fn leave(&self, shard: AssignedShard) {
        self.following.leave(shard);
    }
}

impl Drop for RegistryFollower {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
        // Tells whoever still waits for what stands in a shard that nobody reads it any more.
        self.following.leave_all();
    }
}

impl FollowedEvents {
    /// What has been said in one shard within moments, in order; at most about a thousand records. May be dropped and
    /// called again. Waits for ever once the [`RegistryFollower`] is gone.
    pub async fn next(&mut self) -> (AssignedShard, EventBurst) {
        self.0.next().await
    }
}

/// A shard whose initial content nobody has taken yet.
struct UntakenShard {
    following: Arc<Following>,
    shard: AssignedShard,
    is_taken: bool,
}

impl UntakenShard {
    fn take(&mut self) {
        self.is_taken = true;
        self.following.taken(self.shard);
    }
}

impl Drop for UntakenShard {
    fn drop(&mut self) {
        if !self.is_taken {
            self.following.leave(self.shard);
        }
    }
}

/// Until it is stopped.
fn read(following: &Arc<Following>, mut hold_ups: HoldUps, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match following.consumer.poll(stop) {
            // Told to stop, or nothing has come for a few seconds.
            None => {}
            Some(Ok(message)) => following.take(&message),
            Some(Err(KafkaError::PartitionEOF(partition))) => following.met_end(partition),
            Some(Err(error)) => following.failed(error),
        }
        hold_ups.look(|| following.held_up());
    }
}
