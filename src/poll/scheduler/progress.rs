//! What a scheduler tells of all its feeds, now and then.

use std::time::Duration;

use super::Scheduler;
use crate::model::feed::{Interface, PerFeed};
use crate::model::pacing::intervals::Shortage;
use crate::model::time::UnixTime;
use crate::poll::feed_slots::feed_of;
use crate::poll::reports::{Late, PollProgress};

impl Scheduler {
    fn latest(&self, clock: Duration) -> Option<Late> {
        let (due, index) = self.due_queues.latest()?;
        let promoter = self.feeds.promoter(index).clone();
        Some(Late { promoter, feed: feed_of(index), by: clock.saturating_sub(due) })
    }

    /// Says once of each interface that its budget is too small for all feeds, however quiet they are.
    pub(super) fn tell_shortage(&mut self) {
        for interface in Interface::ALL {
            let Some(Shortage { needed, budget }) = self.due_queues[interface].shortage() else { continue };
            if !std::mem::replace(&mut self.short[interface], true) {
                let per_minute = |calls: f64| (calls * 60.0).round();
                tracing::warn!(
                    app = %self.app, %interface, needed_per_minute = per_minute(needed), budget_per_minute = per_minute(budget),
                    "the budget is too small to poll everybody each idle_every: all wait longer, in the same proportion",
                );
            }
        }
    }

    pub(super) fn tell_progress(&self) {
        let clock = self.began.elapsed();
        self.reports.set_progress(PollProgress {
            feeds: self.feeds.len(),
            polls: self.due_queues.polls(),
            overdue: self.due_queues.overdue(clock),
            latest: self.latest(clock),
            parked: self.parked.promoters(),
            catching_up: self.catching_up.feeds(),
            held_back: self.catching_up.held_back(),
            oldest: PerFeed::new(|feed| self.cursors[feed].earliest().map(UnixTime)),
        });
    }
}
