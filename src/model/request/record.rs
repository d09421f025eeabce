//! A record of the request topic, and what it is answered with.

use bytes::Bytes;

use crate::model::dead_letter::DeadLetter;
use crate::model::material::MaterialResult;
use crate::model::time::UnixMillis;

/// The header that says how a value is written.
pub const CONTENT_TYPE: &str = "content-type";
/// What it says of JSON.
pub const JSON_TYPE: &str = "application/json";
/// The header that asks for the reply on another topic.
pub(crate) const REPLY_TOPIC: &str = "reply-topic";

/// Where a record stands in the request topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordOffset {
    pub partition: i32,
    pub offset: i64,
}

/// One record as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    pub location: RecordOffset,
    /// The record's time.
    pub timestamp: UnixMillis,
    pub key: Option<Bytes>,
    pub headers: Vec<Header>,
    /// Absent in a tombstone.
    pub value: Option<Bytes>,
}

/// A header of a record; one without a value is not one that is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Option<Bytes>,
}

/// The last of the `headers` of this name, whatever its case, as text.
fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let header = headers.iter().rev().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value.as_deref()?).ok()
}

/// Whether `headers` say that the value beside them is JSON.
pub fn is_json(headers: &[Header]) -> bool {
    let media_type = header(headers, CONTENT_TYPE).and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(JSON_TYPE))
}

impl RequestRecord {
    /// The last header of this name, whatever its case, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether the value says of itself that it is JSON.
    pub fn is_json(&self) -> bool {
        is_json(&self.headers)
    }

    /// Tells this record from any other that may stand at its place.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.timestamp.0.to_be_bytes());
        for part in [&self.key, &self.value] {
            let length = part.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64);
            hasher.update(&length.to_be_bytes()).update(part.as_deref().unwrap_or_default());
        }
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// What it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.iter().map(|header| header.name.len() + of(&header.value) + size_of::<Header>());
        of(&self.key) + of(&self.value) + headers.sum::<usize>() + size_of::<RequestRecord>()
    }
}

/// What a request is answered with: one of both, exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestAnswer {
    Reply(MaterialResult),
    DeadLetter(DeadLetter),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, &str)]) -> RequestRecord {
        let header = |(name, value): &(&str, &str)| Header {
            name: (*name).to_owned(),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
        };
        let location = RecordOffset { partition: 0, offset: 0 };
        RequestRecord {
            location,
            timestamp: UnixMillis(0),
            key: None,
            headers: headers.iter().map(header).collect(),
            value: None,
        }
    }

    #[test]
    fn a_fingerprint_tells_records_apart() {
        let bytes = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        let one = RequestRecord { key: bytes("k"), value: bytes("v"), ..record(&[]) };
        assert_eq!(one.fingerprint(), one.clone().fingerprint());
        for other in [
            RequestRecord { key: bytes("kv"), value: bytes(""), ..one.clone() },
            RequestRecord { key: None, ..one.clone() },
            RequestRecord { value: None, ..one.clone() },
            RequestRecord { value: bytes(""), ..one.clone() },
            RequestRecord { timestamp: UnixMillis(1), ..one.clone() },
        ] {
            assert_ne!(one.fingerprint(), other.fingerprint(), "{other:?}");
        }
    }

    #[test]
    fn json_is_what_the_last_content_type_says_is_json() {
        assert!(record(&[("content-type", "application/json")]).is_json());
        assert!(record(&[("Content-Type", " Application/JSON ; charset=utf-8")]).is_json());
        assert!(record(&[("content-type", "application/avro"), ("content-type", "application/json")]).is_json());
        assert!(!record(&[("content-type", "application/json"), ("content-type", "application/avro")]).is_json());
        assert!(!record(&[("content-type", "application/jsonl")]).is_json());
        assert!(!record(&[]).is_json());
    }
}
