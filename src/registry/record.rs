//! What a record of the registry topic says of one promoter, and what changes it.

use super::discovered::DiscoveredPromoter;
use super::tags::Tags;
use crate::model::feed::{Feed, StartFrom};
use crate::model::feed_set::FeedSet;
use crate::model::rewind::Rewind;
use crate::model::time::UnixMillis;

/// What one record of the registry topic says of a promoter, in place of what stood under its key before. Nothing is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryContent {
    /// Under the promoter's own key, which operators and other systems write.
    Record(Option<PromoterRecord>),
    /// Under the one that discovery writes.
    Discovery(Option<DiscoveredPromoter>),
    /// Under the one that tells a feed to be asked again.
    Rewind(Feed, Option<Rewind>),
}

/// Under which of a promoter's keys something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegistryKey {
    Record,
    Discovery,
    Rewind(Feed),
}

impl RegistryContent {
    pub fn key(&self) -> RegistryKey {
        match self {
            RegistryContent::Record(_) => RegistryKey::Record,
            RegistryContent::Discovery(_) => RegistryKey::Discovery,
            RegistryContent::Rewind(feed, _) => RegistryKey::Rewind(*feed),
        }
    }

    /// Whether both say the same, whenever they were written.
    pub(crate) fn says_as(&self, other: &RegistryContent) -> bool {
        match (self, other) {
            (RegistryContent::Record(Some(record)), RegistryContent::Record(Some(other))) => record.says_as(other),
            (content, other) => content == other,
        }
    }
}

/// A registered promoter, whose key stands beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromoterRecord {
    /// What is polled; empty for what is configured.
    pub feeds: FeedSet,
    /// Since when facts are published; nothing for what is configured.
    pub start_from: Option<StartFrom>,
    /// Nothing is polled, and the progress is kept.
    pub paused: bool,
    pub tags: Tags,
    pub updated_at: UnixMillis,
}

impl PromoterRecord {
    /// Whether both say the same, whenever they were written.
    pub(crate) fn says_as(&self, other: &PromoterRecord) -> bool {
        let PromoterRecord { feeds, start_from, paused, tags, updated_at: _ } = other;
        (self.feeds, self.start_from, self.paused, &self.tags) == (*feeds, *start_from, *paused, tags)
    }
}

/// A change of a record: a field that is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PromoterPatch {
    pub feeds: Option<FeedSet>,
    /// The inner one as in [`PromoterRecord::start_from`].
    pub start_from: Option<Option<StartFrom>>,
    pub paused: Option<bool>,
    pub tags: Option<Tags>,
}

impl PromoterPatch {
    /// What stands under the key from `now` on, where `before` stood there.
    pub(crate) fn applied_to(self, before: Option<&PromoterRecord>, now: UnixMillis) -> PromoterRecord {
        let before = before.cloned().unwrap_or_default();
        PromoterRecord {
            feeds: self.feeds.unwrap_or(before.feeds),
            start_from: self.start_from.unwrap_or(before.start_from),
            paused: self.paused.unwrap_or(before.paused),
            tags: self.tags.unwrap_or(before.tags),
            updated_at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::Feed;

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let before = PromoterRecord {
            feeds: FeedSet::from_iter([Feed::Orders]),
            start_from: Some(StartFrom::Earliest),
            paused: false,
            tags: Tags::new([("shop", "7")]).unwrap(),
            updated_at: UnixMillis(1),
        };
        let pause = PromoterPatch { paused: Some(true), ..PromoterPatch::default() };
        let paused = pause.clone().applied_to(Some(&before), UnixMillis(2));
        assert_eq!(paused, PromoterRecord { paused: true, updated_at: UnixMillis(2), ..before.clone() });
        let again = pause.applied_to(Some(&paused), UnixMillis(3));
        assert!(again.says_as(&paused) && !again.says_as(&before));
        let configured = PromoterPatch { start_from: Some(None), ..PromoterPatch::default() };
        assert_eq!(configured.applied_to(Some(&before), UnixMillis(1)).start_from, None);
    }

    #[test]
    fn a_patch_of_nothing_registers_what_is_configured() {
        let registered = PromoterPatch::default().applied_to(None, UnixMillis(5));
        assert_eq!(registered, PromoterRecord { updated_at: UnixMillis(5), ..PromoterRecord::default() });
    }
}
