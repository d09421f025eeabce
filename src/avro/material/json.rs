//! Requests that come as JSON, which people and small programs write: read field by field, so that a reply can name the
//! one that is wrong.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use jiff::fmt::temporal::Pieces;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{RequestError, unreadable};
use crate::model::material::MaterialRequest;
use crate::model::time::UnixMillis;

/// The names of the fields; whatever else stands there is ignored, so that requesters can be ahead of this release.
const NAMES: [&str; 9] =
    ["request_id", "app_id", "promoter_openid", "path", "extra_info", "title", "env_version", "share_type", "deadline"];

/// What is wrong with one field of a request, in the words of its rejection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldFlaw {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    #[error("{0} is not a text")]
    NotText(&'static str),
    #[error("{0} is not a whole number")]
    NotWholeNumber(&'static str),
    #[error("{0} is neither a time such as 2026-01-01T00:00:00+08:00 nor milliseconds since 1970")]
    NotTime(&'static str),
}

/// Field names as in Avro; `deadline` as RFC 3339 or in milliseconds, and a number may stand as text. Without a readable
/// `request_id`, or with a field twice, it is unreadable: nobody can be told which request it is.
pub(super) fn decode(bytes: &[u8]) -> Result<MaterialRequest, RequestError> {
    let text = String::from_utf8_lossy(crate::text::without_byte_order_mark(bytes));
    let is_damaged = matches!(text, Cow::Owned(_));
    let Fields(raw) = serde_json::from_str(&text).map_err(unreadable)?;
    let fields = Reader { raw, is_damaged };
    let mut request =
        MaterialRequest { request_id: fields.needed("request_id").map_err(unreadable)?, ..MaterialRequest::default() };
    let read = fields.read_into(&mut request);
    read.map(|()| request.clone()).map_err(|flaw| RequestError::Flawed { request: Box::new(request), flaw })
}

/// The known fields of one object, each as it is written.
struct Fields<'a>(HashMap<&'static str, &'a RawValue>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = HashMap::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let Some(name) = NAMES.into_iter().find(|name| *name == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if fields.insert(name, map.next_value()?).is_some() {
                return Err(serde::de::Error::duplicate_field(name));
            }
        }
        Ok(Fields(fields))
    }
}

/// Reads fields one by one.
struct Reader<'a> {
    raw: HashMap<&'static str, &'a RawValue>,
    /// Bytes that are no UTF-8 were replaced.
    is_damaged: bool,
}

impl Reader<'_> {
    /// Whose request it is comes first: the reply to a flaw further on repeats it.
    fn read_into(&self, request: &mut MaterialRequest) -> Result<(), FieldFlaw> {
        request.app_id = self.needed("app_id")?;
        request.promoter_openid = self.needed("promoter_openid")?;
        request.path = self.needed("path")?;
        request.extra_info = self.text("extra_info")?;
        request.title = self.text("title")?;
        request.env_version = self.text("env_version")?;
        request.share_type = self.whole_number("share_type")?;
        request.deadline = self.time("deadline")?;
        Ok(())
    }

    /// The field as it is written; null counts as absent.
    fn given(&self, name: &'static str) -> Result<Option<&str>, FieldFlaw> {
        let raw = self.raw.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null");
        match raw {
            Some(raw) if self.is_damaged && raw.contains('\u{FFFD}') => Err(FieldFlaw::NotUtf8(name)),
            raw => Ok(raw),
        }
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, FieldFlaw> {
        let Some(raw) = self.given(name)? else { return Ok(None) };
        // Half of a surrogate pair is no text either.
        serde_json::from_str(raw).map(Some).map_err(|_| FieldFlaw::NotText(name))
    }

    fn needed(&self, name: &'static str) -> Result<String, FieldFlaw> {
        self.text(name)?.ok_or(FieldFlaw::Missing(name))
    }

    fn whole_number(&self, name: &'static str) -> Result<Option<i32>, FieldFlaw> {
        let Some(raw) = self.given(name)? else { return Ok(None) };
        whole_number(raw).map(Some).ok_or(FieldFlaw::NotWholeNumber(name))
    }

    fn time(&self, name: &'static str) -> Result<Option<UnixMillis>, FieldFlaw> {
        let Some(raw) = self.given(name)? else { return Ok(None) };
        let written_out = || serde_json::from_str::<Cow<'_, str>>(raw).ok().and_then(|text| time(&text));
        whole_number(raw).map(UnixMillis).or_else(written_out).map(Some).ok_or(FieldFlaw::NotTime(name))
    }
}

/// Written as a number, or as a text that is one.
fn whole_number<N: std::str::FromStr + serde::de::DeserializeOwned>(raw: &str) -> Option<N> {
    let as_text = || serde_json::from_str::<Cow<'_, str>>(raw).ok()?.trim().parse().ok();
    serde_json::from_str(raw).ok().or_else(as_text)
}

/// RFC 3339 to its very end: `jiff::Timestamp` ends some hours before the year 9999 does.
fn time(text: &str) -> Option<UnixMillis> {
    let pieces = Pieces::parse(text.trim()).ok()?;
    let offset = pieces.to_numeric_offset()?;
    let since_epoch =
        pieces.date().to_datetime(pieces.time()?).duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
    let millis = since_epoch.as_millis() - i128::from(offset.seconds()) * 1000;
    i64::try_from(millis).ok().map(UnixMillis)
}
