//! `schemas`: the Avro contracts of the topics, and what a schema registry has of them.

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use tokio::runtime::Runtime;

use self::row::{SchemaRow, SubjectState};
use super::{Failure, stdout};
use crate::app::{TopicSchema, topic_schemas};
use crate::avro::schema_registry::{SchemaRegistry, SchemaRegistryError, TriedSchema};
use crate::avro::schemas::RecordKind;
use crate::config::RequestClientConfig;
use crate::telemetry::log;
use crate::text::with_causes;

mod asyncapi;
mod row;

#[derive(Clone, Debug, Subcommand)]
pub enum SchemasCommand {
    /// Say what each topic holds: its schema's fingerprints and, where a registry is configured, its id.
    List(SchemasOptions),
    /// Print a schema as it is registered. Needs no configuration.
    Show(ShowOptions),
    /// Ask the registry whether each schema is there or could be registered; register none.
    Check(SchemasOptions),
    /// Register those that are not there, as run does.
    Register(SchemasOptions),
    /// Print the topics with their schemas as an AsyncAPI 3 document, for catalogues. Asks nobody.
    Asyncapi,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct SchemasOptions {
    /// Print a JSON object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct ShowOptions {
    /// Such as touch or promoter.Touch.
    #[arg(value_parser = kind)]
    pub record: RecordKind,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write one of {}", RecordKind::ALL.map(short_name).join(", "))]
pub(crate) struct UnknownRecord;

/// # Errors
/// [`Failure::Found`] with 1 where the registry refuses one; else why there is no registry to ask, or it gives no answer.
pub fn run(path: &Path, command: &SchemasCommand) -> Result<(), Failure> {
    match command {
        SchemasCommand::Show(ShowOptions { record }) => Ok(stdout::print(record.text())?),
        SchemasCommand::List(options) => SchemaTopics::of(path)?.list(*options),
        SchemasCommand::Check(options) => SchemaTopics::of(path)?.tried(*options, RegistryAct::Try),
        SchemasCommand::Register(options) => SchemaTopics::of(path)?.tried(*options, RegistryAct::Register),
        SchemasCommand::Asyncapi => print_asyncapi(path),
    }
}

/// # Errors
/// [`Failure::Config`] where the configuration is wrong; [`Failure::Running`] where logging can't be started.
fn load(path: &Path) -> Result<RequestClientConfig, Failure> {
    let config = RequestClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    Ok(config)
}

fn topics(config: &RequestClientConfig) -> Vec<TopicSchema<'_>> {
    topic_schemas(&config.kafka.topics, config.requests.as_ref().map(|requests| &requests.topics))
}

/// # Errors
/// As [`load`]; or stdout takes nothing.
fn print_asyncapi(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let document = asyncapi::document(&config, &topics(&config));
    Ok(stdout::print(&format!("{document:#}\n"))?)
}

/// What is done about each schema.
#[derive(Clone, Copy)]
enum RegistryAct {
    Try,
    Register,
}

struct SchemaTopics {
    config: RequestClientConfig,
    registry: Option<SchemaRegistry>,
    runtime: Runtime,
}

impl SchemaTopics {
    /// # Errors
    /// [`Failure::Config`] where the configuration is wrong; [`Failure::Running`] where logging can't be started, or there is no
    /// client for the registry.
    fn of(path: &Path) -> Result<SchemaTopics, Failure> {
        let config = load(path)?;
        let registry =
            config.schema_registry.clone().map(SchemaRegistry::new).transpose().map_err(anyhow::Error::from)?;
        Ok(SchemaTopics { config, registry, runtime: super::runtime()? })
    }

    fn topics(&self) -> Vec<TopicSchema<'_>> {
        topics(&self.config)
    }

