//! What is polled for a promoter, and from when on.

use crate::commit::totals::IdleStarts;
use crate::model::feed::{Feed, PerFeed, StartFrom};
use crate::model::pacing::PollSettings;
use crate::model::promoter::Promoter;
use crate::model::state::Cursors;
use crate::model::time::UnixTime;
use crate::registry::registered_since::RegisteredSince;

/// What is polled for one promoter.
#[derive(Clone, Debug)]
pub(crate) struct PolledPromoter {
    pub promoter: Promoter,
    /// A feed that is absent is not polled.
    pub feeds: PerFeed<Option<FeedPlan>>,
    /// Of refunds, in seconds, whether they are polled or not: orders meet refunds too.
    pub refunds_lateness: i64,
    pub refunds_start: StartFrom,
    /// Of 1970 where the registry has no record of him.
    pub registered: RegisteredSince,
}

/// How one feed is polled, and where it begins if it never was.
#[derive(Clone, Copy, Debug)]
pub struct FeedPlan {
    pub settings: PollSettings,
    pub start_from: StartFrom,
}

impl PolledPromoter {
    /// Whether something of it begins "now" where it has no cursor.
    pub(super) fn may_begin_now(&self) -> bool {
        let begins_now = |feed| self.feeds[feed].is_some_and(|plan| plan.start_from == StartFrom::Now);
        Feed::ALL.into_iter().any(begins_now) || (self.meets_refunds() && self.refunds_start == StartFrom::Now)
    }

    /// Whether orders meet refunds that nobody polls.
    pub(super) fn meets_refunds(&self) -> bool {
        self.feeds.orders.is_some() && self.feeds.refunds.is_none()
    }

    /// Notes the feeds that began elsewhere than `start_from` says now. What "now" was when a feed began nobody knows any more,
    /// so that one never differs.
    pub(super) fn note_idle_starts(&self, cursors: &Cursors, idle_starts: &mut IdleStarts) {
        for feed in Feed::ALL {
            let (Some(plan), Some(cursor)) = (self.feeds[feed], cursors[feed]) else { continue };
            if cursor.polled && start_time(plan.start_from, cursor.start) != cursor.start {
                idle_starts.note(&self.promoter, feed, cursor.start);
            }
        }
    }
}

/// Where a feed begins that begins `now`.
pub(super) fn start_time(start_from: StartFrom, now: UnixTime) -> UnixTime {
    match start_from {
        StartFrom::Now => now,
        StartFrom::Earliest => UnixTime::EARLIEST,
        StartFrom::At(time) => time,
    }
}
