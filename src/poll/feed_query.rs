//! Queries to a scheduler about whom it polls, which it answers between two polls. Each costs it little, however many there are.

use tokio::sync::oneshot;

use super::freshness::FeedCondition;
use super::parked::ParkedFeed;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;

/// So many feeds are looked at for one answer at most.
pub(super) const LOOKED_AT_MAX: usize = 20_000;

/// How one feed of a promoter is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolledFeedView {
    pub promoter: Promoter,
    pub feed: Feed,
    pub state: FeedCondition,
    /// Up to when it is read; nothing before a poll of it was read to its end since it is polled here, nor while it reads its past
    /// or is parked.
    pub read_to: Option<UnixTime>,
    /// How far it is complete: the horizon of what is recognised.
    pub cursor: UnixTime,
    /// Whether a poll of it is under way.
    pub is_polled_now: bool,
    /// Nothing where it is not parked.
    pub parked: Option<ParkedFeed>,
}

/// Which feeds are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedsFilter {
    pub feed: Option<Feed>,
    pub state: Option<FeedCondition>,
}

impl FeedsFilter {
    pub(super) fn takes(&self, feed: Feed, state: FeedCondition) -> bool {
        self.feed.is_none_or(|wanted| wanted == feed) && self.state.is_none_or(|wanted| wanted == state)
    }
}

/// Some of the feeds that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedsPage {
    pub feeds: Vec<PolledFeedView>,
    /// Where the next page begins, where there may be one.
    pub next: Option<usize>,
}

#[derive(Debug)]
pub(super) enum FeedQuery {
    /// Those from a place on, so many at most.
    Page {
        filter: FeedsFilter,
        from: usize,
        limit: usize,
        reply: oneshot::Sender<FeedsPage>,
    },
    Of {
        promoter: Promoter,
        reply: oneshot::Sender<Vec<PolledFeedView>>,
    },
}
