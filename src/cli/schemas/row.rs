//! What is told of the schema of one topic.

use serde::Serialize;

use crate::app::TopicSchema;
use crate::cli::stdout;

/// What a registry has of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "registration", rename_all = "lowercase")]
pub enum SubjectState {
    There {
        id: i32,
    },
    /// It was not there before.
    Registered {
        id: i32,
    },
    Missing,
    /// It is not there, and would be taken.
    Possible,
    Refused {
        reason: String,
    },
}

#[derive(Debug, Serialize)]
pub struct SchemaRow {
    topic: String,
    record: &'static str,
    subject: String,
    /// CRC-64-AVRO as a number in hex.
    crc64: String,
    /// The same bytes as they stand in Avro's single-object encoding, behind C3 01.
    single_object: String,
    /// Absent without a registry.
    #[serde(flatten)]
    registration: Option<SubjectState>,
}

impl SchemaRow {
    pub fn new(schema: TopicSchema<'_>, registration: Option<SubjectState>) -> SchemaRow {
        let fingerprint = schema.kind.fingerprint();
        SchemaRow {
            topic: schema.topic.to_owned(),
            record: schema.kind.name(),
            subject: schema.subject(),
            crc64: format!("{:016x}", fingerprint.crc64()),
            single_object: fingerprint.to_string(),
            registration,
        }
    }

    pub fn is_refused(&self) -> bool {
        matches!(self.registration, Some(SubjectState::Refused { .. }))
    }

    fn in_words(&self) -> String {
        match &self.registration {
            None => "no registry".to_owned(),
            Some(SubjectState::There { id }) => format!("id {id}"),
            Some(SubjectState::Registered { id }) => format!("registered as id {id}"),
            Some(SubjectState::Missing) => "not registered".to_owned(),
            Some(SubjectState::Possible) => "would be registered".to_owned(),
            Some(SubjectState::Refused { reason }) => format!("refused: {reason}"),
        }
    }
}

/// # Errors
/// Where they can't be written.
pub fn print(rows: &[SchemaRow], as_json: bool) -> anyhow::Result<()> {
    let mut text = String::new();
    if as_json {
        for row in rows {
            text += &(serde_json::to_string(row)? + "\n");
        }
        return stdout::print(&text);
    }
    let width = rows.iter().map(|row| row.topic.len()).max().unwrap_or(0).max("topic".len());
    text += &format!("{:width$}  {:23}  {:16}  {:16}  registry\n", "topic", "record", "CRC-64-AVRO", "single object");
    for row in rows {
        let SchemaRow { topic, record, crc64, single_object, .. } = row;
        text += &format!("{topic:width$}  {record:23}  {crc64}  {single_object}  {}\n", row.in_words());
    }
    stdout::print(&text)
}
