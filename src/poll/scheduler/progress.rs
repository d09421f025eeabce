//! What a scheduler tells of all its feeds, now and then.

use std::time::Duration;

use super::Scheduler;
use crate::model::feed::{Interface, PerFeed};
use crate::model::pacing::intervals::Shortage;
use crate::model::time::UnixTime;
use crate::poll::feed_slots::feed_of;
use crate::poll::reports::{Late, PollProgress};
use crate::upstream::budget::BudgetSettings;

/// So many looks in a row have to find a budget too small: who has just joined has no share of it for a moment.
const SHORT_LOOKS: u8 = 3;

/// How often in a row a budget was found too small; once that was told it stays.
#[derive(Clone, Copy, Default)]
pub(super) struct LastingShortage(u8);

impl LastingShortage {
    /// Whether it is to be told now.
    fn look(&mut self, is_short: bool) -> bool {
        let was_told = self.0 == SHORT_LOOKS;
        if !was_told {
            self.0 = if is_short { self.0 + 1 } else { 0 };
        }
        !was_told && self.0 == SHORT_LOOKS
    }
}

impl Scheduler {
    fn latest(&self, clock: Duration) -> Option<Late> {
        let (due, index) = self.due_queues.latest()?;
        let promoter = self.feeds.promoter(index).clone();
        Some(Late { promoter, feed: feed_of(index), by: clock.saturating_sub(due) })
    }

    /// Says once of each interface that its budget is too small for all feeds, however quiet they are, and stays so.
    pub(super) fn tell_shortage(&mut self) {
        for interface in Interface::ALL {
            let shortage = self.due_queues[interface].shortage();
            let is_to_be_told = self.short[interface].look(shortage.is_some());
            if let Some(Shortage { needed, budget }) = shortage.filter(|_| is_to_be_told) {
                let a_minute = |calls: f64| (calls * 60.0).round();
                // Of all instances together, as an operator has written it; the share is what this one goes by.
                let BudgetSettings { per_minute, per_day } = self.client.budget_settings(interface);
                let limit = |calls: u32| (calls > 0).then_some(calls);
                tracing::warn!(
                    app = %self.app, %interface, needed_per_minute = a_minute(needed), share_per_minute = a_minute(budget),
                    per_minute = limit(per_minute), per_day = limit(per_day),
                    "this instance's share of the budget is too small to poll everybody each idle_every: all wait longer, in the same \
                     proportion",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_is_too_small_for_a_moment_is_not_told_and_one_that_stays_so_is_told_once() {
        let mut shortage = LastingShortage::default();
        let told = |shortage: &mut LastingShortage, looks: &[bool]| -> Vec<bool> {
            looks.iter().map(|is_short| shortage.look(*is_short)).collect()
        };
        assert_eq!(told(&mut shortage, &[true, true, false, true, true]), [false; 5]);
        assert_eq!(
            told(&mut shortage, &[true, true, false, true, true, true]),
            [true, false, false, false, false, false]
        );
    }
}
