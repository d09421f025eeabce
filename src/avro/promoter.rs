//! Records of the registry of promoters: from bytes to what they register, and back.
//!
//! Other systems write them too, in three shapes as requests come: framed for a schema registry, as an Avro single object, or as
//! JSON. The key says whose record it is, and the value must say the same.

use std::collections::BTreeMap;

use apache_avro::types::Value;

use super::encode::{EncodeError, Encoder};
use super::framing::Framing;
use super::json_object::{FieldFlaw, JsonText};
use super::kind_decoder::{FieldsError, KindDecoder, UnusableSchema, bounded};
use super::positional::positional_record;
use super::promoter_error::{PromoterError, PromoterFlaw, promoter};
use super::rewind::rewind_from_json;
use super::schemas::RecordKind;
use crate::model::feed::{Feed, StartFrom};
use crate::model::feed_set::FeedSet;
use crate::model::promoter::Promoter;
use crate::model::time::UnixMillis;
use crate::registry::discovered::{DiscoveredPromoter, DiscoveryStatus, discovered_of_key};
use crate::registry::record::{PromoterPatch, PromoterRecord, RegistryContent};
use crate::registry::rewind::rewind_of_key;
use crate::registry::tags::Tags;

/// How long before Kafka's time of a record its own is taken for when it was written, in milliseconds: it may have waited to be sent.
const STATED_BEFORE_MAX: i64 = 3_600_000;

/// A record of the registry topic as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegistryRecord<'a> {
    pub key: Option<&'a [u8]>,
    /// Absent in a tombstone.
    pub value: Option<&'a [u8]>,
    /// The value says of itself that it is JSON.
    pub is_json: bool,
    pub timestamp: UnixMillis,
    /// When it is read by this host's clock: it was not written later, whatever the clock of its writer says.
    pub read_at: UnixMillis,
}

/// Reads records of the registry. Any bytes give a promoter or an error.
pub(crate) struct PromoterDecoder(KindDecoder);

impl PromoterDecoder {
    /// `framing` is what this process itself writes such records with.
    pub fn new(framing: Framing) -> PromoterDecoder {
        PromoterDecoder(KindDecoder::new(RecordKind::Promoter, framing))
    }

    /// Takes the text of a schema that a registry has under `id`.
    ///
    /// # Errors
    /// Where records can't be read with it.
    pub fn learn(&self, id: i32, schema: &str) -> Result<(), UnusableSchema> {
        self.0.learn(id, schema)
    }

    /// Whom the record is about, and what it says.
    ///
    /// # Errors
    /// Where it can't be read, or does not agree with itself.
    pub fn decode(&self, record: RegistryRecord<'_>) -> Result<(Promoter, RegistryContent), PromoterError> {
        let key = record.key.and_then(|key| std::str::from_utf8(key).ok()).ok_or(PromoterError::Key)?;
        if let Some((promoter, feed)) = rewind_of_key(key) {
            let promoter = Promoter::from_key(promoter).map_err(|_| PromoterError::Key)?;
            let rewind = record.value.map(|value| rewind_from_json(value, &promoter, feed)).transpose()?;
            return Ok((promoter, RegistryContent::Rewind(feed, rewind)));
        }
        let discovered = discovered_of_key(key);
        let promoter = Promoter::from_key(discovered.unwrap_or(key)).map_err(|_| PromoterError::Key)?;
        let by_key = discovered.is_some();
        let Some(value) = record.value else {
            let nothing = if by_key { RegistryContent::Discovery(None) } else { RegistryContent::Record(None) };
            return Ok((promoter, nothing));
        };
        let stated = match record.is_json {
            true => PromoterStatement::from_json(value)?,
            false => stated(self.0.fields(value)?)?,
        };
        if stated.promoter != promoter {
            return Err(PromoterError::OfAnother { key: promoter, value: stated.promoter });
        }
        let written_at = written_at(stated.updated_at, record.timestamp).min(record.read_at);
        match (by_key, stated.discovered) {
            (false, None) => Ok((promoter, RegistryContent::Record(Some(stated.patch.applied_to(None, written_at))))),
            (true, Some(status)) => {
                let tags = stated.patch.tags.unwrap_or_default();
                Ok((promoter, RegistryContent::Discovery(Some(DiscoveredPromoter { status, tags }))))
            }
            _ => Err(PromoterError::OfAnotherSource { by_key }),
        }
    }
}

