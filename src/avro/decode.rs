//! From framed Avro records to what a person or a test can look at.

use std::collections::HashMap;
use std::io::{self, Read};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::util::max_allocation_bytes;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::framing::{self, SchemaReference};
use super::schemas::{Fingerprint, RecordKind};

/// Above any record of ours: a length beyond it is refused before memory is taken for it. apache-avro keeps
/// this bound for the whole process.
const LENGTH_MAX: usize = 64 * 1024 * 1024;

/// apache-avro's texts may quote what it read.
pub(super) const DETAIL_CHARS_MAX: usize = 300;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("neither framed for a schema registry nor as an Avro single object")]
    NoFrame,
    #[error("written with the schema id {0}, which is none of this release's")]
    UnknownId(i32),
    #[error("written with the schema fingerprint {0}, which is none of this release's")]
    UnknownFingerprint(Fingerprint),
    #[error("not a {record}: {detail}")]
    Malformed { record: RecordKind, detail: String },
    #[error("{count} bytes too many after a {record}")]
    TooLong { record: RecordKind, count: usize },
}

/// Reads records of all kinds. Any bytes give a record or an error.
pub struct Decoder {
    by_id: HashMap<i32, RecordKind>,
    by_fingerprint: HashMap<Fingerprint, RecordKind>,
    readers: [GenericDatumReader<'static>; RecordKind::ALL.len()],
}

impl Decoder {
    /// `ids` are those of a registry; without one, none.
    pub fn new(ids: impl IntoIterator<Item = (i32, RecordKind)>) -> Decoder {
        max_allocation_bytes(LENGTH_MAX);
        Decoder {
            by_id: ids.into_iter().collect(),
            by_fingerprint: RecordKind::ALL.map(|kind| (kind.fingerprint(), kind)).into(),
            readers: RecordKind::ALL.map(|kind| {
                GenericDatumReader::builder(kind.schema())
                    .human_readable(false)
                    .build()
                    .expect("a schema that refers to no other resolves on its own")
            }),
        }
    }

    /// # Errors
    /// [`DecodeError`] where it is not framed, its schema is none of these, or its body is not of that schema.
    pub fn decode(&self, framed: &[u8]) -> Result<Decoded, DecodeError> {
        let (record, fields) = self.fields(framed)?;
        Ok(Decoded::new(record, fields))
    }

    /// # Errors
    /// As [`decode`](Self::decode).
    pub(super) fn fields(&self, framed: &[u8]) -> Result<(RecordKind, Vec<(String, Value)>), DecodeError> {
        let (reference, body) = framing::split(framed).ok_or(DecodeError::NoFrame)?;
        let record = match reference {
            SchemaReference::Id(id) => self.by_id.get(&id).ok_or(DecodeError::UnknownId(id))?,
            SchemaReference::Fingerprint(fingerprint) => {
                self.by_fingerprint.get(&fingerprint).ok_or(DecodeError::UnknownFingerprint(fingerprint))?
            }
        };
        Ok((*record, self.fields_of(*record, body)?))
    }

    /// Those of the body of a record of this kind.
    ///
    /// # Errors
    /// [`DecodeError`] where the body is none of that kind, or goes on behind it.
    pub(super) fn fields_of(&self, record: RecordKind, body: &[u8]) -> Result<Vec<(String, Value)>, DecodeError> {
        let mut body = Body(body);
        match self.readers[record as usize].read_value(&mut body) {
            Ok(_) if !body.0.is_empty() => Err(DecodeError::TooLong { record, count: body.0.len() }),
            Ok(Value::Record(fields)) => Ok(fields),
            Ok(_) => Err(DecodeError::Malformed { record, detail: "not a record".into() }),
            Err(error) => {
                let detail = crate::text::bounded(&error.to_string(), DETAIL_CHARS_MAX).to_owned();
                Err(DecodeError::Malformed { record, detail })
            }
        }
    }
}

/// The bytes of a record, whose end is an error. To apache-avro an ordinary end of file inside a string or
/// before a union is a null, so that a record cut short would read as a whole one.
pub(super) struct Body<'a>(pub(super) &'a [u8]);

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the record is cut short"));
        }
        self.0.read(buffer)
    }
}

/// A record for people: its fields in the schema's order. Serializes as one JSON object.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub record: RecordKind,
    fields: Vec<(String, Json)>,
}

