//! Requests for material and their replies: from bytes to the domain, and back.
//!
//! Requests come from programs that are not ours, in three shapes: framed for a schema registry, as an Avro single
//! object, or as JSON. A schema id that is not this release's own names a schema of the requester's, whose fields are then
//! matched by their names.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use parking_lot::Mutex;
use serde_bytes::Bytes;

use super::decode::{Body, DETAIL_CHARS_MAX, DecodeError, Decoder};
use super::encode::{EncodeError, Encoder};
use super::framing::{self, Framing, SchemaReference};
use super::positional::positional_record;
use super::schemas::RecordKind;
use crate::model::material::{MaterialOutcome, MaterialRequest, MaterialResult};
use crate::model::time::UnixMillis;

/// How many schemas of others are kept: requesters are few, and each has a handful of them over the years.
const FOREIGN_MAX: usize = 64;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A registry may know it: see [`RequestDecoder::learn`].
    #[error("written with the schema id {0}, which is not known")]
    UnknownSchema(i32),
    #[error("{0}")]
    Unreadable(String),
    /// It is known which request this is, and which of its fields is wrong.
    #[error("{flaw}")]
    Flawed { request: Box<MaterialRequest>, flaw: FieldFlaw },
}

/// Why a schema of others is none that requests can be read with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSchema {
    /// In apache-avro's words, bounded.
    #[error("{0}")]
    Unreadable(String),
    #[error("its schema, of id {0}, is not a record of plain fields as that of requests is")]
    NotFlat(i32),
}

/// Reads requests. Any bytes give a request or an error.
pub struct RequestDecoder {
    decoder: Decoder,
    own_id: Option<i32>,
    foreign: Mutex<HashMap<i32, Arc<Schema>>>,
}

impl RequestDecoder {
    /// `framing` is what this connector itself writes requests with.
    pub fn new(framing: Framing) -> RequestDecoder {
        let own_id = match framing {
            Framing::Confluent { schema_id } => Some(schema_id),
            Framing::SingleObject => None,
        };
        let decoder = Decoder::new(own_id.map(|id| (id, RecordKind::MaterialRequest)));
        RequestDecoder { decoder, own_id, foreign: Mutex::default() }
    }

    /// The id of the schema that this connector itself writes requests with, where a registry has it.
    pub fn own_id(&self) -> Option<i32> {
        self.own_id
    }

    /// The id under which a registry has the schema of the request, where it is framed for one.
    pub fn schema_id(framed: &[u8]) -> Option<i32> {
        match framing::split(framed)? {
            (SchemaReference::Id(id), _) => Some(id),
            (SchemaReference::Fingerprint(_), _) => None,
        }
    }

