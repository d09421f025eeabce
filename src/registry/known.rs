//! What all sources together say of one promoter, apart from the table that knows it.

use super::table::{MergedPromoter, PromoterSource};
use crate::model::feed_set::FeedSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPromoter {
    /// Those that know the promoter; one at least.
    pub sources: Vec<PromoterSource>,
    /// Empty for the feeds that its app polls.
    pub feeds: FeedSet,
    /// Who says that it is not polled; nothing where it is.
    pub paused_by: Option<PromoterSource>,
}

impl From<MergedPromoter<'_>> for KnownPromoter {
    fn from(merged: MergedPromoter<'_>) -> KnownPromoter {
        let paused_by = merged.is_paused.source.filter(|_| merged.is_paused.value);
        KnownPromoter { sources: merged.sources().collect(), feeds: merged.feeds.value, paused_by }
    }
}