    /// What the registry does not tell is shown without it, for no fingerprint is its to say. It is asked no more then.
    ///
    /// # Errors
    /// That of the first schema that the registry does not answer for, once all are shown; or stdout takes nothing.
    fn list(&self, options: SchemasOptions) -> Result<(), Failure> {
        let mut unanswered = None;
        let mut registration = |schema: &TopicSchema<'_>| {
            let registry = self.registry.as_ref()?;
            if unanswered.is_some() {
                return Some(SubjectState::Unknown);
            }
            let id = self.runtime.block_on(registry.look_up(&schema.subject(), schema.kind.text()));
            Some(match id {
                Ok(id) => id.map_or(SubjectState::Missing, |id| SubjectState::There { id }),
                Err(error) => {
                    unanswered = Some(error);
                    SubjectState::Unknown
                }
            })
        };
        let rows = self.topics().into_iter().map(|schema| {
            let registration = registration(&schema);
            SchemaRow::new(schema, registration)
        });
        row::print(&rows.collect::<Vec<_>>(), options.json)?;
        unanswered.map_or(Ok(()), |error| Err(failure(error)))
    }

    /// Goes on behind what is refused, so that all of that is told.
    ///
    /// # Errors
    /// [`Failure::Refused`] where there is no registry; [`Failure::Found`] where it refuses a schema, once all are told; and at
    /// once where it can't be asked at all.
    fn tried(&self, options: SchemasOptions, act: RegistryAct) -> Result<(), Failure> {
        let Some(registry) = &self.registry else {
            let words = "there is no [schema_registry] in the configuration: records are single objects of Avro";
            return Err(Failure::Refused(words.into()));
        };
        let mut rows = Vec::new();
        for schema in self.topics() {
            let registration = match self.runtime.block_on(registration(registry, schema, act)) {
                Err(error) if !is_of_one(&error) => return Err(failure(error)),
                Err(error) => SubjectState::Refused { reason: with_causes(&error) },
                Ok(registration) => registration,
            };
            rows.push(SchemaRow::new(schema, Some(registration)));
        }
        row::print(&rows, options.json)?;
        if rows.iter().any(SchemaRow::is_refused) { Err(Failure::Found { exit_code: 1 }) } else { Ok(()) }
    }
}

/// # Errors
/// The registry's; that it finds the schema incompatible is none where that is only tried.
async fn registration(
    registry: &SchemaRegistry,
    schema: TopicSchema<'_>,
    act: RegistryAct,
) -> Result<SubjectState, SchemaRegistryError> {
    let (subject, text) = (schema.subject(), schema.kind.text());
    Ok(match (registry.try_register(&subject, text).await?, act) {
        (TriedSchema::Registered(id), _) => SubjectState::There { id },
        (TriedSchema::New | TriedSchema::Compatible, RegistryAct::Try) => SubjectState::Possible,
        (TriedSchema::Incompatible(reason), RegistryAct::Try) => SubjectState::Refused { reason },
        // Whether it is refused is the registry's to say when it is asked in earnest.
        (TriedSchema::New | TriedSchema::Compatible | TriedSchema::Incompatible(_), RegistryAct::Register) => {
            SubjectState::Registered { id: registry.register(&subject, text).await? }
        }
    })
}

/// Whether the registry refuses one schema, and may take others.
fn is_of_one(error: &SchemaRegistryError) -> bool {
    matches!(
        error,
        SchemaRegistryError::Incompatible { .. }
            | SchemaRegistryError::Refused { .. }
            | SchemaRegistryError::Denied { .. }
    )
}

fn failure(error: SchemaRegistryError) -> Failure {
    Failure::Running(anyhow!("{}", with_causes(&error)))
}

fn short_name(kind: RecordKind) -> &'static str {
    kind.file().trim_end_matches(".avsc")
}

fn kind(text: &str) -> Result<RecordKind, UnknownRecord> {
    RecordKind::ALL.into_iter().find(|kind| [kind.name(), short_name(*kind)].contains(&text)).ok_or(UnknownRecord)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_by_its_file_or_in_full() {
        for text in ["dead-letter", "promoter.DeadLetter"] {
            assert_eq!(kind(text), Ok(RecordKind::DeadLetter));
        }
        let error = kind("letter").unwrap_err().to_string();
        assert_eq!(
            error,
            "write one of touch, order, material-request, material-result, dead-letter, promoter, ledger-day"
        );
    }
}
