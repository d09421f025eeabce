//! What a scheduler answers about whom it polls.

use super::Scheduler;
use crate::poll::feed_query::{FeedQuery, FeedsFilter, FeedsPage, LOOKED_AT_MAX, PolledFeedView};
use crate::poll::feed_slots::{FeedSlot, SlotNumber, feed_of};
use crate::poll::freshness::FeedCondition;

impl Scheduler {
    /// Whoever asked may be gone meanwhile.
    pub(super) fn answer(&self, query: FeedQuery) {
        match query {
            FeedQuery::Page { filter, from, limit, reply } => drop(reply.send(self.page(filter, from, limit))),
            FeedQuery::Of { promoter, reply } => {
                let slots = self.feeds.of(&promoter);
                drop(reply.send(slots.into_iter().map(|slot| self.view(slot)).collect()));
            }
        }
    }

    fn page(&self, filter: FeedsFilter, from: usize, limit: usize) -> FeedsPage {
        let (mut page, mut looked_at) = (FeedsPage::default(), 0);
        for slot in self.feeds.polled_from(SlotNumber::try_from(from).unwrap_or(SlotNumber::MAX)) {
            if page.feeds.len() >= limit || looked_at >= LOOKED_AT_MAX {
                page.next = usize::try_from(slot).ok();
                break;
            }
            looked_at += 1;
            if filter.takes(feed_of(slot), self.state(slot)) {
                page.feeds.push(self.view(slot));
            }
        }
        page
    }

    fn state(&self, slot: SlotNumber) -> FeedCondition {
        self.feeds[slot].standing.state(self.feeds.settings(slot).idle_every, self.now())
    }

    fn view(&self, slot: SlotNumber) -> PolledFeedView {
        let FeedSlot { pacing, standing, .. } = &self.feeds[slot];
        let (promoter, feed) = (self.feeds.promoter(slot), feed_of(slot));
        PolledFeedView {
            promoter: promoter.clone(),
            feed,
            state: self.state(slot),
            // Freshness takes whoever polled before at his word; here only what was read since counts.
            read_to: standing.read_to().and_then(|at| Some(at.min(pacing.has_read_to()?))),
            cursor: pacing.complete_before(),
            is_polled_now: self.ends.contains_key(&slot),
            parked: self.parked.parked(promoter, feed),
        }
    }
}
