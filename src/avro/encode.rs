//! From the domain to framed Avro records.

use apache_avro::writer::datum::GenericDatumWriter;

use super::framing::Framing;
use super::positional::PositionalRecord;
use super::records::{Circumstances, DeadLetterRecord, EventRecord, LedgerDayRecord};
use super::schemas::RecordKind;
use crate::model::day_record::CountedDay;
use crate::model::dead_letter::DeadLetter;
use crate::model::fact::Fact;
use crate::model::feed::PerEventTopic;
use crate::model::promoter::{IdKind, Promoter};
use crate::model::shard::Shard;
use crate::model::time::UnixMillis;
use crate::user_ids::UserIds;

/// A record that its schema refuses: a fault of this program, as the wire shapes are made for their schemas.
#[derive(Debug, thiserror::Error)]
#[error("a {record} can't be encoded: {detail}")]
pub struct EncodeError {
    record: RecordKind,
    detail: String,
}

/// apache-avro's texts may hold whole schemas.
const DETAIL_CHARS_MAX: usize = 300;

/// How the topics of the polled facts are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framings {
    pub events: PerEventTopic<Framing>,
    pub dead_letter: Framing,
    /// Absent where the registry does not take its schema.
    pub ledger: Option<Framing>,
}

impl Framings {
    /// Without a schema registry.
    pub const SINGLE_OBJECT: Framings = Framings {
        events: PerEventTopic::of_each(Framing::SingleObject),
        dead_letter: Framing::SingleObject,
        ledger: Some(Framing::SingleObject),
    };
}

/// The encoders of what a poll can bring. Schemas are resolved here, once, and not per record.
///
/// The frame of an event is that of its topic, whatever the topic's records have in common with another's: each is registered
/// under its own subject, whose schema id may be another one.
pub struct Encoders {
    events: PerEventTopic<Encoder>,
    dead_letter: Encoder,
    ledger: Option<Encoder>,
    user_ids: UserIds,
}

impl Encoders {
    pub fn new(framings: Framings) -> Encoders {
        Encoders {
            events: PerEventTopic::new(|topic| Encoder::of(RecordKind::of_events(topic), framings.events[topic])),
            dead_letter: Encoder::new::<DeadLetterRecord>(framings.dead_letter),
            ledger: framings.ledger.map(Encoder::new::<LedgerDayRecord>),
            user_ids: UserIds::Plain,
        }
    }

    /// Events and dead letters show users' ids so.
    pub fn showing(self, user_ids: UserIds) -> Encoders {
        Encoders { user_ids, ..self }
    }

    /// Writes the event of `fact`, framed, over what `buffer` held. `observed_at` is when the row was read.
    ///
    /// # Errors
    /// [`EncodeError`]; `buffer` is empty then.
    pub fn fact(
        &self,
        fact: &Fact,
        promoter: &Promoter,
        id_kind: IdKind,
        observed_at: UnixMillis,
        buffer: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let event_id = fact.id.hex();
        let circumstances = Circumstances { event_id: event_id.as_str(), promoter, id_kind, observed_at };
        let encoder = &self.events[fact.memory.topic()];
        let user_id = self.user_ids.shown(fact.user_id());
        match EventRecord::of(fact, circumstances, user_id.as_str()) {
            EventRecord::Touch(record) => encoder.encode(&record, buffer),
            EventRecord::Order(record) => encoder.encode(&record, buffer),
        }
    }

    /// Whether days can be written.
    pub fn has_ledger(&self) -> bool {
        self.ledger.is_some()
    }

    /// Writes what `shard` tells of `day`, framed, over what `buffer` held.
    ///
    /// # Errors
    /// [`EncodeError`], also where the registry has not taken the schema; `buffer` is empty then.
    pub fn day(&self, day: &CountedDay, shard: Shard, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some(encoder) = &self.ledger else {
            buffer.clear();
            let detail = "the schema registry has no schema for it".to_owned();
            return Err(EncodeError { record: RecordKind::LedgerDay, detail });
        };
        let (on, since) = (day.key.day.to_string(), day.status.since.to_string());
        encoder.encode(&LedgerDayRecord::of(day, shard, &on, &since), buffer)
    }

    /// The letter as it may be written. To be asked once, before it is cut: of bytes that are not all there nothing can be told.
    pub fn shown(&self, letter: &DeadLetter) -> DeadLetter {
        self.user_ids.shown_in(letter)
    }

