//! Why a record of the registry of promoters can't be taken.

use super::json_object::FieldFlaw;
use crate::model::feed::{Feed, InvalidStartFrom};
use crate::model::feed_set::UnknownFeed;
use crate::model::promoter::{AppId, InvalidId, Promoter};
use crate::registry::tags::InvalidTags;

/// Why a record registers nothing: it changes nothing then.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PromoterError {
    /// A registry may know it: see [`PromoterDecoder::learn`](super::promoter::PromoterDecoder::learn).
    #[error("written with the schema id {0}, which is not known")]
    UnknownSchema(i32),
    /// In a schema that nobody knows, or that no record can be read with.
    #[error("{0}")]
    WithoutSchema(String),
    #[error("its key is not app_id/promoter_openid")]
    Key,
    #[error("{0}")]
    NotAvro(String),
    #[error("it is no JSON object: {0}")]
    NotJson(String),
    #[error(transparent)]
    Flawed(#[from] PromoterFlaw),
    #[error("its key is of {key}, and its value of {value}")]
    OfAnother { key: Promoter, value: Promoter },
    /// Discovery writes under keys of its own, and nobody else does.
    #[error("its key {}, and its value {}", whose(*by_key), whose(!by_key))]
    OfAnotherSource { by_key: bool },
}

/// By whom a record is written.
fn whose(is_discovered: bool) -> &'static str {
    if is_discovered { "is one of discovery" } else { "is not one of discovery" }
}

/// Which of its fields is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PromoterFlaw {
    #[error(transparent)]
    Field(#[from] FieldFlaw),
    #[error("app_id {0}")]
    AppId(InvalidId),
    #[error("promoter_openid {0}")]
    PromoterId(InvalidId),
    #[error("feeds: {0}")]
    Feeds(UnknownFeed),
    #[error("start_from {0}")]
    StartFrom(InvalidStartFrom),
    #[error("tags {0}")]
    Tags(InvalidTags),
    #[error("discovered is none of the known words")]
    Discovered,
    #[error("rewind_id is not one of 32 hexadecimal digits")]
    RewindId,
    #[error("feed is not {0}, as its key says")]
    RewoundFeed(Feed),
}

impl PromoterError {
    /// A short code, stable for programs: the reason of its dead letter.
    pub fn reason(&self) -> &'static str {
        match self {
            PromoterError::UnknownSchema(_) | PromoterError::WithoutSchema(_) => "unknown_schema",
            PromoterError::Key => "invalid_key",
            PromoterError::NotAvro(_) => "not_avro",
            PromoterError::NotJson(_) => "not_json",
            PromoterError::Flawed(_) => "invalid_field",
            PromoterError::OfAnother { .. } | PromoterError::OfAnotherSource { .. } => "key_mismatch",
        }
    }
}

/// The promoter that a record names.
///
/// # Errors
/// Which of both ids is none.
pub(super) fn promoter(app_id: &str, promoter_id: &str) -> Result<Promoter, PromoterFlaw> {
    let app_id = AppId::new(app_id).map_err(PromoterFlaw::AppId)?;
    Promoter::new(&app_id, promoter_id).map_err(PromoterFlaw::PromoterId)
}
