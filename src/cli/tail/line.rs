//! A record as a line, for people or for programs.

use serde::Serialize;
use serde_json::json;

use crate::avro::decode::Decoded;
use crate::cli::learning_decoder::{LearntValue, UnreadableValue};
use crate::cli::times::in_beijing;
use crate::demo::event::{Kind, words};
use crate::kafka::topics::reader::ReadRecord;
use crate::model::request::record::Header;
use crate::text;

/// Of a key that is not one of the connector's.
const KEY_CHARS_MAX: usize = 200;

pub struct TailedRecord<'a> {
    pub record: &'a ReadRecord,
    pub value: &'a LearntValue,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    key: Option<String>,
    /// In milliseconds, as the record has it.
    timestamp: i64,
    headers: serde_json::Map<String, serde_json::Value>,
    value: Option<&'a Decoded>,
    /// Why the value can't be told.
    error: Option<String>,
}

impl TailedRecord<'_> {
    /// # Errors
    /// Where it makes no JSON, which no record does.
    pub fn json(&self) -> anyhow::Result<String> {
        let ReadRecord { topic, partition, offset, headers, timestamp, .. } = self.record;
        let line = JsonLine {
            topic,
            partition: *partition,
            offset: *offset,
            key: self.key(),
            timestamp: timestamp.0,
            headers: headers.iter().map(header).collect(),
            value: self.value.as_ref().ok().and_then(Option::as_ref),
            error: self.value.as_ref().err().map(UnreadableValue::to_string),
        };
        Ok(serde_json::to_string(&line)? + "\n")
    }

    /// Time in Beijing, place, key, and what happened.
    pub fn text(&self) -> String {
        let ReadRecord { partition, offset, timestamp, .. } = self.record;
        let place = format!("{partition}@{offset}");
        let said = match self.value {
            Ok(Some(decoded)) => words(decoded, Kind::of(decoded)),
            Ok(None) => "a tombstone".to_owned(),
            Err(why) => format!("can't be read: {why}"),
        };
        format!("{}  {place:10}  {}  {said}\n", in_beijing(*timestamp), self.key().unwrap_or_default())
    }

    fn key(&self) -> Option<String> {
        let key = String::from_utf8_lossy(self.record.key.as_deref()?);
        let key = text::bounded(&key, KEY_CHARS_MAX);
        Some(key.chars().map(|letter| if letter.is_control() { '·' } else { letter }).collect())
    }
}

fn header(Header { name, value }: &Header) -> (String, serde_json::Value) {
    (name.clone(), json!(value.as_deref().map(String::from_utf8_lossy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixMillis;

    fn record() -> ReadRecord {
        ReadRecord {
            topic: "promoter.touches".into(),
            partition: 3,
            offset: 12,
            key: Some(b"wx1/o1\x1b".to_vec()),
            value: Some(b"?".to_vec()),
            headers: vec![Header { name: "content-type".into(), value: Some("x".into()) }],
            timestamp: UnixMillis(1_668_614_400_123),
        }
    }

    #[test]
    fn what_can_not_be_read_is_a_line_too() {
        let line = TailedRecord { record: &record(), value: &Err(UnreadableValue::NotAvro("no frame".into())) };
        assert_eq!(line.text(), "2022-11-17 00:00:00+08  3@12        wx1/o1·  can't be read: no frame\n");
        let json: serde_json::Value = serde_json::from_str(&line.json().unwrap()).unwrap();
        let expected = json!({
            "topic": "promoter.touches", "partition": 3, "offset": 12, "key": "wx1/o1·", "timestamp": 1_668_614_400_123_i64,
            "headers": {"content-type": "x"}, "value": null, "error": "no frame",
        });
        assert_eq!(json, expected);
    }
}