    /// Writes `letter`, which is as it may be [shown](Encoders::shown), framed, over what `buffer` held.
    ///
    /// # Errors
    /// [`EncodeError`]; `buffer` is empty then.
    pub fn dead_letter(&self, letter: &DeadLetter, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.dead_letter.encode(&DeadLetterRecord::from(letter), buffer)
    }
}

/// Writes records of one kind.
pub(super) struct Encoder {
    record: RecordKind,
    header: Vec<u8>,
    writer: GenericDatumWriter<'static>,
}

impl Encoder {
    pub(super) fn new<R: PositionalRecord>(framing: Framing) -> Encoder {
        Encoder::of(R::KIND, framing)
    }

    fn of(record: RecordKind, framing: Framing) -> Encoder {
        let writer = GenericDatumWriter::builder(record.schema())
            .human_readable(false)
            .build()
            .expect("a schema that refers to no other resolves on its own");
        Encoder { record, header: framing.header(record.fingerprint()), writer }
    }

    /// # Errors
    /// Where the schema refuses the record. `buffer` is empty then: half a record is nothing to send.
    pub(super) fn encode(&self, record: &impl PositionalRecord, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
        buffer.clear();
        buffer.extend_from_slice(&self.header);
        match self.writer.write_ser(buffer, record) {
            Ok(_) => Ok(()),
            Err(error) => {
                buffer.clear();
                let detail = crate::text::bounded(&error.to_string(), DETAIL_CHARS_MAX).to_owned();
                Err(EncodeError { record: self.record, detail })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::positional::positional_record;
    use super::*;
    use crate::avro::decode::Decoder;
    use crate::model::row::{Row, RowKind, Touch};
    use crate::model::time::UnixTime;
    use crate::user_ids::PseudonymKey;

    #[test]
    fn a_users_pseudonym_joins_touches_with_orders_and_changes_no_event_id() {
        let promoter = Promoter::from_key("wx1/oP").unwrap();
        let touch = Touch { openid: "oUSER".into(), ..Touch::default() };
        let order = Row::sample(RowKind::Order, UnixTime(2));
        let payment = order.payment().unwrap().clone();
        let entered = Fact::touch(&promoter, UnixTime(1), touch.clone(), Box::default());
        let facts = [entered, Fact::paid(&promoter, touch, payment, Box::default())];
        let shown = |user_ids: UserIds| {
            let encoders = Encoders::new(Framings::SINGLE_OBJECT).showing(user_ids);
            facts.each_ref().map(|fact| {
                let mut buffer = Vec::new();
                encoders.fact(fact, &promoter, IdKind::OpenId, UnixMillis(0), &mut buffer).unwrap();
                let event = serde_json::to_value(Decoder::new([]).decode(&buffer).unwrap()).unwrap();
                ["openid", "event_id", "promoter_openid"].map(|name| event[name].as_str().unwrap().to_owned())
            })
        };
        let key = UserIds::Pseudonyms(PseudonymKey::new(&"0123456789abcdef".into()).unwrap());
        let pseudonym = key.shown("oUSER").as_str().to_owned();
        let (plain, pseudonyms) = (shown(UserIds::Plain), shown(key));
        assert_eq!(plain.each_ref().map(|event| event[0].as_str()), ["oUSER"; 2]);
        assert_eq!(pseudonyms.each_ref().map(|event| event[0].as_str()), [pseudonym.as_str(); 2]);
        assert_eq!(plain.map(|event| event[1..].to_vec()), pseudonyms.map(|event| event[1..].to_vec()));
    }

    #[test]
    fn a_record_that_its_schema_refuses_is_a_short_error_and_leaves_nothing() {
        positional_record! {
            RecordKind::Touch:
            struct OtherRecord<'a> {
                event_id: &'a str,
            }
        }
        let encoder = Encoder::new::<OtherRecord>(Framing::SingleObject);
        let mut buffer = vec![1, 2, 3];
        let error = encoder.encode(&OtherRecord { event_id: "1" }, &mut buffer).unwrap_err().to_string();
        assert!(buffer.is_empty());
        assert!(error.starts_with("a promoter.Touch can't be encoded"), "{error}");
        assert!(error.len() < 400, "{error}");
    }
}
