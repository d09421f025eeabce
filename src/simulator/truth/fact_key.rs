//! A fact as one text, the same for what the upstream showed and for what a consumer read of it.
//!
//! A key is a JSON array of the fields that a fact consists of: so texts with any character in them stay apart, and a
//! person can read what is missing. Times in it are Unix seconds, bytes are base64. What a merchant may edit later is left
//! out, and so is what the connector adds by itself (`LEFT_OUT`). A field that is not there is as good as null.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::avro::schemas::RecordKind;

const PROMOTER: [&str; 2] = ["app_id", "promoter_openid"];
const TOUCH: [&str; 5] = ["openid", "create_time", "path", "scene", "share_extra_info"];
const PAYMENT: [&str; 8] =
    ["mch_id", "trade_no", "out_trade_no", "status", "status_code", "paid_amount", "paid_time", "refunded_time"];
/// The truth has the bytes of a dead letter under another name, since JSON has no bytes.
const RAW: &str = "raw";
const RAW_IN_TRUTH: &str = "raw_base64";

/// The fields of events and dead letters that are no part of a key.
#[cfg(test)]
const LEFT_OUT: [&str; 12] = [
    // What the connector adds.
    "event_id",
    "id_kind",
    "observed_at",
    // The merchant's latest words.
    "role_id",
    "retail_id",
    "extra_info",
    // What the connector says of a row, which the upstream does not; of requests, which stand in no truth, the place.
    "source",
    "reason",
    "detail",
    "topic",
    "partition",
    "offset",
];

/// The names of the fields that a record of this kind is compared by; nothing for one that carries no fact.
pub(in crate::simulator) fn compared(record: RecordKind) -> Option<Vec<&'static str>> {
    let own: &[&[&str]] = match record {
        RecordKind::Touch => &[&TOUCH],
        RecordKind::Order => &[&TOUCH, &PAYMENT],
        RecordKind::DeadLetter => &[&[RAW]],
        RecordKind::MaterialRequest | RecordKind::MaterialResult | RecordKind::Promoter | RecordKind::LedgerDay => {
            return None;
        }
    };
    Some([&PROMOTER[..], &own.concat()].concat())
}

/// The key of a line of the truth, as [`crate::simulator::Shown::to_json`] gives it. Nothing for a line of another kind.
pub fn shown_key(line: &Value) -> Option<String> {
    let record = match line["kind"].as_str()? {
        "touch" => RecordKind::Touch,
        "order" => RecordKind::Order,
        "dead_row" => RecordKind::DeadLetter,
        _ => return None,
    };
    key(record, |name| line[if name == RAW { RAW_IN_TRUTH } else { name }].clone())
}

/// The key of a decoded event or dead letter: times as RFC 3339, bytes as text or as `{"base64": …}`. Nothing for a
/// record that carries no fact.
pub fn published_key<'a>(record: RecordKind, field: impl Fn(&str) -> Option<&'a Value>) -> Option<String> {
    key(record, |name| match (name, field(name)) {
        (_, None) => Value::Null,
        (RAW, Some(raw)) => base64_of(raw),
        ("create_time" | "paid_time" | "refunded_time", Some(time)) => seconds(time),
        (_, Some(value)) => value.clone(),
    })
}

fn key(record: RecordKind, field: impl Fn(&str) -> Value) -> Option<String> {
    let fields = compared(record)?.into_iter().map(field);
    Some(Value::Array(std::iter::once(json!(record.name())).chain(fields).collect()).to_string())
}

/// RFC 3339 as Unix seconds. A time that is none, or has a fraction, stays as it is, and so equals nothing.
fn seconds(time: &Value) -> Value {
    let parsed = time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    match parsed {
        Some(parsed) if parsed.subsec_nanosecond() == 0 => parsed.as_second().into(),
        _ => time.clone(),
    }
}

fn base64_of(raw: &Value) -> Value {
    match raw {
        Value::String(text) => BASE64_STANDARD.encode(text).into(),
        raw => raw["base64"].clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::feed::EventTopic;

    /// The judge that shares no code with the connector has lists of its own, which must not fall behind.
    const OUTSIDE_JUDGE: &str = include_str!("../../../tests/soak/judge.py");

    /// A list of texts in the judge's own file.
    fn listed(name: &str) -> Vec<String> {
        let line = OUTSIDE_JUDGE.lines().find_map(|line| line.strip_prefix(&format!("{name} = "))).unwrap();
        let (base, own) = line.split_once(" + ").map_or((Vec::new(), line), |(base, own)| (listed(base), own));
        [base, serde_json::from_str(own).unwrap()].concat()
    }

    #[test]
    fn the_judge_from_outside_looks_at_the_same_topics_and_fields() {
        let names = |record| compared(record).unwrap().into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(listed("TOUCH"), names(RecordKind::Touch));
        assert_eq!(listed("ORDER"), names(RecordKind::Order));
        let events = EventTopic::ALL.map(|topic| (topic.name(), RecordKind::of_events(topic)));
        let looked_at = events.into_iter().chain([("dead-letters", RecordKind::DeadLetter)]);
        let (topics, schemas): (Vec<_>, Vec<_>) = looked_at
            .map(|(topic, record)| (format!("promoter.{topic}"), record.file().trim_end_matches(".avsc").to_owned()))
            .unzip();
        assert_eq!((listed("TOPICS"), listed("SCHEMAS")), (topics, schemas));
    }

    /// Whoever adds a field to a schema decides here whether it is a part of the fact.
    #[test]
    fn every_field_of_a_schema_is_compared_or_left_out() {
        for record in [RecordKind::Touch, RecordKind::Order, RecordKind::DeadLetter] {
            let schema: Value = serde_json::from_str(record.text()).unwrap();
            let fields: BTreeSet<&str> =
                schema["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
            let compared: BTreeSet<&str> = compared(record).unwrap().into_iter().collect();
            let left_out: BTreeSet<&str> = LEFT_OUT.into_iter().filter(|name| fields.contains(name)).collect();
            assert!(compared.is_disjoint(&left_out), "{record}");
            assert_eq!(
                &compared | &left_out,
                fields,
                "{record}: in src/simulator/truth/fact_key.rs each field has its place"
            );
        }
    }
}
