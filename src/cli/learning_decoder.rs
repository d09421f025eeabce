//! Decodes the records of one kind, in whatever schema of a registry they are written.

use std::collections::HashMap;

use tokio::runtime::Handle;

use crate::avro::decode::Decoded;
use crate::avro::framing::Framing;
use crate::avro::kind_decoder::{FieldsError, KindDecoder};
use crate::avro::schema_registry::{SchemaRegistry, SchemaRegistrySettings};
use crate::avro::schemas::RecordKind;
use crate::supervisor::{self, COMMAND_PATIENCE};
use crate::text::with_causes;

/// What a record holds, or why that can't be told.
pub type LearntValue = Result<Option<Decoded>, String>;

/// How many ids that no record can be read with are kept in mind.
const UNUSABLE_MAX: usize = 1_000;

pub struct RecordDecoder {
    decoder: KindDecoder,
    schema_registry: Option<SchemaRegistry>,
    /// Ids that no record can be read with, and why.
    unusable: HashMap<i32, String>,
    runtime: Handle,
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
        let schema_registry = schema_registry.map(SchemaRegistry::new).transpose()?;
        let decoder = KindDecoder::new(kind, Framing::SingleObject);
        Ok(RecordDecoder { decoder, schema_registry, unusable: HashMap::new(), runtime })
    }

    /// Blocks while a registry is asked for a schema.
    ///
    /// # Errors
    /// The outer one ends the reading: the registry gives no answer. The inner one is the record's own.
    pub fn decode(&mut self, value: Option<&[u8]>) -> anyhow::Result<LearntValue> {
        let Some(value) = value else { return Ok(Ok(None)) };
        let id = match self.decoder.decode(value) {
            Ok(decoded) => return Ok(Ok(Some(decoded))),
            Err(FieldsError::Unreadable(why)) => return Ok(Err(why)),
            Err(FieldsError::UnknownSchema(id)) => id,
        };
        if !self.unusable.contains_key(&id) {
            self.learn(id)?;
        }
        if let Some(why) = self.unusable.get(&id) {
            return Ok(Err(why.clone()));
        }
        Ok(match self.decoder.decode(value) {
            Ok(decoded) => Ok(Some(decoded)),
            Err(FieldsError::Unreadable(why)) => Err(why),
            Err(FieldsError::UnknownSchema(id)) => Err(format!("written with the schema id {id}, which is unknown")),
        })
    }

    /// Asks for a schema. Where records can't be read with it, or nobody knows it, that is noted of its id.
    ///
    /// # Errors
    /// Where the registry gives no answer: that says nothing of the schema, and ends the reading.
    fn learn(&mut self, id: i32) -> anyhow::Result<()> {
        let learnt = match self.schema(id)? {
            Some(text) => self.decoder.learn(id, &text).map_err(|error| with_causes(&error)),
            None => Err(format!("written with the schema id {id}, which no schema registry knows")),
        };
        if let Err(why) = learnt {
            if self.unusable.len() >= UNUSABLE_MAX {
                self.unusable.clear();
            }
            self.unusable.insert(id, why);
        }
        Ok(())
    }

    /// The text of a schema; none where no registry knows it.
    ///
    /// # Errors
    /// Where the registry refuses to tell, or gives no answer within [`COMMAND_PATIENCE`].
    fn schema(&self, id: i32) -> anyhow::Result<Option<String>> {
        let Some(registry) = &self.schema_registry else { return Ok(None) };
        let fetching = supervisor::retried(
            "schema registry",
            || registry.schema(id),
            |error| error.is_retriable(),
            COMMAND_PATIENCE,
        );
        self.runtime.block_on(fetching)
    }
}
