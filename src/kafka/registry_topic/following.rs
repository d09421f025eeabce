//! The shards that are followed, with the one consumer that reads their partitions.
//!
//! A partition is read only while its records can be taken. While they can't, because nobody takes what came before or a schema
//! has to be learnt first, it is taken away from the consumer, and given back to it at the offset that comes next: so it holds
//! up no other partition, and nothing of it waits in memory meanwhile. What the consumer is assigned changes under the lock on
//! the shards alone, so that it always reads those that are not held.
//!
//! **Where the initial reading ends.** The end is asked as a read_committed client is told it: an open transaction and what
//! stands behind it are beyond it, and are followed. Whoever writes by what it reads has to see that, too, and waits
//! ([`crate::kafka::topics::whole`]); who polls must not: everybody of the shard would stand still for as long as somebody else
//! leaves a transaction open, and those who are registered before it have nothing to do with that. Nor is anything undone by it:
//! that end never goes back, so whatever an earlier owner has acted on is read, and what is said behind it acts late, as it does
//! for an owner that has run all along, and [`hold_ups`](super::hold_ups) says so. It is reached by the records themselves, or, where markers of
//! transactions, aborted records or the gaps of compaction stand before it, by the position. A position is believed only
//! when the consumer has met the partition's end: until then it may be that of an earlier reading.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::event_reader::{EventReader, SchemaNeeded};
use super::followed_shard::FollowedShard;
use super::registry_consumer::RegistryConsumer;
use crate::avro::promoter::RegistryRecord;
use crate::avro::schema_lookup::{SchemaLookupError, SchemaLookups};
use crate::avro::unavailable_schemas::UnavailableSchemas;
use crate::clock;
use crate::commit::log::OpenError;
use crate::kafka::client::headers::headers;
use crate::model::request::record::is_json;
use crate::model::shard::AssignedShard;
use crate::model::time::UnixMillis;
use crate::registry::event::{EventBurst, RegistryEvent};
use crate::text::with_causes;

/// What stands in the partition of a shard, or why it can't be read.
pub(super) type InitialContent = Result<Vec<RegistryEvent>, OpenError>;

pub(super) struct Following {
    pub consumer: RegistryConsumer,
    pub runtime: Handle,
    reader: EventReader,
    lookups: SchemaLookups,
    shards: Mutex<FollowedShards>,
    /// Later events have arrived.
    arrived: Notify,
}

#[derive(Default)]
struct FollowedShards {
    /// By the number of their partition.
    followed: HashMap<i32, Followed>,
    /// The partitions with later events, in the order in which these arrived. Some may have been left, or taken, since.
    ready: VecDeque<i32>,
    unavailable: UnavailableSchemas<String>,
}

struct Followed {
    assigned: AssignedShard,
    /// To be told what stands there.
    content: Option<oneshot::Sender<InitialContent>>,
    /// Whether it was taken by whoever asked; what comes later is given out only then.
    is_taken: bool,
    shard: FollowedShard,
    /// Where the consumer has met the end of what it may see, and nothing has come since.
    met_end: Option<i64>,
    /// Why the consumer does not read the partition now.
    paused: Option<PauseReason>,
}

enum PauseReason {
    /// Where it ends is not known yet.
    Unbegun,
    /// Nobody takes what came before.
    Full,
    /// The next record needs a schema, which this asks for.
    Schema { _lookup: AbortOnDropHandle<()> },
}

impl Following {
    pub fn new(consumer: RegistryConsumer, reader: EventReader, lookups: SchemaLookups, runtime: Handle) -> Following {
        Following { consumer, runtime, reader, lookups, shards: Mutex::default(), arrived: Notify::new() }
    }

    /// Puts the shard among those that are followed, in place of an earlier assignment of it. Nothing is read before
    /// [`begin`](Self::begin).
    pub fn expect(&self, assigned: AssignedShard) -> oneshot::Receiver<InitialContent> {
        let (content, receiver) = oneshot::channel();
        let (shard, paused) = (FollowedShard::new(0, i64::MAX), Some(PauseReason::Unbegun));
        let followed = Followed { assigned, content: Some(content), is_taken: false, shard, met_end: None, paused };
        let mut shards = self.shards.lock();
        if let Some(before) = shards.followed.insert(assigned.shard.0, followed) {
            self.stop_reading(&before);
        }
        receiver
    }

    /// Asks where the partition ends, and begins to read it. Blocks.
    ///
    /// # Errors
    /// [`OpenError`] where the partition can't be asked for or read. That the shard was left meanwhile is none.
    pub fn begin(&self, assigned: AssignedShard) -> Result<(), OpenError> {
        let is_wanted = || self.shards.lock().of(assigned).is_some();
        let (beginning, end) = self.consumer.ends(assigned.shard.0, is_wanted)?;
        let mut shards = self.shards.lock();
        // It may have been left meanwhile; or have been expected once more, and begun by that: what has come since must not be dropped.
        let is_unbegun = |followed: &&mut Followed| matches!(followed.paused, Some(PauseReason::Unbegun));
        let Some(followed) = shards.of(assigned).filter(is_unbegun) else { return Ok(()) };
        followed.shard = FollowedShard::new(beginning, end);
        self.read_on(followed).map_err(|error| self.consumer.failure(error))?;
        followed.pass(beginning);
        Ok(())
    }

