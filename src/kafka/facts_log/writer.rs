//! A batch as Kafka records.
//!
//! What can't be published becomes a dead letter in the same transaction. The encoded size of a record and the limit of its
//! topic are known here, so the state asks [`FactWriter::refusal`] before it plans an event, and remembers what is refused. What
//! has grown too old since then is only seen when it is written ([`FactWriter::has_aged`]): the log is opened anew then, for it was
//! counted as published. Were it written all the same, it would be a dead letter that nobody remembers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::avro::encode::Encoders;
use crate::model::batch::{Batch, Event, ShardRecord};
use crate::model::day_record::{DayContent, DayRecord};
use crate::model::dead_letter::DeadLetter;
use crate::model::fact::{FactId, dead_row_id};
use crate::model::feed::PerEventTopic;
use crate::model::promoter::IdKind;
use crate::model::shard::Shard;
use crate::model::state_record::StateRecord;
use crate::model::time::UnixMillis;
use crate::user_ids::PSEUDONYM_LENGTH;

use crate::kafka::client::settings::TopicNames;
use crate::kafka::facts_log::limits::SizeLimits;
use crate::kafka::transaction::dead_letters::DeadLetterTopic;
use crate::kafka::transaction::limits::OldestAccepted;
use crate::kafka::transaction::record::{RECORD_OVERHEAD, Record};

/// What an event takes beside its texts and its key, at most: numbers, the lengths of texts, its id, its frame.
const FIXED_BYTES_MAX: usize = 512;

/// Makes records of batches.
pub struct FactWriter {
    pub topics: TopicNames,
    pub encoders: Arc<Encoders>,
    /// By app id. An app that is not listed speaks in openids.
    pub id_kinds: HashMap<String, IdKind>,
    pub limits: SizeLimits,
    pub oldest: PerEventTopic<OldestAccepted>,
    pub state_partitions: i32,
}

impl FactWriter {
    /// Hands every record of the batch to `send`, until it fails. No timestamp is later than `now`.
    ///
    /// # Errors
    /// That of `send`.
    pub fn write<E>(
        &self,
        batch: &Batch,
        now: UnixMillis,
        mut send: impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = Vec::with_capacity(1024);
        let mut refused = HashSet::new();
        for event in &batch.events {
            if let Some(letter) = self.write_event(event, now, &mut buffer, &mut send)? {
                // The payment and the refund of one row are one row to the dead letters.
                if refused.insert((event.promoter.clone(), row_id(event))) {
                    self.write_dead_letter(&letter, now, &mut buffer, &mut send)?;
                }
            }
        }
        for letter in &batch.dead_letters {
            self.write_dead_letter(letter, now, &mut buffer, &mut send)?;
        }
        for record in &batch.state {
            self.write_state(record, now, &mut send)?;
        }
        self.write_days(&batch.days, now, &mut buffer, &mut send)?;
        for ShardRecord { assigned, key, value } in &batch.shard_records {
            send(Record {
                topic: &self.topics.state,
                partition: Some(assigned.shard.0),
                key: Some(key.as_bytes()),
                headers: &[],
                value: value.as_deref(),
                timestamp: now,
            })?;
        }
        Ok(())
    }

    /// # Errors
    /// That of `send`. An event that the topic would refuse is none: it is given back as a dead letter.
    fn write_event<E>(
        &self,
        event: &Event,
        now: UnixMillis,
        buffer: &mut Vec<u8>,
        send: &mut impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<Option<DeadLetter>, E> {
        let to = self.destination(event);
        let timestamp = match self.encode(event, to, buffer).and_then(|()| to.time(event, now)) {
            Ok(timestamp) => timestamp,
            Err(refused) => return Ok(Some(refused.letter(event))),
        };
        let key = Some(event.promoter.key().as_bytes());
        send(Record { topic: to.topic, partition: None, key, headers: &[], value: Some(buffer), timestamp })?;
        Ok(None)
    }

    /// Whether the event can't be published, and what stands for it among the dead letters then. The clock is asked only
    /// where the topic looks at the times of its records.
    pub fn refusal(&self, event: &Event, now: impl FnOnce() -> UnixMillis) -> Option<DeadLetter> {
        let to = self.destination(event);
        // Nearly all events are far from the limit, and need not be encoded to know that.
        let fits = length_max(event) <= to.limit;
        let encoded = if fits { Ok(()) } else { self.encode(event, to, &mut Vec::new()) };
        let in_time = |()| if to.oldest.is_any() { Ok(()) } else { to.time(event, now()).map(drop) };
        encoded.and_then(in_time).err().map(|refused| refused.letter(event))
    }

    fn destination(&self, event: &Event) -> Destination<'_> {
        let topic = event.fact.memory.topic();
        Destination { topic: &self.topics.events[topic], limit: self.limits.events[topic], oldest: self.oldest[topic] }
    }

    /// # Errors
    /// [`Unpublishable`] where it has no encoding, or is longer than the topic takes.
    fn encode(&self, event: &Event, to: Destination<'_>, buffer: &mut Vec<u8>) -> Result<(), Unpublishable> {
        let id_kind = self.id_kinds.get(event.promoter.app_id()).copied().unwrap_or(IdKind::OpenId);
        buffer.clear();
        let encoded = self.encoders.fact(&event.fact, &event.promoter, id_kind, event.observed_at, buffer);
        encoded.map_err(|error| Unpublishable { reason: "not_encodable", detail: error.to_string() })?;
        let Destination { topic, limit, .. } = to;
        if buffer.len() + event.promoter.key().len() + RECORD_OVERHEAD > limit {
            let detail = format!("the event is {} bytes long, topic {topic} takes {limit}", buffer.len());
            return Err(Unpublishable { reason: "too_large", detail });
        }
        Ok(())
    }

