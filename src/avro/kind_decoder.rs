//! Reads the records of one kind that others write too: in this release's schema, or in one of the writer's own, which a
//! registry has under an id, and whose fields are then matched by their names.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use parking_lot::Mutex;

use super::decode::{Body, DETAIL_CHARS_MAX, DecodeError, Decoded, Decoder};
use super::flat;
use super::framing::{self, Framing, SchemaReference};
use super::schemas::RecordKind;

/// How many schemas of others are kept: writers are few, and each has a handful of them over the years.
const FOREIGN_MAX: usize = 64;

/// Why a schema of others is none that records can be read with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSchema {
    /// In apache-avro's words, bounded.
    #[error("{0}")]
    Unreadable(String),
    #[error("its schema, of id {0}, is not a record of plain fields, and lists of texts, as ours are")]
    NotFlat(i32),
}

/// Why a record gives no fields.
#[derive(Debug, PartialEq, Eq)]
pub enum FieldsError {
    /// The schema with this id is not known yet: see [`KindDecoder::learn`].
    UnknownSchema(i32),
    /// In words, bounded.
    Unreadable(String),
}

pub struct KindDecoder {
    kind: RecordKind,
    decoder: Decoder,
    own_id: Option<i32>,
    foreign: Mutex<HashMap<i32, WriterSchema>>,
}

/// What stands in a registry under an id.
#[derive(Clone)]
enum WriterSchema {
    /// This release's own, under whatever subject.
    Own,
    Foreign(Arc<Schema>),
}

impl KindDecoder {
    /// `framing` is what this process itself writes such records with.
    pub fn new(kind: RecordKind, framing: Framing) -> KindDecoder {
        let own_id = match framing {
            Framing::Confluent { schema_id } => Some(schema_id),
            Framing::SingleObject => None,
        };
        let decoder = Decoder::new(own_id.map(|id| (id, kind)));
        KindDecoder { kind, decoder, own_id, foreign: Mutex::default() }
    }

    /// The id of the schema that this process itself writes such records with, where a registry has it.
    pub fn own_id(&self) -> Option<i32> {
        self.own_id
    }

    /// A record of this kind for people, framed in either way.
    ///
    /// # Errors
    /// [`FieldsError`], by whether a registry may know its schema, or nobody can read it.
    pub fn decode(&self, framed: &[u8]) -> Result<Decoded, FieldsError> {
        self.fields(framed).map(|fields| Decoded::new(self.kind, fields))
    }

    /// The fields of a record of this kind, framed in either way.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub(super) fn fields(&self, framed: &[u8]) -> Result<Vec<(String, Value)>, FieldsError> {
        match self.decoder.fields(framed) {
            Ok((kind, fields)) if kind == self.kind => Ok(fields),
            Ok((other, _)) => Err(unreadable(format!("a {other}, where a {} belongs", self.kind))),
            Err(DecodeError::UnknownId(id)) => self.foreign_fields(id, framed),
            Err(error @ DecodeError::NoFrame) if begins_like_json(framed) => {
                Err(unreadable(format!("{error}; where it is JSON, send the header content-type: application/json")))
            }
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Takes the text of a schema that a registry has under `id`.
    ///
    /// # Errors
    /// Where records can't be read with it.
    pub fn learn(&self, id: i32, text: &str) -> Result<(), UnusableSchema> {
        let schema = self.writer_schema(id, text)?;
        let mut foreign = self.foreign.lock();
        if foreign.len() >= FOREIGN_MAX {
            // All of them: which are still in use is not kept, and one that is met again is asked for again.
            foreign.clear();
        }
        foreign.insert(id, schema);
        Ok(())
    }

    /// # Errors
    /// [`UnusableSchema`] where it is no schema, or neither this release's nor a flat one.
    fn writer_schema(&self, id: i32, text: &str) -> Result<WriterSchema, UnusableSchema> {
        let unreadable = |error: apache_avro::Error| UnusableSchema::Unreadable(bounded(error.to_string()));
        let schema = Schema::parse_str(text).map_err(unreadable)?;
        if schema == *self.kind.schema() {
            return Ok(WriterSchema::Own);
        }
        if !flat::is_flat_record(&schema) {
            return Err(UnusableSchema::NotFlat(id));
        }
        Ok(WriterSchema::Foreign(Arc::new(schema)))
    }

    /// # Errors
    /// [`FieldsError::UnknownSchema`] where the schema was not learnt, or is forgotten by now; [`FieldsError::Unreadable`] where
    /// the record is not as its schema says.
    fn foreign_fields(&self, id: i32, framed: &[u8]) -> Result<Vec<(String, Value)>, FieldsError> {
        let schema = self.foreign.lock().get(&id).cloned();
        let schema = schema.ok_or(FieldsError::UnknownSchema(id))?;
        let Some((SchemaReference::Id(_), body)) = framing::split(framed) else {
            return Err(unreadable("its frame is broken"));
        };
        match schema {
            WriterSchema::Own => self.decoder.fields_of(self.kind, body).map_err(unreadable),
            WriterSchema::Foreign(schema) => self.resolved(&schema, body).map_err(|error| match error {
                Resolution::Avro(error) => unreadable(format!("with the schema of id {id}: {error}")),
                Resolution::TooLong(count) => unreadable(format!("{count} bytes too many")),
                Resolution::NoRecord => unreadable("not a record"),
            }),
        }
    }

    /// The fields of this release's schema, as a record in another one gives them.
    ///
    /// # Errors
    /// Where the bytes are no such record, go on behind it, or its schema can't be resolved to this release's.
    fn resolved(&self, schema: &Schema, body: &[u8]) -> Result<Vec<(String, Value)>, Resolution> {
        let reader = GenericDatumReader::builder(schema)
            .reader_schema(self.kind.schema())
            .human_readable(false)
            .build()
            .map_err(Resolution::Avro)?;
        let mut body = Body(body);
        match reader.read_value(&mut body).map_err(Resolution::Avro)? {
            Value::Record(fields) if body.0.is_empty() => Ok(fields),
            Value::Record(_) => Err(Resolution::TooLong(body.0.len())),
            _ => Err(Resolution::NoRecord),
        }
    }
}

/// Why a record in a schema of its writer's gives none of ours.
enum Resolution {
    Avro(apache_avro::Error),
    TooLong(usize),
    NoRecord,
}

/// Whether the value is an object in JSON by its first character, whatever it is called.
fn begins_like_json(value: &[u8]) -> bool {
    let text = value.strip_prefix("\u{feff}".as_bytes()).unwrap_or(value);
    text.trim_ascii_start().first() == Some(&b'{')
}

fn unreadable(error: impl ToString) -> FieldsError {
    FieldsError::Unreadable(bounded(error.to_string()))
}

/// Texts of apache-avro and of serde_json may quote what was read.
pub(super) fn bounded(text: String) -> String {
    crate::text::bounded(&text, DETAIL_CHARS_MAX).to_owned()
}
