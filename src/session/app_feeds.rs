//! What an app polls for its promoters.

use super::{FeedPlan, PolledPromoter};
use crate::model::feed::{Feed, PerFeed, StartFrom};
use crate::model::feed_set::FeedSet;
use crate::model::promoter::Promoter;
use crate::registry::registered_since::RegisteredSince;

/// How an app's feeds are polled for a promoter of whom nothing else is said.
#[derive(Clone, Copy, Debug)]
pub struct AppFeeds {
    /// A feed that is absent is polled for nobody.
    pub polled: PerFeed<Option<FeedPlan>>,
    /// Polled or not.
    pub refunds: FeedPlan,
}

impl AppFeeds {
    /// What is polled for `promoter`: of the feeds that the app polls those of `only`, or all where it is empty; from
    /// `start_from` on, or from where the app's feeds begin.
    pub(crate) fn polled_for(
        &self,
        promoter: Promoter,
        only: FeedSet,
        start_from: impl Into<Option<StartFrom>>,
    ) -> PolledPromoter {
        let start_from = start_from.into();
        let begun = |plan: FeedPlan| FeedPlan { start_from: start_from.unwrap_or(plan.start_from), ..plan };
        let refunds = begun(self.refunds);
        PolledPromoter {
            promoter,
            feeds: PerFeed::new(|feed| self.polled[feed].filter(|_| only.asks_for(feed)).map(begun)),
            refunds_lateness: refunds.settings.lateness,
            refunds_start: refunds.start_from,
            registered: RegisteredSince::default(),
        }
    }

    /// That of the feed, in seconds: what it is by default where the feed is not polled. Of refunds it is set in any case.
    pub(crate) fn lateness(&self, feed: Feed) -> i64 {
        let set = if feed == Feed::Refunds { Some(self.refunds) } else { self.polled[feed] };
        let by_default = || i64::try_from(feed.defaults().lateness.as_secs()).unwrap_or(i64::MAX);
        set.map_or_else(by_default, |plan| plan.settings.lateness)
    }

    /// The feeds that the app polls for whom nothing else is said.
    pub fn names(&self) -> FeedSet {
        Feed::ALL.into_iter().filter(|feed| self.polled[*feed].is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::pacing::PollSettings;

    #[test]
    fn a_feed_that_is_not_polled_is_as_late_as_its_kind_is_by_default() {
        let minute = Duration::from_secs(60);
        let plan = |lateness| FeedPlan {
            settings: PollSettings { every: minute, idle_every: minute, lateness },
            start_from: StartFrom::Now,
        };
        let polled = PerFeed { touches: Some(plan(5)), orders: None, refunds: None };
        let feeds = AppFeeds { polled, refunds: plan(7) };
        assert_eq!(Feed::ALL.map(|feed| feeds.lateness(feed)), [5, 12 * 3600, 7]);
    }
}
