//! A rewind as it stands in the registry topic: a signal that lasts until it is met, whether instances run or not.
//!
//! It stands under a key of its own beside the promoter's (`app_id/promoter_openid/rewind/touches` beside
//! `app_id/promoter_openid`), in the promoter's own partition. So it takes the place of no registration, nor the other way round;
//! of each feed the last rewind counts, and that is what a compaction keeps. It may stay there for ever: who has met it knows it by
//! its name ([`crate::model::rewind`]). Its tombstone takes back one that nobody has met yet, and nothing else.
//!
//! What others make of it:
//!
//! - Who follows the registry in a shard hands it to the polls of its app ([`super::event::RegistryEvent`]); a second owner of the
//!   shard does the same, and nothing comes of it.
//! - Discovery, lists and exports of promoters pass it over: it names nobody.
//! - In a partition where nobody looks for its promoter, or where it can't be read, it is a dead letter like any record of the
//!   registry, and changes nothing.
//! - Programs of others that read the topic find a key that is no promoter's, and a value that its header says to be JSON, as the
//!   values of other writers of that topic may be. It is no record of `promoter.Promoter`, and so not framed as one: a schema
//!   registry takes one kind of record for each topic, and would refuse another.

use crate::model::feed::Feed;
use crate::model::promoter::Promoter;

/// What stands between the promoter and the feed in the key.
const KEY_MIDDLE: &str = "/rewind/";

/// The key under which a feed of a promoter is asked again.
pub fn rewind_key(promoter: &Promoter, feed: Feed) -> String {
    format!("{promoter}{KEY_MIDDLE}{feed}")
}

/// The part of such a key that names the promoter, and the feed; nothing for any other key.
pub fn rewind_of_key(key: &str) -> Option<(&str, Feed)> {
    let (promoter, feed) = key.rsplit_once(KEY_MIDDLE)?;
    Some((promoter, Feed::from_name(feed)?))
}