/// When a record was written that says `stated` of that, and whose time in Kafka is `sent`.
///
/// Where both are far apart, or the first is later, it is none: it is the zero that the schema's default makes of nothing said, or in
/// seconds, or of a clock that is ahead, or when the promoter was changed last where the writer has him from.
fn written_at(stated: Option<UnixMillis>, sent: UnixMillis) -> UnixMillis {
    let is_meant = |stated: &UnixMillis| (0..=STATED_BEFORE_MAX).contains(&sent.0.saturating_sub(stated.0));
    stated.filter(is_meant).unwrap_or(sent)
}

impl From<FieldsError> for PromoterError {
    fn from(error: FieldsError) -> PromoterError {
        match error {
            FieldsError::UnknownSchema(id) => PromoterError::UnknownSchema(id),
            FieldsError::Unreadable(words) => PromoterError::NotAvro(words),
        }
    }
}

/// What a value says of a promoter: fields that it lacks are no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PromoterStatement {
    pub promoter: Promoter,
    pub patch: PromoterPatch,
    pub updated_at: Option<UnixMillis>,
    /// What discovery has found, in its own records.
    discovered: Option<DiscoveryStatus>,
}

/// What a record in JSON may say.
pub(crate) const JSON_NAMES: [&str; 8] =
    ["app_id", "promoter_openid", "feeds", "start_from", "paused", "tags", "updated_at", "discovered"];

impl PromoterStatement {
    /// Whether it is what discovery writes, and nobody else.
    pub(crate) fn is_of_discovery(&self) -> bool {
        self.discovered.is_some()
    }

    /// Field names as in Avro. What stands there as null is none, and is said to be none.
    ///
    /// # Errors
    /// Where it is no JSON object, or one of its fields is wrong.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<PromoterStatement, PromoterError> {
        let text = JsonText::new(bytes);
        let fields = text.object(&JSON_NAMES).map_err(|error| PromoterError::NotJson(bounded(error.to_string())))?;
        let field = |flaw: FieldFlaw| PromoterFlaw::Field(flaw);
        let (app_id, promoter_id) =
            (fields.needed("app_id").map_err(field)?, fields.needed("promoter_openid").map_err(field)?);
        let promoter = promoter(&app_id, &promoter_id)?;
        let mut patch = PromoterPatch::default();
        if fields.has("feeds") {
            patch.feeds = Some(feed_set(&fields.texts("feeds").map_err(field)?.unwrap_or_default())?);
        }
        if fields.has("start_from") {
            patch.start_from = Some(start_from(fields.text("start_from").map_err(field)?.as_deref())?);
        }
        if fields.has("paused") {
            patch.paused = Some(fields.boolean("paused").map_err(field)?.unwrap_or_default());
        }
        if fields.has("tags") {
            let tags = fields.named_texts("tags").map_err(field)?.unwrap_or_default();
            patch.tags = Some(Tags::new(tags).map_err(PromoterFlaw::Tags)?);
        }
        let updated_at = fields.time("updated_at").map_err(field)?;
        let discovered = discovery_status(fields.text("discovered").map_err(field)?.as_deref())?;
        Ok(PromoterStatement { promoter, patch, updated_at, discovered })
    }
}

fn feed_set(words: &[String]) -> Result<FeedSet, PromoterFlaw> {
    FeedSet::from_words(words.iter().map(String::as_str)).map_err(PromoterFlaw::Feeds)
}

fn discovery_status(word: Option<&str>) -> Result<Option<DiscoveryStatus>, PromoterFlaw> {
    word.map(|word| DiscoveryStatus::from_word(word).ok_or(PromoterFlaw::Discovered)).transpose()
}

/// A text that is empty counts as absent.
fn start_from(text: Option<&str>) -> Result<Option<StartFrom>, PromoterFlaw> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    text.map(str::parse).transpose().map_err(PromoterFlaw::StartFrom)
}