impl Decoded {
    pub(super) fn new(record: RecordKind, fields: Vec<(String, Value)>) -> Decoded {
        Decoded { record, fields: fields.into_iter().map(|(name, value)| (name, json(value))).collect() }
    }

    /// Times are RFC 3339 text; bytes are text where they are UTF-8, else `{"base64": "…"}`; an absent value is null.
    pub fn field(&self, name: &str) -> Option<&Json> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The field where it holds bytes.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        match self.field(name)? {
            Json::String(text) => Some(text.clone().into_bytes()),
            field => BASE64_STANDARD.decode(field["base64"].as_str()?).ok(),
        }
    }

    /// The field where it holds text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_str()
    }
}

impl Serialize for Decoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields.iter().map(|(name, value)| (name, value)))
    }
}

fn json(value: Value) -> Json {
    match value {
        Value::Union(_, value) => json(*value),
        Value::TimestampMillis(millis) => match jiff::Timestamp::from_millisecond(millis) {
            Ok(time) => time.to_string().into(),
            // A year that RFC 3339 has no digits for.
            Err(_) => millis.into(),
        },
        Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(error) => serde_json::json!({ "base64": BASE64_STANDARD.encode(error.as_bytes()) }),
        },
        Value::Array(items) => items.into_iter().map(json).collect(),
        Value::Map(entries) => Json::Object(entries.into_iter().map(|(key, value)| (key, json(value))).collect()),
        // Numbers, booleans, text and null. The schemas have nothing that JSON can't say.
        plain => Json::try_from(plain).unwrap_or(Json::Null),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::avro::framing::Framing;

    fn ids() -> impl Iterator<Item = (i32, RecordKind)> {
        (1..).zip(RecordKind::ALL)
    }

    fn framed(kind: RecordKind, body: &[u8]) -> Vec<u8> {
        [&Framing::SingleObject.header(kind.fingerprint()), body].concat()
    }

    #[test]
    fn a_record_is_shown_as_one_json_object_in_the_order_of_its_schema() {
        // One feed, no start, paused, one tag, the epoch, not discovered.
        let body = b"\x02a\x02p\x02\x0ETOUCHES\x00\x00\x01\x02\x02k\x02v\x00\x00\x00";
        let decoded = Decoder::new([]).decode(&framed(RecordKind::Promoter, body)).unwrap();
        assert_eq!(decoded.text("promoter_openid"), Some("p"));
        assert_eq!(
            serde_json::to_string(&decoded).unwrap(),
            r#"{"app_id":"a","promoter_openid":"p","feeds":["TOUCHES"],"start_from":null,"paused":true,"#.to_owned()
                + r#""tags":{"k":"v"},"updated_at":"1970-01-01T00:00:00Z","discovered":null}"#
        );
    }

    #[test]
    fn bytes_are_text_where_they_can_be_and_base64_elsewhere() {
        assert_eq!(json(Value::Bytes("{\"路\":1}".into())), Json::from("{\"路\":1}"));
        assert_eq!(json(Value::Bytes(vec![0xFF, 0])), serde_json::json!({ "base64": "/wA=" }));
    }

    #[test]
    fn times_are_rfc_3339_as_far_as_its_years_go() {
        assert_eq!(json(Value::TimestampMillis(1_668_614_400_123)), Json::from("2022-11-16T16:00:00.123Z"));
        assert_eq!(json(Value::TimestampMillis(i64::MAX)), Json::from(i64::MAX));
    }

    #[test]
    fn a_length_without_bound_is_refused() {
        let endless = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
        let error = Decoder::new([]).decode(&framed(RecordKind::DeadLetter, &endless)).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed { record: RecordKind::DeadLetter, .. }), "{error}");
    }

    #[test]
    fn a_record_of_an_unknown_schema_says_which() {
        let decoder = Decoder::new(ids());
        assert_eq!(decoder.decode(&[0, 0, 0, 0, 9, 1]), Err(DecodeError::UnknownId(9)));
        let unknown = Fingerprint([9; 8]);
        let record = Framing::SingleObject.header(unknown);
        assert_eq!(decoder.decode(&record), Err(DecodeError::UnknownFingerprint(unknown)));
        assert_eq!(decoder.decode(b"{}"), Err(DecodeError::NoFrame));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), id in 0..9i32) {
            let decoder = Decoder::new(ids());
            let _ = decoder.decode(&bytes);
            let _ = decoder.decode(&[&Framing::Confluent { schema_id: id }.header(Fingerprint([0; 8])), &bytes[..]].concat());
        }
    }
}