    /// What stands in the partition of the shard was taken.
    pub fn taken(&self, assigned: AssignedShard) {
        let mut shards = self.shards.lock();
        let Some(followed) = shards.of(assigned) else { return };
        followed.is_taken = true;
        if followed.shard.has_later() {
            self.tell(&mut shards, assigned.shard.0);
        }
    }

    /// Ends the following of the shard, unless it has been assigned anew.
    pub fn leave(&self, assigned: AssignedShard) {
        let mut shards = self.shards.lock();
        if shards.of(assigned).is_some() {
            self.forget(&mut shards, assigned.shard.0);
        }
    }

    /// Ends the following of all.
    pub fn leave_all(&self) {
        self.shards.lock().followed.drain().for_each(|(_, followed)| self.stop_reading(&followed));
    }

    /// The later events of one shard, waiting for some if need be.
    pub async fn next(&self) -> (AssignedShard, EventBurst) {
        loop {
            if let Some(burst) = self.take_later() {
                return burst;
            }
            self.arrived.notified().await;
        }
    }

    fn take_later(&self) -> Option<(AssignedShard, EventBurst)> {
        let mut shards = self.shards.lock();
        while let Some(partition) = shards.ready.pop_front() {
            let Some(followed) = shards.followed.get_mut(&partition) else { continue };
            if !followed.is_taken {
                continue;
            }
            let Some(burst) = followed.shard.later() else { continue };
            if matches!(followed.paused, Some(PauseReason::Full)) {
                self.resume(followed);
            }
            let (assigned, has_more) = (followed.assigned, followed.shard.has_later());
            if has_more {
                // Behind what waits of others.
                shards.ready.push_back(partition);
            }
            return Some((assigned, burst));
        }
        None
    }

