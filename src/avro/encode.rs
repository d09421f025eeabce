//! From the domain to framed Avro records.

use apache_avro::writer::datum::GenericDatumWriter;

use super::framing::Framing;
use super::positional::PositionalRecord;
use super::records::{Circumstances, DeadLetterRecord, EventRecord};
use super::schemas::RecordKind;
use crate::model::dead_letter::DeadLetter;
use crate::model::fact::Fact;
use crate::model::feed::PerEventTopic;
use crate::model::promoter::{IdKind, Promoter};
use crate::model::time::UnixMillis;

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
}

impl Framings {
    /// Without a schema registry.
    pub const SINGLE_OBJECT: Framings = Framings {
        events: PerEventTopic { touches: Framing::SingleObject, orders: Framing::SingleObject },
        dead_letter: Framing::SingleObject,
    };
}

/// The encoders of what a poll can bring. Schemas are resolved here, once, and not per record.
///
/// The frame of an event is that of its topic, whatever the topic's records have in common with another's: each is registered
/// under its own subject, whose schema id may be another one.
pub struct Encoders {
    events: PerEventTopic<Encoder>,
    dead_letter: Encoder,
}

impl Encoders {
    pub fn new(framings: Framings) -> Encoders {
        Encoders {
            events: PerEventTopic::new(|topic| Encoder::of(RecordKind::of_events(topic), framings.events[topic])),
            dead_letter: Encoder::new::<DeadLetterRecord>(framings.dead_letter),
        }
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
        match EventRecord::of(fact, circumstances) {
            EventRecord::Touch(record) => encoder.encode(&record, buffer),
            EventRecord::Order(record) => encoder.encode(&record, buffer),
        }
    }

    /// Writes `letter`, framed, over what `buffer` held.
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
