//! Decodes the records of one kind, in whatever schema of a registry they are written.

use tokio::runtime::Handle;

use crate::avro::decode::Decoded;
use crate::avro::framing::Framing;
use crate::avro::kind_decoder::{FieldsError, KindDecoder};
use crate::avro::schema_registry::SchemaRegistrySettings;
use crate::avro::schemas::RecordKind;
use crate::changes::learnt_schemas::{LearntSchemas, SchemaUnavailable};

/// What a record holds, or why that can't be told.
pub type LearntValue = Result<Option<Decoded>, UnreadableValue>;

#[derive(Debug, thiserror::Error)]
pub enum UnreadableValue {
    /// In words, bounded.
    #[error("{0}")]
    NotAvro(String),
    #[error(transparent)]
    WithoutSchema(SchemaUnavailable),
    #[error("written with the schema id {0}, which is unknown")]
    UnknownSchema(i32),
}

pub struct RecordDecoder {
    decoder: KindDecoder,
    schemas: LearntSchemas,
}

impl RecordDecoder {
    /// `runtime` is where a registry is asked.
    ///
    /// # Errors
    /// Where there is no client for the registry.
    pub fn new(
        kind: RecordKind,
        schema_registry: Option<SchemaRegistrySettings>,
        runtime: Handle,
    ) -> anyhow::Result<RecordDecoder> {
        let schemas = LearntSchemas::new(schema_registry, runtime, None)?;
        Ok(RecordDecoder { decoder: KindDecoder::new(kind, Framing::SingleObject), schemas })
    }

    /// Blocks while a registry is asked for a schema.
    ///
    /// # Errors
    /// The outer one ends the reading: the registry gives no answer. The inner one is the record's own.
    pub fn decode(&mut self, value: Option<&[u8]>) -> anyhow::Result<LearntValue> {
        let Some(value) = value else { return Ok(Ok(None)) };
        let id = match self.decoder.decode(value) {
            Ok(decoded) => return Ok(Ok(Some(decoded))),
            Err(FieldsError::Unreadable(why)) => return Ok(Err(UnreadableValue::NotAvro(why))),
            Err(FieldsError::UnknownSchema(id)) => id,
        };
        if let Err(why) = self.schemas.look_up(id, |id, text| self.decoder.learn(id, text))? {
            return Ok(Err(UnreadableValue::WithoutSchema(why)));
        }
        Ok(match self.decoder.decode(value) {
            Ok(decoded) => Ok(Some(decoded)),
            Err(FieldsError::Unreadable(why)) => Err(UnreadableValue::NotAvro(why)),
            Err(FieldsError::UnknownSchema(id)) => Err(UnreadableValue::UnknownSchema(id)),
        })
    }
}
