//! Requests for material and their replies: from bytes to the domain, and back.
//!
//! Requests come from programs that are not ours, in three shapes: framed for a schema registry, as an Avro single
//! object, or as JSON. A schema id that is not this release's own names a schema of the requester's, whose fields are then
//! matched by their names.

use apache_avro::types::Value;
use serde_bytes::Bytes;

use super::encode::{EncodeError, Encoder};
use super::framing::{self, Framing, SchemaReference};
use super::json_object::FieldFlaw;
use super::kind_decoder::{FieldsError, KindDecoder, UnusableSchema, bounded};
use super::positional::positional_record;
use super::schemas::RecordKind;
use crate::model::material::{MaterialOutcome, MaterialRequest, MaterialResult};
use crate::model::time::UnixMillis;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    /// A registry may know it: see [`RequestDecoder::learn`].
    #[error("written with the schema id {0}, which is not known")]
    UnknownSchema(i32),
    #[error("{0}")]
    Unreadable(String),
    /// It is known which request this is, and which of its fields is wrong.
    #[error("{flaw}")]
    Flawed { request: Box<MaterialRequest>, flaw: FieldFlaw },
}

impl From<FieldsError> for RequestError {
    fn from(error: FieldsError) -> RequestError {
        match error {
            FieldsError::UnknownSchema(id) => RequestError::UnknownSchema(id),
            FieldsError::Unreadable(words) => RequestError::Unreadable(words),
        }
    }
}

/// Reads requests. Any bytes give a request or an error.
pub struct RequestDecoder(KindDecoder);

impl RequestDecoder {
    /// `framing` is what this connector itself writes requests with.
    pub fn new(framing: Framing) -> RequestDecoder {
        RequestDecoder(KindDecoder::new(RecordKind::MaterialRequest, framing))
    }

    /// The id of the schema that this connector itself writes requests with, where a registry has it.
    pub fn own_id(&self) -> Option<i32> {
        self.0.own_id()
    }

    /// The id under which a registry has the schema of the request, where it is framed for one.
    pub fn schema_id(framed: &[u8]) -> Option<i32> {
        match framing::split(framed)? {
            (SchemaReference::Id(id), _) => Some(id),
            (SchemaReference::Fingerprint(_), _) => None,
        }
    }

    /// # Errors
    /// [`RequestError`], by whether nobody can read it, a registry may know its schema, or one of its fields is wrong.
    pub(crate) fn decode_avro(&self, framed: &[u8]) -> Result<MaterialRequest, RequestError> {
        request(self.0.fields(framed)?)
    }

    /// See [`json`]: a byte order mark is skipped, unknown fields are ignored.
    ///
    /// # Errors
    /// [`RequestError`], by whether nobody can read it, or one of its fields is wrong.
    pub(crate) fn decode_json(&self, text: &[u8]) -> Result<MaterialRequest, RequestError> {
        json::decode(text)
    }

    /// Takes the text of a schema that a registry has under `id`.
    ///
    /// # Errors
    /// Where requests can't be read with it.
    pub fn learn(&self, id: i32, schema: &str) -> Result<(), UnusableSchema> {
        self.0.learn(id, schema)
    }
}

/// # Errors
/// [`RequestError`] with the name of the first field whose value is of another type than that of this release's schema.
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

/// Writes requests.
pub struct RequestEncoder(Encoder);

impl RequestEncoder {
    pub fn new(framing: Framing) -> RequestEncoder {
        RequestEncoder(Encoder::new::<EncodedRequest>(framing))
    }

    /// Writes `request`, framed, over what `buffer` held.
    ///
    /// # Errors
    /// [`EncodeError`]; `buffer` is empty then.
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
    ///
    /// # Errors
    /// [`EncodeError`]; `buffer` is empty then.
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

mod json;

#[cfg(test)]
mod tests;
