//! What the upstream showed against what the consumer read, as exact multisets.
//!
//! Both sides are put in the same words: a key is a JSON array of the fields that a fact consists of, with times in Unix
//! seconds and raw bytes in base64. What a merchant may edit later, and what the connector adds, is left out.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::avro::decode::Decoded;
use crate::avro::schemas::RecordKind;
use crate::simulator::Shown;

const PROMOTER: [&str; 2] = ["app_id", "promoter_openid"];
const TOUCH: [&str; 5] = ["openid", "create_time", "path", "scene", "share_extra_info"];
const PAYMENT: [&str; 8] =
    ["mch_id", "trade_no", "out_trade_no", "status", "status_code", "paid_amount", "paid_time", "refunded_time"];
/// How many facts a verdict names of each kind of fault.
const NAMED_MAX: usize = 5;

/// What the consumer has read.
#[derive(Default)]
pub struct Ledger {
    published: HashMap<String, u64>,
    total: u64,
}

impl Ledger {
    pub fn enter(&mut self, event: &Decoded) {
        self.count(published_key(event));
    }

    fn count(&mut self, key: String) {
        *self.published.entry(key).or_default() += 1;
        self.total += 1;
    }

    /// How many events and dead letters were read, repeated ones included.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn verdict(self, shown: &[Shown]) -> Verdict {
        self.compare(shown.iter().map(shown_key))
    }

    fn compare(mut self, shown: impl Iterator<Item = String>) -> Verdict {
        let mut verdict = Verdict { published: self.total, ..Verdict::default() };
        let mut known = HashMap::new();
        for key in shown {
            verdict.shown += 1;
            *known.entry(key).or_insert(0u64) += 1;
        }
        for (key, times) in known {
            let published = self.published.remove(&key).unwrap_or(0);
            verdict.missing.extend((published..times).map(|_| key.clone()));
            verdict.twice.extend((times..published).map(|_| key.clone()));
        }
        verdict.never_shown = self.published.into_keys().collect();
        verdict
    }
}

/// How it ended. Displays as one line, and one more for each fact at fault, up to a few.
#[derive(Debug, Default)]
pub struct Verdict {
    pub shown: u64,
    pub published: u64,
    missing: Vec<String>,
    twice: Vec<String>,
    never_shown: Vec<String>,
}

impl Verdict {
    /// Whether each fact was published once, and nothing else.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.twice.is_empty() && self.never_shown.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { shown, published, missing, twice, never_shown } = self;
        write!(f, "shown {shown}, published {published}, missing {}, twice {}", missing.len(), twice.len())?;
        if !never_shown.is_empty() {
            write!(f, ", never shown {}", never_shown.len())?;
        }
        for (fault, keys) in [("missing", missing), ("twice", twice), ("never shown", never_shown)] {
            keys.iter().take(NAMED_MAX).try_for_each(|key| write!(f, "\n  {fault}: {key}"))?;
        }
        Ok(())
    }
}

fn shown_key(shown: &Shown) -> String {
    let line = shown.to_json();
    let field = |name: &str| line[name].clone();
    match line["kind"].as_str() {
        Some("touch") => key("touch", &[&PROMOTER, &TOUCH], field),
        Some("order") => key("order", &[&PROMOTER, &TOUCH, &PAYMENT], field),
        _ => key("dead", &[&PROMOTER, &["raw_base64"]], field),
    }
}

fn published_key(event: &Decoded) -> String {
    let field = |name: &str| match (name, event.field(name)) {
        ("raw_base64", _) => raw_base64(event.field("raw")),
        (_, None) => Value::Null,
        ("create_time" | "paid_time" | "refunded_time", Some(time)) => seconds(time),
        (_, Some(value)) => value.clone(),
    };
    match event.record {
        RecordKind::Touch => key("touch", &[&PROMOTER, &TOUCH], field),
        RecordKind::Order => key("order", &[&PROMOTER, &TOUCH, &PAYMENT], field),
        _ => key("dead", &[&PROMOTER, &["raw_base64"]], field),
    }
}

fn key(kind: &str, fields: &[&[&str]], field: impl Fn(&str) -> Value) -> String {
    let fields = fields.iter().flat_map(|names| names.iter()).map(|name| field(name));
    Value::Array(std::iter::once(json!(kind)).chain(fields).collect()).to_string()
}

/// RFC 3339 as Unix seconds. A time that is none, or has a fraction, stays as it is, and so equals nothing.
fn seconds(time: &Value) -> Value {
    let parsed = time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    match parsed {
        Some(parsed) if parsed.subsec_nanosecond() == 0 => parsed.as_second().into(),
        _ => time.clone(),
    }
}

fn raw_base64(raw: Option<&Value>) -> Value {
    match raw {
        Some(Value::String(text)) => BASE64_STANDARD.encode(text).into(),
        Some(raw) => raw["base64"].clone(),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(shown: &[&str], published: &[&str]) -> Verdict {
        let mut ledger = Ledger::default();
        published.iter().for_each(|key| ledger.count((*key).to_owned()));
        ledger.compare(shown.iter().map(|key| (*key).to_owned()))
    }

    #[test]
    fn the_same_facts_in_another_order_are_exact() {
        let verdict = verdict(&["a", "b", "b"], &["b", "a", "b"]);
        assert!(verdict.is_exact());
        assert_eq!(verdict.to_string(), "shown 3, published 3, missing 0, twice 0");
    }

    #[test]
    fn every_fault_is_counted_and_named() {
        let verdict = verdict(&["a", "b", "b", "c"], &["b", "c", "c", "c", "d"]);
        assert!(!verdict.is_exact());
        let text = verdict.to_string();
        assert!(text.starts_with("shown 4, published 5, missing 2, twice 2, never shown 1\n"), "{text}");
        for line in ["\n  missing: a", "\n  missing: b", "\n  twice: c", "\n  never shown: d"] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn a_single_fault_of_either_kind_is_not_exact() {
        assert!(!verdict(&["a"], &[]).is_exact());
        assert!(!verdict(&["a"], &["a", "a"]).is_exact());
        assert!(!verdict(&["a"], &["a", "b"]).is_exact());
    }
}