    /// Takes a record that the consumer gives.
    pub fn take(self: &Arc<Self>, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), message.offset());
        let mut shards = self.shards.lock();
        let FollowedShards { followed, unavailable, .. } = &mut *shards;
        // It was polled before the partition was left, or held.
        let Some(followed) = followed.get_mut(&partition).filter(|followed| followed.paused.is_none()) else { return };
        followed.met_end = None;
        if offset < followed.shard.next() {
            return self.met_another_log(followed, offset);
        }
        followed.pass(offset);
        // Asked before it is read: what there is no room for is read again at this offset, when the partition is resumed.
        if !followed.shard.has_room() {
            return self.pause(followed, PauseReason::Full);
        }
        let headers = headers(message);
        let record = RegistryRecord {
            key: message.key(),
            value: message.payload(),
            is_json: is_json(&headers),
            timestamp: UnixMillis(message.timestamp().to_millis().unwrap_or_default()),
            read_at: clock::now(),
        };
        match self.reader.read(followed.assigned.shard, offset, record, |id| unavailable.why(id).cloned()) {
            Ok(event) => followed.shard.take(offset, event),
            Err(SchemaNeeded(id)) => return self.request_schema(followed, offset, id),
        }
        followed.pass(offset + 1);
        if followed.is_taken && followed.shard.has_later() {
            self.tell(&mut shards, partition);
        }
    }

    /// Offsets do not go back in one log: the topic was made anew, and the consumer went on at its beginning, for its own offset lay
    /// beyond the end. Where the new log has come that far already, nothing shows it.
    fn met_another_log(&self, followed: &mut Followed, offset: i64) {
        if followed.shard.is_reading() {
            return;
        }
        let (topic, partition, expected) = (self.consumer.topic(), followed.assigned.shard.0, followed.shard.next());
        tracing::warn!(topic, partition, offset, expected, "the registry was made anew: all that stands there is read");
        self.stop_reading(followed);
        followed.paused = Some(PauseReason::Unbegun);
        followed.shard.begin_anew();
        self.resume(followed);
    }

    /// The consumer has met the end of the partition, as far as it may see it.
    pub fn met_end(&self, partition: i32) {
        let mut shards = self.shards.lock();
        let is_read = |followed: &&mut Followed| followed.paused.is_none();
        let Some(followed) = shards.followed.get_mut(&partition).filter(is_read) else { return };
        let position = self.consumer.position(partition);
        // Where nothing was ever read of it there is none.
        followed.met_end = Some(position.unwrap_or_default().max(followed.shard.next()));
        position.into_iter().for_each(|position| followed.pass(position));
    }

    /// Each partition that is followed, with the offset at which an open transaction holds it up, if one does. Asks nobody.
    pub fn held_up(&self) -> Vec<(i32, Option<i64>)> {
        let shards = self.shards.lock();
        let held_up = |(partition, followed): (&i32, &Followed)| {
            // What is held because nobody takes it waits for somebody else, and is not fetched.
            let met_end = followed.met_end.filter(|_| followed.paused.is_none());
            let goes_on = |met_end: &i64| self.consumer.fetched_end(*partition).is_some_and(|end| end > *met_end);
            (*partition, met_end.filter(goes_on))
        };
        shards.followed.iter().map(held_up).collect()
    }

    /// The consumer could not read. What passes is logged; what does not ends the initial readings, for whose shard it is about
    /// is not told.
    pub fn failed(&self, error: KafkaError) {
        let Some(failure) = self.consumer.classify(error) else { return };
        let mut shards = self.shards.lock();
        let reading = shards.followed.iter_mut().filter(|(_, followed)| followed.shard.is_reading());
        let mut ended = Vec::new();
        for (partition, followed) in reading {
            followed.answer(Err(failure.clone()));
            ended.push(*partition);
        }
        ended.into_iter().for_each(|partition| self.forget(&mut shards, partition));
    }

    /// Asks for the schema that the next record of the partition needs.
    fn request_schema(self: &Arc<Self>, followed: &mut Followed, offset: i64, id: i32) {
        let (topic, partition) = (self.consumer.topic(), followed.assigned.shard.0);
        tracing::info!(topic, partition, offset, id, "a registration waits for its schema");
        let (following, assigned) = (self.clone(), followed.assigned);
        let lookup = self.runtime.spawn(async move {
            let learn = |text: &str| following.reader.learn(id, text);
            let learnt = following.lookups.learn(id, learn).await;
            following.schema_answered(assigned, id, learnt);
        });
        // The handle ends the lookup with the pause: for a shard that is left nobody waits for a schema.
        self.pause(followed, PauseReason::Schema { _lookup: AbortOnDropHandle::new(lookup) });
    }

    /// The schema with this `id` is known, or will not be.
    fn schema_answered(&self, assigned: AssignedShard, id: i32, learnt: Result<(), SchemaLookupError>) {
        let mut shards = self.shards.lock();
        if let Err(error) = learnt {
            shards.unavailable.found_out(id, with_causes(&error));
        }
        // Also where it is not to be had: the record is read again, and becomes a dead letter then.
        if let Some(followed) = shards.of(assigned)
            && matches!(followed.paused, Some(PauseReason::Schema { .. }))
        {
            self.resume(followed);
        }
    }

    fn tell(&self, shards: &mut FollowedShards, partition: i32) {
        if !shards.ready.contains(&partition) {
            shards.ready.push_back(partition);
        }
        self.arrived.notify_one();
    }

    fn forget(&self, shards: &mut FollowedShards, partition: i32) {
        if let Some(followed) = shards.followed.remove(&partition) {
            self.stop_reading(&followed);
        }
    }

    fn pause(&self, followed: &mut Followed, pause: PauseReason) {
        self.stop_reading(followed);
        followed.paused = Some(pause);
    }

    fn resume(&self, followed: &mut Followed) {
        if let Err(error) = self.read_on(followed) {
            let (topic, partition) = (self.consumer.topic(), followed.assigned.shard.0);
            tracing::error!(topic, partition, %error, "the registry can't be followed");
        }
    }

    /// The consumer reads the partition from the offset that comes next.
    ///
    /// # Errors
    /// That of librdkafka, which does not read the partition then: it stays paused.
    fn read_on(&self, followed: &mut Followed) -> KafkaResult<()> {
        self.consumer.read_from(followed.assigned.shard.0, followed.shard.next())?;
        (followed.paused, followed.met_end) = (None, None);
        Ok(())
    }

    /// The consumer reads the partition no more, if it did.
    fn stop_reading(&self, followed: &Followed) {
        if followed.paused.is_some() {
            return;
        }
        let (topic, partition) = (self.consumer.topic(), followed.assigned.shard.0);
        if let Err(error) = self.consumer.stop_reading(partition) {
            tracing::error!(topic, partition, %error, "a partition of the registry can't be given back");
        }
    }
}

impl FollowedShards {
    /// The shard, where this assignment of it is followed.
    fn of(&mut self, assigned: AssignedShard) -> Option<&mut Followed> {
        self.followed.get_mut(&assigned.shard.0).filter(|followed| followed.assigned == assigned)
    }
}

impl Followed {
    /// Everything below `position` was taken.
    fn pass(&mut self, position: i64) {
        let Some(events) = self.shard.finished_at(position) else { return };
        self.answer(Ok(events));
    }

    /// Whoever gives up waiting for it also leaves the shard, so it is no matter whether somebody hears it.
    fn answer(&mut self, content: InitialContent) {
        let _ = self.content.take().map(|sender| sender.send(content));
    }
}
