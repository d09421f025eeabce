//! What discovery has found of one promoter, as it stands in the registry topic.
//!
//! It stands under a key of its own beside the one that operators and other systems write
//! (`app_id/promoter_openid/discovered` beside `app_id/promoter_openid`), in the same partition. So whatever discovery writes, and
//! whenever, it can't take the place of what an operator has said at the same moment, nor the other way round: both stand
//! there, and [`super::table`] says which of them counts.

use super::tags::Tags;
use crate::model::promoter::Promoter;

/// What stands behind the promoter in the key.
const KEY_END: &str = "/discovered";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveredPromoter {
    pub status: DiscoveryStatus,
    pub tags: Tags,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiscoveryStatus {
    /// Declared by the merchant, and authorised by the promoter: it is polled.
    #[default]
    Authorized,
    /// One of the two was withdrawn: it is not polled, and its progress is kept.
    Unauthorized,
    /// An operator has removed it. It is not polled as long as the upstream lists it, even when the operator's tombstone is
    /// compacted away.
    Removed,
}

impl DiscoveryStatus {
    pub const ALL: [DiscoveryStatus; 3] =
        [DiscoveryStatus::Authorized, DiscoveryStatus::Unauthorized, DiscoveryStatus::Removed];

    /// Its word in records.
    pub fn word(self) -> &'static str {
        match self {
            DiscoveryStatus::Authorized => "AUTHORIZED",
            DiscoveryStatus::Unauthorized => "UNAUTHORIZED",
            DiscoveryStatus::Removed => "REMOVED",
        }
    }

    pub fn from_word(word: &str) -> Option<DiscoveryStatus> {
        DiscoveryStatus::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// The key under which discovery writes of a promoter.
pub fn discovery_key(promoter: &Promoter) -> String {
    format!("{promoter}{KEY_END}")
}

/// The part of such a key that names the promoter; nothing for any other key.
pub fn discovered_of_key(key: &str) -> Option<&str> {
    key.strip_suffix(KEY_END)
}
