//! Rewinds in the registry topic, as JSON: from bytes to what they ask for, and back.

use serde::Serialize;

use super::json_object::{FieldFlaw, JsonText};
use super::kind_decoder::bounded;
use super::promoter_error::{PromoterError, PromoterFlaw, promoter};
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::rewind::{Rewind, RewindId};
use crate::model::time::{UnixMillis, UnixTime};

const NAMES: [&str; 6] = ["rewind_id", "app_id", "promoter_openid", "feed", "to", "republish"];

/// Times are RFC 3339.
#[derive(Serialize)]
struct RewindFields<'a> {
    rewind_id: String,
    app_id: &'a str,
    promoter_openid: &'a str,
    feed: &'static str,
    to: String,
    republish: bool,
    requested_at: String,
}

/// Reads the value of a record whose key names a feed of `of`.
///
/// # Errors
/// Where it is no JSON, one of its fields is wrong, or it is about somebody else.
pub(super) fn rewind_from_json(value: &[u8], of: &Promoter, feed: Feed) -> Result<Rewind, PromoterError> {
    let text = JsonText::new(value);
    let fields = text.object(&NAMES).map_err(|error| PromoterError::NotJson(bounded(error.to_string())))?;
    let flaw = |flaw: FieldFlaw| PromoterFlaw::Field(flaw);
    let stated = promoter(&fields.needed("app_id").map_err(flaw)?, &fields.needed("promoter_openid").map_err(flaw)?)?;
    if stated != *of {
        return Err(PromoterError::OfAnother { key: of.clone(), value: stated });
    }
    if Feed::from_name(&fields.needed("feed").map_err(flaw)?) != Some(feed) {
        return Err(PromoterFlaw::RewoundFeed(feed).into());
    }
    let id = RewindId::from_hex(&fields.needed("rewind_id").map_err(flaw)?).ok_or(PromoterFlaw::RewindId)?;
    let to = fields.time("to").map_err(flaw)?.ok_or(FieldFlaw::Missing("to")).map_err(flaw)?;
    let republish = fields.boolean("republish").map_err(flaw)?.unwrap_or_default();
    // Of a second that has begun all is asked for.
    Ok(Rewind { id, to: to.as_seconds().max(UnixTime::EARLIEST), republish })
}

/// Writes it, asked for at `now`.
///
/// # Errors
/// None that can be met: all fields are texts and a boolean.
pub fn rewind_to_json(
    promoter: &Promoter,
    feed: Feed,
    rewind: &Rewind,
    now: UnixMillis,
) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&RewindFields {
        rewind_id: rewind.id.to_string(),
        app_id: promoter.app_id(),
        promoter_openid: promoter.promoter_id(),
        feed: feed.name(),
        to: rewind.to.to_string(),
        republish: rewind.republish,
        requested_at: now.rfc3339(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::framing::Framing;
    use crate::avro::promoter::{PromoterDecoder, RegistryRecord};
    use crate::registry::record::RegistryContent;
    use crate::registry::rewind::rewind_key;

    fn someone() -> Promoter {
        Promoter::from_key("wx1/o1").unwrap()
    }

    fn decoded(key: &str, value: Option<&[u8]>) -> Result<(Promoter, RegistryContent), PromoterError> {
        let record = RegistryRecord {
            key: Some(key.as_bytes()),
            value,
            is_json: true,
            timestamp: UnixMillis(7),
            read_at: UnixMillis(7),
        };
        PromoterDecoder::new(Framing::SingleObject).decode(record)
    }

    #[test]
    fn a_rewind_is_read_back_as_it_was_under_the_key_of_its_feed_alone() {
        for (feed, republish) in [(Feed::Touches, true), (Feed::Orders, false), (Feed::Refunds, true)] {
            let rewind = Rewind { id: RewindId(u128::MAX - 5), to: UnixTime(1_700_000_000), republish };
            let value = rewind_to_json(&someone(), feed, &rewind, UnixMillis(5)).unwrap();
            let key = rewind_key(&someone(), feed);
            assert_eq!(decoded(&key, Some(&value)), Ok((someone(), RegistryContent::Rewind(feed, Some(rewind)))));
            assert_eq!(decoded(&key, None), Ok((someone(), RegistryContent::Rewind(feed, None))));
            let error = |key: &str| decoded(key, Some(&value)).unwrap_err().reason();
            assert_eq!(error("wx1/o2/rewind/touches"), "key_mismatch");
            assert_eq!(error("wx1/o1/rewind/nothing"), "invalid_key");
            let other = if feed == Feed::Touches { "wx1/o1/rewind/orders" } else { "wx1/o1/rewind/touches" };
            assert_eq!(error(other), "invalid_field");
        }
    }

    #[test]
    fn a_field_that_is_wrong_is_named_and_one_that_is_new_is_ignored() {
        let whole = r#"{"rewind_id":"00000000000000000000000000000007","app_id":"wx1","promoter_openid":"o1","feed":"orders","to":"2023-11-15T06:13:20+08:00","later":1}"#;
        let read = |json: &str| decoded("wx1/o1/rewind/orders", Some(json.as_bytes()));
        let rewind = Rewind { id: RewindId(7), to: UnixTime(1_700_000_000), republish: false };
        assert_eq!(read(whole), Ok((someone(), RegistryContent::Rewind(Feed::Orders, Some(rewind)))));
        for (from, to, told) in [
            ("0000007\"", "7\"", "rewind_id is not"),
            ("2023-11-15T06:13:20+08:00", "yesterday", "to is neither"),
            ("\"to\"", "\"till\"", "to is missing"),
            ("\"later\":1", "\"republish\":7", "republish is neither"),
        ] {
            let error = read(&whole.replace(from, to)).unwrap_err();
            assert!(error.to_string().starts_with(told) && error.reason() == "invalid_field", "{error}");
        }
        assert_eq!(read("[]").unwrap_err().reason(), "not_json");
    }
}
