//! What a scheduler answers about whom it polls.

use super::freshness::FeedCondition;
use super::inquiry::{FeedsFilter, FeedsPage, Inquiry, LOOKED_AT_MAX, PolledFeedView};
use super::polled_feeds::PolledFeed;
use super::scheduler::Scheduler;
use crate::upstream::transport::Transport;

impl<T: Transport> Scheduler<T> {
    /// Whoever asked may be gone meanwhile.
    pub(super) fn answer(&self, inquiry: Inquiry) {
        match inquiry {
            Inquiry::Page { filter, from, limit, reply } => drop(reply.send(self.page(filter, from, limit))),
            Inquiry::Of { promoter, reply } => {
                let slots = self.feeds.of(&promoter);
                drop(reply.send(slots.into_iter().map(|slot| self.view(slot)).collect()));
            }
        }
    }

    fn page(&self, filter: FeedsFilter, from: usize, limit: usize) -> FeedsPage {
        let (mut page, mut looked_at) = (FeedsPage::default(), 0);
        for slot in self.feeds.polled_from(from) {
            if page.feeds.len() >= limit || looked_at >= LOOKED_AT_MAX {
                page.next = Some(slot);
                break;
            }
            looked_at += 1;
            if filter.takes(self.feeds[slot].feed, self.state(slot)) {
                page.feeds.push(self.view(slot));
            }
        }
        page
    }

    fn state(&self, slot: usize) -> FeedCondition {
        self.feeds.standing(slot).state(self.feeds[slot].settings.idle_every, self.now())
    }

    fn view(&self, slot: usize) -> PolledFeedView {
        let PolledFeed { promoter, feed, pacing, .. } = &self.feeds[slot];
        PolledFeedView {
            promoter: promoter.clone(),
            feed: *feed,
            state: self.state(slot),
            read_to: self.feeds.standing(slot).read_to(),
            cursor: pacing.cursor.complete_before,
            is_polled_now: self.ends.contains_key(&slot),
        }
    }
}