    /// # Errors
    /// That of `send`.
    fn write_dead_letter<E>(
        &self,
        letter: &DeadLetter,
        now: UnixMillis,
        buffer: &mut Vec<u8>,
        send: &mut impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let to = DeadLetterTopic { topic: &self.topics.dead_letters, limit: self.limits.dead_letters };
        to.write(letter, &self.encoders, now, buffer, send)
    }

    /// Whether it has events that have become too old for their topic at `now`: they were planned to be published, and counted so.
    pub fn has_aged(&self, batch: &Batch, now: UnixMillis) -> bool {
        if self.oldest.values().all(|oldest| oldest.is_any()) {
            return false;
        }
        batch.events.iter().any(|event| self.destination(event).time(event, now).is_err())
    }

    /// What each day comes to at the end of the batch: what it was in between nobody would see.
    ///
    /// # Errors
    /// That of `send`.
    fn write_days<E>(
        &self,
        days: &[DayRecord],
        now: UnixMillis,
        buffer: &mut Vec<u8>,
        send: &mut impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut written = HashSet::new();
        for DayRecord { shard, content } in days.iter().rev() {
            let key = content.key();
            if !written.insert((*shard, key.clone())) {
                continue;
            }
            send(Record {
                topic: &self.topics.state,
                partition: Some(shard.0),
                key: Some(key.as_bytes()),
                headers: &[],
                value: Some(&content.value()),
                timestamp: now,
            })?;
            let (DayContent::Counted(day), Some(topic)) = (content, &self.topics.ledger) else { continue };
            // Whoever has planned it knows whether there is one. A schema that refuses what is made for it is a fault of this program.
            if day.is_told() && self.encoders.day(day, *shard, buffer).is_ok() {
                let key = day.ledger_key(*shard);
                let (key, value) = (Some(key.as_bytes()), Some(buffer.as_slice()));
                send(Record { topic, partition: None, key, headers: &[], value, timestamp: now })?;
            }
        }
        Ok(())
    }

    /// # Errors
    /// That of `send`.
    fn write_state<E>(
        &self,
        record: &StateRecord,
        now: UnixMillis,
        send: &mut impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = record.key.encode();
        let value = record.value.as_ref().map(|value| value.encode());
        send(Record {
            topic: &self.topics.state,
            partition: Some(Shard::of(record.key.promoter(), self.state_partitions).0),
            key: Some(key.as_bytes()),
            headers: &[],
            value: value.as_deref(),
            timestamp: now,
        })
    }
}

/// The topic of an event, and what it takes.
#[derive(Clone, Copy)]
struct Destination<'a> {
    topic: &'a str,
    limit: usize,
    oldest: OldestAccepted,
}

impl Destination<'_> {
    /// The time of the event's record: its fact's, or when it was observed where it tells none; and never in the future.
    ///
    /// # Errors
    /// [`Unpublishable`] where that is before the oldest that the topic takes.
    fn time(self, event: &Event, now: UnixMillis) -> Result<UnixMillis, Unpublishable> {
        let of_fact = if event.fact.has_time() { event.fact.time.as_millis() } else { event.observed_at };
        let timestamp = of_fact.min(now);
        let Some(oldest) = self.oldest.at(now).filter(|oldest| timestamp < *oldest) else { return Ok(timestamp) };
        let (time, topic, oldest) = (event.fact.time, self.topic, oldest.as_seconds());
        let detail = format!("the fact's time is {time}, topic {topic} takes none before {oldest}");
        Err(Unpublishable { reason: "refused_time", detail })
    }
}

/// What a record of the event takes at most, in bytes: its texts, be the user shown by a pseudonym, and room for everything else.
fn length_max(event: &Event) -> usize {
    let texts = event.fact.content.text_length() + PSEUDONYM_LENGTH;
    texts + 2 * event.promoter.key().len() + FIXED_BYTES_MAX + RECORD_OVERHEAD
}

fn row_id(event: &Event) -> FactId {
    dead_row_id(&event.promoter, &event.fact.raw)
}

/// Why an event can't be published.
struct Unpublishable {
    reason: &'static str,
    detail: String,
}

impl Unpublishable {
    fn letter(self, event: &Event) -> DeadLetter {
        let Unpublishable { reason, detail } = self;
        let (feed, raw) = (event.fact.memory, event.fact.raw.clone());
        DeadLetter::of_row(feed, event.promoter.clone(), reason, detail, raw, event.observed_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::avro::encode::Framings;
    use crate::avro::round_trip::fact_of;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Or one that is too long would be planned as an event, and found out when it is written. Any of its texts is longer than the room
        /// for what is no text.
        #[test]
        fn no_event_is_longer_than_it_may_be_at_most((promoter, fact) in fact_of(700..800)) {
            let (encoders, mut buffer) = (Encoders::new(Framings::SINGLE_OBJECT), Vec::new());
            encoders.fact(&fact, &promoter, IdKind::OpenId, UnixMillis(0), &mut buffer).unwrap();
            let event = Event { promoter, fact, observed_at: UnixMillis(0), asked_before: None };
            let length = buffer.len() + event.promoter.key().len() + RECORD_OVERHEAD;
            prop_assert!(length <= length_max(&event), "{length}");
            prop_assert!(length + FIXED_BYTES_MAX + 2 * PSEUDONYM_LENGTH > length_max(&event), "{}", length_max(&event));
        }
    }
}
