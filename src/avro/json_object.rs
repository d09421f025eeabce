//! Records that come as JSON, which people and small programs write: read field by field, so that the one that is wrong can
//! be named.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use jiff::fmt::temporal::Pieces;
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserializer, de};
use serde_json::value::RawValue;

use crate::model::time::UnixMillis;

/// What is wrong with one field, in words for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldFlaw {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    #[error("{0} is not a text")]
    NotText(&'static str),
    #[error("{0} is not a list of texts")]
    NotTexts(&'static str),
    #[error("{0} is not an object of texts")]
    NotNamedTexts(&'static str),
    #[error("{0} is neither true nor false")]
    NotBoolean(&'static str),
    #[error("{0} is not a whole number")]
    NotWholeNumber(&'static str),
    #[error("{0} is neither a time such as 2026-01-01T00:00:00+08:00 nor milliseconds since 1970")]
    NotTime(&'static str),
}

/// The bytes of a record as text. A byte order mark is skipped; bytes that are no UTF-8 spoil the field that they stand in.
pub(super) struct JsonText<'a>(Cow<'a, str>);

impl<'a> JsonText<'a> {
    pub fn new(bytes: &'a [u8]) -> JsonText<'a> {
        JsonText(String::from_utf8_lossy(crate::text::without_byte_order_mark(bytes)))
    }

    /// Its fields of these names; whatever else stands there is ignored, so that writers can be ahead of this release.
    ///
    /// # Errors
    /// Where it is no object, or has one of these fields twice.
    pub fn object(&self, names: &'static [&'static str]) -> serde_json::Result<JsonObject<'_>> {
        let mut deserializer = serde_json::Deserializer::from_str(&self.0);
        let raw = KnownFields(names).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(JsonObject { raw, is_damaged: matches!(self.0, Cow::Owned(_)) })
    }
}

/// Takes the fields of these names from an object.
struct KnownFields(&'static [&'static str]);

/// Each as it is written.
type RawFields<'a> = HashMap<&'static str, &'a RawValue>;

impl<'de> DeserializeSeed<'de> for KnownFields {
    type Value = RawFields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawFields<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KnownFields {
    type Value = RawFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFields<'de>, A::Error> {
        let mut fields = HashMap::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let Some(name) = self.0.iter().copied().find(|name| *name == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if fields.insert(name, map.next_value()?).is_some() {
                return Err(de::Error::duplicate_field(name));
            }
        }
        Ok(fields)
    }
}

/// The fields of one object. Each is read when it is asked for, and null counts as absent.
pub(super) struct JsonObject<'a> {
    raw: RawFields<'a>,
    /// Bytes that are no UTF-8 were replaced.
    is_damaged: bool,
}

impl JsonObject<'_> {
    /// Whether the field is there, if only as null.
    pub fn has(&self, name: &'static str) -> bool {
        self.raw.contains_key(name)
    }

    /// The field as it is written.
    ///
    /// # Errors
    /// [`FieldFlaw::NotUtf8`] where bytes of it were replaced; those of other fields spoil nothing.
    fn given(&self, name: &'static str) -> Result<Option<&str>, FieldFlaw> {
        let raw = self.raw.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null");
        match raw {
            // One that its writer wrote itself can't be told from these.
            Some(raw) if self.is_damaged && raw.contains('\u{FFFD}') => Err(FieldFlaw::NotUtf8(name)),
            raw => Ok(raw),
        }
    }

    /// The field as `T`, or the flaw that it is none.
    fn parsed<T: DeserializeOwned>(&self, name: &'static str, flaw: FieldFlaw) -> Result<Option<T>, FieldFlaw> {
        let Some(raw) = self.given(name)? else { return Ok(None) };
        serde_json::from_str(raw).map(Some).map_err(|_| flaw)
    }

    /// # Errors
    /// [`FieldFlaw`] where something else stands there.
    pub fn text(&self, name: &'static str) -> Result<Option<String>, FieldFlaw> {
        // Half of a surrogate pair is no text either.
        self.parsed(name, FieldFlaw::NotText(name))
    }

    /// # Errors
    /// [`FieldFlaw`] where something else stands there, or nothing.
    pub fn needed(&self, name: &'static str) -> Result<String, FieldFlaw> {
        self.text(name)?.ok_or(FieldFlaw::Missing(name))
    }

    /// # Errors
    /// [`FieldFlaw`] where something else stands there.
    pub fn texts(&self, name: &'static str) -> Result<Option<Vec<String>>, FieldFlaw> {
        self.parsed(name, FieldFlaw::NotTexts(name))
    }

    /// # Errors
    /// [`FieldFlaw`] where something else stands there.
    pub fn named_texts(&self, name: &'static str) -> Result<Option<BTreeMap<String, String>>, FieldFlaw> {
        self.parsed(name, FieldFlaw::NotNamedTexts(name))
    }

    /// Written as a boolean, or as a text that is one.
    ///
    /// # Errors
    /// [`FieldFlaw`] where something else stands there.
    pub fn boolean(&self, name: &'static str) -> Result<Option<bool>, FieldFlaw> {
        let Some(raw) = self.given(name)? else { return Ok(None) };
        boolean_or_number(raw).map(Some).ok_or(FieldFlaw::NotBoolean(name))
    }

    /// Written as a number, or as a text that is one.
    ///
    /// # Errors
    /// [`FieldFlaw`] where something else stands there, or a number that is not of 32 bits.
    pub fn whole_number(&self, name: &'static str) -> Result<Option<i32>, FieldFlaw> {
        let Some(raw) = self.given(name)? else { return Ok(None) };
        boolean_or_number(raw).map(Some).ok_or(FieldFlaw::NotWholeNumber(name))
    }

    /// RFC 3339, or milliseconds.
    ///
    /// # Errors
    /// [`FieldFlaw`] where something else stands there.
    pub fn time(&self, name: &'static str) -> Result<Option<UnixMillis>, FieldFlaw> {
        let Some(raw) = self.given(name)? else { return Ok(None) };
        let written_out = || serde_json::from_str::<Cow<'_, str>>(raw).ok().and_then(|text| time(&text));
        boolean_or_number(raw).map(UnixMillis).or_else(written_out).map(Some).ok_or(FieldFlaw::NotTime(name))
    }
}

/// As JSON has it, or as a text that says it.
fn boolean_or_number<N: std::str::FromStr + DeserializeOwned>(raw: &str) -> Option<N> {
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