/// The statement of a record in Avro, which has every field.
///
/// # Errors
/// [`PromoterError`], of the first field that is of another type or whose text means nothing.
fn stated(fields: Vec<(String, Value)>) -> Result<PromoterStatement, PromoterError> {
    let (mut app_id, mut promoter_id) = (String::new(), String::new());
    let (mut patch, mut updated_at, mut discovered) = (PromoterPatch::default(), None, None);
    for (name, value) in fields {
        let value = match value {
            Value::Union(_, value) => *value,
            value => value,
        };
        match (name.as_str(), value) {
            ("app_id", Value::String(text)) => app_id = text,
            ("promoter_openid", Value::String(text)) => promoter_id = text,
            ("feeds", Value::Array(items)) => patch.feeds = Some(feed_set(&texts(items)?)?),
            ("start_from", Value::String(text)) => patch.start_from = Some(start_from(Some(&text))?),
            ("paused", Value::Boolean(paused)) => patch.paused = Some(paused),
            ("tags", Value::Map(entries)) => {
                let (names, values): (Vec<String>, Vec<Value>) = entries.into_iter().unzip();
                let tags = Tags::new(names.into_iter().zip(texts(values)?)).map_err(PromoterFlaw::Tags)?;
                patch.tags = Some(tags);
            }
            ("updated_at", Value::TimestampMillis(millis)) => updated_at = Some(UnixMillis(millis)),
            ("discovered", Value::String(word)) => discovered = discovery_status(Some(&word))?,
            (_, Value::Null) => {}
            (name, _) => return Err(PromoterError::NotAvro(format!("{name} is of another type"))),
        }
    }
    Ok(PromoterStatement { promoter: promoter(&app_id, &promoter_id)?, patch, updated_at, discovered })
}

/// # Errors
/// [`PromoterError::NotAvro`] where one of them is no text.
fn texts(values: Vec<Value>) -> Result<Vec<String>, PromoterError> {
    let text = |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(PromoterError::NotAvro("a collection holds something else than texts".to_owned())),
    };
    values.into_iter().map(text).collect()
}

/// Writes records of the registry.
pub struct PromoterEncoder(Encoder);

impl PromoterEncoder {
    pub fn new(framing: Framing) -> PromoterEncoder {
        PromoterEncoder(Encoder::new::<EncodedPromoter>(framing))
    }

    /// Writes `record`, framed, over what `buffer` held.
    ///
    /// # Errors
    /// [`EncodeError`]; `buffer` is empty then.
    pub fn encode(
        &self,
        promoter: &Promoter,
        record: &PromoterRecord,
        buffer: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start_from = record.start_from.map(|start| start.to_string());
        let encoded = EncodedPromoter {
            app_id: promoter.app_id(),
            promoter_openid: promoter.promoter_id(),
            feeds: record.feeds.iter().map(Feed::word).collect(),
            start_from: start_from.as_deref(),
            paused: record.paused,
            tags: record.tags.iter().collect(),
            updated_at: record.updated_at.0,
            discovered: None,
        };
        self.0.encode(&encoded, buffer)
    }

    /// Writes what discovery has found, at `now`, as [`encode`](Self::encode) does.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub(crate) fn encode_discovered(
        &self,
        promoter: &Promoter,
        found: &DiscoveredPromoter,
        now: UnixMillis,
        buffer: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let encoded = EncodedPromoter {
            app_id: promoter.app_id(),
            promoter_openid: promoter.promoter_id(),
            feeds: Vec::new(),
            start_from: None,
            // For programs that know nothing of `discovered`: to them this alone says whether somebody is polled.
            paused: found.status != DiscoveryStatus::Authorized,
            tags: found.tags.iter().collect(),
            updated_at: now.0,
            discovered: Some(found.status.word()),
        };
        self.0.encode(&encoded, buffer)
    }
}

positional_record! {
    RecordKind::Promoter:
    pub(super) struct EncodedPromoter<'a> {
        app_id: &'a str,
        promoter_openid: &'a str,
        feeds: Vec<&'static str>,
        start_from: Option<&'a str>,
        paused: bool,
        tags: BTreeMap<&'a str, &'a str>,
        updated_at: i64,
        discovered: Option<&'static str>,
    }
}

#[cfg(test)]
mod tests;
