//! Has a decoder learn the schemas that records are written in, each asked for once.

use std::error::Error;
use std::time::Instant;

use anyhow::Context;
use tokio::runtime::Handle;

use crate::avro::schema_registry::{SchemaRegistry, SchemaRegistrySettings};
use crate::avro::unavailable_schemas::UnavailableSchemas;
use crate::retry::{self, COMMAND_PATIENCE};
use crate::text::with_causes;

/// Why no record can be read with a schema.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SchemaUnavailable(String);

pub struct LearntSchemas {
    schema_registry: Option<SchemaRegistry>,
    unavailable: UnavailableSchemas<SchemaUnavailable>,
    /// Where a registry is asked. It has more threads than the one that waits.
    runtime: Handle,
    /// No registry is waited for any longer than that.
    until: Option<Instant>,
}

impl LearntSchemas {
    /// # Errors
    /// Where there is no client for the registry.
    pub fn new(
        schema_registry: Option<SchemaRegistrySettings>,
        runtime: Handle,
        until: Option<Instant>,
    ) -> anyhow::Result<LearntSchemas> {
        let schema_registry = schema_registry.map(SchemaRegistry::new).transpose()?;
        Ok(LearntSchemas { schema_registry, unavailable: UnavailableSchemas::default(), runtime, until })
    }

    /// Has `learn` take the text of a schema that the decoder does not know yet. Blocks while a registry is asked for it.
    ///
    /// # Errors
    /// The outer one ends the reading: the registry gives no answer, which says nothing of the schema. The inner one is why no
    /// record can be read with the schema; it is remembered.
    pub fn look_up<E: Error + 'static>(
        &mut self,
        id: i32,
        learn: impl FnOnce(i32, &str) -> Result<(), E>,
    ) -> anyhow::Result<Result<(), SchemaUnavailable>> {
        if let Some(why) = self.unavailable.why(id) {
            return Ok(Err(why.clone()));
        }
        let learnt = match self.schema(id)? {
            Some(text) => learn(id, &text).map_err(|error| SchemaUnavailable(with_causes(&error))),
            None => Err(SchemaUnavailable(match self.schema_registry {
                Some(_) => format!("written with the schema id {id}, which the schema registry does not know"),
                None => format!("written with the schema id {id}, and no [schema_registry] is configured to tell it"),
            })),
        };
        if let Err(why) = &learnt {
            self.unavailable.found_out(id, why.clone());
        }
        Ok(learnt)
    }

    /// The text of a schema; none where the registry does not know it, or there is none.
    ///
    /// # Errors
    /// Where the registry refuses to tell, or gives no answer within [`COMMAND_PATIENCE`] or by the time that the command has.
    fn schema(&self, id: i32) -> anyhow::Result<Option<String>> {
        let Some(registry) = &self.schema_registry else { return Ok(None) };
        let fetch = || registry.schema(id);
        let fetching = retry::retried("schema registry", fetch, |error| error.is_retriable(), COMMAND_PATIENCE);
        self.runtime.block_on(async {
            let Some(until) = self.until else { return fetching.await };
            let bounded = tokio::time::timeout_at(until.into(), fetching).await;
            bounded.context("the schema registry gives no answer")?
        })
    }
}