    pub fn decode_avro(&self, framed: &[u8]) -> Result<MaterialRequest, RequestError> {
        match self.decoder.fields(framed) {
            Ok((RecordKind::MaterialRequest, fields)) => request(fields),
            Ok((other, _)) => Err(unreadable(format!("a {other}, where a {} belongs", RecordKind::MaterialRequest))),
            Err(DecodeError::UnknownId(id)) => self.decode_foreign(id, framed),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// See [`json`]: a byte order mark is skipped, unknown fields are ignored.
    pub fn decode_json(&self, text: &[u8]) -> Result<MaterialRequest, RequestError> {
        json::decode(text)
    }

    /// Takes the text of a schema that a registry has under `id`.
    ///
    /// # Errors
    /// Where requests can't be read with it.
    pub fn learn(&self, id: i32, schema: &str) -> Result<(), UnusableSchema> {
        let schema = Schema::parse_str(schema);
        let schema = schema.map_err(|error| UnusableSchema::Unreadable(bounded(error.to_string())))?;
        if !flat::is_flat_record(&schema) {
            return Err(UnusableSchema::NotFlat(id));
        }
        let mut foreign = self.foreign.lock();
        if foreign.len() >= FOREIGN_MAX {
            foreign.clear();
        }
        foreign.insert(id, Arc::new(schema));
        Ok(())
    }

    fn decode_foreign(&self, id: i32, framed: &[u8]) -> Result<MaterialRequest, RequestError> {
        let schema = self.foreign.lock().get(&id).cloned();
        let schema = schema.ok_or(RequestError::UnknownSchema(id))?;
        let Some((SchemaReference::Id(_), body)) = framing::split(framed) else {
            return Err(unreadable("its frame is broken"));
        };
        let context = |error: apache_avro::Error| unreadable(format!("with the schema of id {id}: {error}"));
        let reader = GenericDatumReader::builder(&schema)
            .reader_schema(RecordKind::MaterialRequest.schema())
            .human_readable(false)
            .build()
            .map_err(context)?;
        let mut body = Body(body);
        match reader.read_value(&mut body).map_err(context)? {
            Value::Record(fields) if body.0.is_empty() => request(fields),
            Value::Record(_) => Err(unreadable(format!("{} bytes too many", body.0.len()))),
            _ => Err(unreadable("not a record")),
        }
    }
}

fn request(fields: Vec<(String, Value)>) -> Result<MaterialRequest, RequestError> {
    let mut request = MaterialRequest::default();
    for (name, value) in fields {
        let value = match value {
            Value::Union(_, value) => *value,
            value => value,
        };
        match (name.as_str(), value) {
            ("request_id", Value::String(text)) => request.request_id = text,
            ("app_id", Value::String(text)) => request.app_id = text,
            ("promoter_openid", Value::String(text)) => request.promoter_openid = text,
            ("path", Value::String(text)) => request.path = text,
            ("extra_info", Value::String(text)) => request.extra_info = Some(text),
            ("title", Value::String(text)) => request.title = Some(text),
            ("env_version", Value::String(text)) => request.env_version = Some(text),
            ("share_type", Value::Int(number)) => request.share_type = Some(number),
            ("deadline", Value::TimestampMillis(millis)) => request.deadline = Some(UnixMillis(millis)),
            (_, Value::Null) => {}
            (name, _) => return Err(unreadable(format!("{name} is of another type"))),
        }
    }
    Ok(request)
}

fn unreadable(error: impl ToString) -> RequestError {
    RequestError::Unreadable(bounded(error.to_string()))
}

/// Texts of apache-avro and of serde_json may quote what was read.
fn bounded(text: String) -> String {
    crate::text::bounded(&text, DETAIL_CHARS_MAX).to_owned()
}

/// Writes requests.
pub struct RequestEncoder(Encoder);

impl RequestEncoder {
    pub fn new(framing: Framing) -> RequestEncoder {
        RequestEncoder(Encoder::new::<EncodedRequest>(framing))
    }

    /// Writes `request`, framed, over what `buffer` held.
    pub fn encode(&self, request: &MaterialRequest, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
        let record = EncodedRequest {
            request_id: &request.request_id,
            app_id: &request.app_id,
            promoter_openid: &request.promoter_openid,
            path: &request.path,
            extra_info: request.extra_info.as_deref(),
            title: request.title.as_deref(),
            env_version: request.env_version.as_deref(),
            share_type: request.share_type,
            deadline: request.deadline.map(|deadline| deadline.0),
        };
        self.0.encode(&record, buffer)
    }
}

positional_record! {
    RecordKind::MaterialRequest:
    pub(super) struct EncodedRequest<'a> {
        request_id: &'a str,
        app_id: &'a str,
        promoter_openid: &'a str,
        path: &'a str,
        extra_info: Option<&'a str>,
        title: Option<&'a str>,
        env_version: Option<&'a str>,
        share_type: Option<i32>,
        deadline: Option<i64>,
    }
}

/// Writes replies.
pub struct ResultEncoder(Encoder);

impl ResultEncoder {
    pub fn new(framing: Framing) -> ResultEncoder {
        ResultEncoder(Encoder::new::<EncodedResult>(framing))
    }

    /// Writes `result`, framed, over what `buffer` held.
    pub fn encode(&self, result: &MaterialResult, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.0.encode(&EncodedResult::from(result), buffer)
    }
}

positional_record! {
    RecordKind::MaterialResult:
    pub(super) struct EncodedResult<'a> {
        request_id: &'a str,
        app_id: &'a str,
        promoter_openid: &'a str,
        status: &'static str,
        share_path: Option<&'a str>,
        qrcode: Option<&'a Bytes>,
        qrcode_type: Option<&'a str>,
        tag: Option<&'a str>,
        errcode: Option<i32>,
        errmsg: Option<&'a str>,
        issued_at: Option<i64>,
        expires_at: Option<i64>,
    }
}

impl<'a> From<&'a MaterialResult> for EncodedResult<'a> {
    fn from(result: &'a MaterialResult) -> EncodedResult<'a> {
        let (status, material, refusal) = match &result.outcome {
            MaterialOutcome::Succeeded(material) => ("SUCCEEDED", Some(material), None),
            MaterialOutcome::Failed(refusal) => ("FAILED", None, Some(refusal)),
            MaterialOutcome::Rejected(refusal) => ("REJECTED", None, Some(refusal)),
            MaterialOutcome::Expired(refusal) => ("EXPIRED", None, Some(refusal)),
        };
        let qrcode = material.and_then(|material| material.qrcode.as_ref());
        EncodedResult {
            request_id: &result.request_id,
            app_id: &result.app_id,
            promoter_openid: &result.promoter_openid,
            status,
            share_path: material.and_then(|material| material.share_path.as_deref()),
            qrcode: qrcode.map(|image| Bytes::new(&image.bytes)),
            qrcode_type: qrcode.map(|image| image.kind.media_type()),
            tag: material.and_then(|material| material.tag.as_deref()),
            // A code beyond 32 bits is none of the upstream's; the words still tell.
            errcode: refusal.and_then(|refusal| refusal.errcode).and_then(|errcode| i32::try_from(errcode).ok()),
            errmsg: refusal.map(|refusal| refusal.message.as_str()),
            issued_at: material.map(|material| material.issued_at.0),
            expires_at: material.map(|material| material.expires_at().0),
        }
    }
}

mod flat;
mod json;

pub use json::FieldFlaw;

#[cfg(test)]
mod tests;
