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
    /// The registry does not tell.
    Unknown,
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
        let Some(state) = &self.registration else { return "no registry".to_owned() };
        let state = match state {
            SubjectState::There { id } => format!("id {id}"),
            SubjectState::Registered { id } => format!("registered as id {id}"),
            SubjectState::Missing => "not registered".to_owned(),
            SubjectState::Possible => "would be registered".to_owned(),
            SubjectState::Refused { reason } => format!("refused: {reason}"),
            SubjectState::Unknown => "not known".to_owned(),
        };
        format!("{}: {state}", self.subject)
    }
}

/// # Errors
/// Where they can't be written.
pub fn print(rows: &[SchemaRow], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let mut text = String::new();
        for row in rows {
            text += &(serde_json::to_string(row)? + "\n");
        }
        return stdout::print(&text);
    }
    stdout::print(&table(rows))
}

fn table(rows: &[SchemaRow]) -> String {
    let width = |name: &str, column: fn(&SchemaRow) -> &str| {
        rows.iter().map(|row| column(row).len()).chain([name.len()]).max().unwrap_or_default()
    };
    let (topics, records) = (width("topic", |row| &row.topic), width("record", |row| row.record));
    let head =
        format!("{:topics$}  {:records$}  {:16}  {:16}  registry\n", "topic", "record", "CRC-64-AVRO", "single object");
    let line = |row: &SchemaRow| {
        let SchemaRow { topic, record, crc64, single_object, .. } = row;
        format!("{topic:topics$}  {record:records$}  {crc64}  {single_object}  {}\n", row.in_words())
    };
    std::iter::once(head).chain(rows.iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::schemas::RecordKind;

    #[test]
    fn columns_begin_at_one_place_and_a_registry_is_told_by_its_subject() {
        let row = |kind: RecordKind| {
            let topic = format!("promoter.{}", kind.file());
            SchemaRow::new(TopicSchema { topic: &topic, kind }, Some(SubjectState::There { id: 7 }))
        };
        let text = table(&RecordKind::ALL.map(row));
        let begin = text.lines().next().and_then(|head| head.find("CRC-64-AVRO")).unwrap();
        for (line, kind) in text.lines().skip(1).zip(RecordKind::ALL) {
            assert_eq!(&line[begin..begin + 16], format!("{:016x}", kind.fingerprint().crc64()), "{text}");
            assert!(line.ends_with(&format!("promoter.{}-value: id 7", kind.file())), "{text}");
        }
    }
}
