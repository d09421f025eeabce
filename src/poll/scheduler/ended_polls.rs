//! What follows from how a poll has ended.

use std::time::Duration;

use super::{EndedPoll, Scheduler};
use crate::model::feed::Feed;
use crate::model::pacing::{AfterPull, Pulled};
use crate::model::pull::Pull;
use crate::poll::due_queue::{Admission, Begun};
use crate::poll::feed_slots::{FeedSlot, SlotNumber, feed_of};
use crate::poll::freshness::FeedStanding;
use crate::poll::outcome::{PollEnd, PollError, Polled};
use crate::poll::parked::ParkedFeed;
use crate::upstream::breaker::Readiness;
use crate::upstream::client::Client;
use crate::upstream::error::CallError;

impl Scheduler {
    pub(super) fn end_poll(&mut self, EndedPoll { index, pull, pages, result }: EndedPoll) {
        self.ends.remove(&index);
        // Whoever has taken its promoter away waits for this: from here on nothing of it is under way.
        if self.feeds.is_given_up(index) {
            return self.let_go(index);
        }
        let clock = self.began.elapsed();
        let interface = feed_of(index).interface();
        let begun = self.due_queues.ended(interface, index);
        self.due_queues[interface].spent(calls(pages, &result), clock);
        match result {
            Ok(Polled::End(pulled)) => self.pulled(index, pulled, clock),
            Ok(Polled::GoesOn) => {
                self.keep(index, pull.suspended());
                self.due_queues[interface].put_further(index, begun);
            }
            Err(error) => self.failed(index, pull, begun, &error, clock),
        }
    }

    fn pulled(&mut self, index: SlotNumber, pulled: Pulled, clock: Duration) {
        self.reports.completed();
        let (as_of, settings) = (pulled.as_of, self.feeds.settings(index));
        let (promoter, feed) = (self.feeds.promoter(index), feed_of(index));
        self.reports.ended(feed, PollEnd::Complete);
        if self.parked.answered(promoter, feed) {
            tracing::info!(app = %self.app, %promoter, "promoter answers again");
        }
        let FeedSlot { pacing, class, standing, .. } = &mut self.feeds[index];
        let cursors = &mut self.cursors[feed];
        // Before the pull moves the cursor: it is counted by where it stands.
        cursors.remove(pacing.complete_before().0);
        let AfterPull { turn, brought } = pacing.after(pulled, settings, clock);
        let complete_before = pacing.complete_before();
        cursors.add(complete_before.0);
        let queue = &mut self.due_queues[feed.interface()];
        // Before its next turn is put in, which comes after the interval of its class.
        if let Some(brought) = brought {
            *class = queue.learn(*class, &mut pacing.rate, brought);
        }
        queue.put_turn(index, *class, turn, clock);
        let standing = standing.after(&pulled, feed, settings, pacing);
        self.catching_up.read(index, complete_before, settings, as_of);
        self.stands(index, standing);
    }

    fn stands(&mut self, index: SlotNumber, standing: FeedStanding) {
        let before = std::mem::replace(&mut self.feeds[index].standing, standing);
        let (promoter, settings) = (self.feeds.promoter(index), self.feeds.settings(index));
        self.reports.stands(promoter, feed_of(index), settings, [Some(before), Some(standing)]);
    }

    fn failed(&mut self, index: SlotNumber, pull: Pull, begun: Begun, error: &PollError, clock: Duration) {
        let (promoter, feed) = (self.feeds.promoter(index), feed_of(index));
        if let Some(cause) = error.cause() {
            tracing::debug!(app = %self.app, %promoter, %feed, reason = cause, %error, "poll failed");
            self.reports.failed(cause, error.to_string());
        }
        if let Some(end) = PollEnd::of(error) {
            self.reports.ended(feed, end);
        }
        self.catching_up.failed(index, error);
        let queue = &mut self.due_queues[feed.interface()];
        match error {
            // Of a feed that is still wanted only the end of the scheduler cancels a poll: nobody takes it from a queue again.
            PollError::Closed(_) | PollError::Call(CallError::Cancelled) => {}
            PollError::Call(CallError::BreakerOpen { by_response, .. }) => match pull.suspended() {
                Some(pull) => {
                    // Whoever was refused as the probe leaves the next one to others: what opened the breaker may be his alone.
                    match by_response {
                        true => queue.put_refused(index, clock, begun),
                        false => queue.put_further(index, begun),
                    }
                    self.keep(index, Some(pull));
                }
                // Others come first: what opened the breaker may be this one's alone.
                None if *by_response || begun.entry == Admission::Check => queue.put_doubtful(index, clock, begun),
                // Behind those that have waited longer, as soon as the breaker lets it.
                None => queue.put_late(index, clock, begun),
            },
            // The breaker says when it may be asked again, and not its usual pause.
            PollError::Call(CallError::Exhausted { .. }) if is_breaker_open(&self.client, feed) => {
                self.feeds[index].pacing.after_failure(error.failed(&pull), clock);
                queue.put_doubtful(index, clock, begun);
                self.keep(index, pull.interrupted());
            }
            PollError::Call(CallError::ParkPromoter(cause)) => {
                let parked = ParkedFeed::new(cause.errcode, self.client.local_now().as_seconds());
                if self.parked.park(promoter, feed, parked) && self.reports.parked(promoter) {
                    tracing::warn!(app = %self.app, %promoter, %feed, %error, "promoter is parked");
                }
                // Put in as anew, and not as late: it is left alone on purpose, and nobody is to take it for overdue.
                queue.put(index, clock + self.parked_for);
                self.stands(index, FeedStanding::Parked);
            }
            PollError::Pages(_) | PollError::Call(_) => {
                let FeedSlot { pacing, class, .. } = &mut self.feeds[index];
                let turn = pacing.after_failure(error.failed(&pull), clock);
                queue.put_late_turn(index, *class, turn, begun);
            }
        }
    }

    /// Keeps what a poll has read, to be taken up behind its last page. What is not kept is read again: that is dearer, but
    /// nothing is lost.
    fn keep(&mut self, index: SlotNumber, pull: Option<Pull>) {
        if let Some(pull) = pull.filter(|_| self.kept.len() < self.kept_max) {
            self.kept.insert(index, pull);
        }
    }
}

/// How many calls a poll has made. The one that failed was made, too, but where a breaker stopped it.
fn calls(pages: u32, result: &Result<Polled, PollError>) -> u32 {
    match result {
        Ok(_) | Err(PollError::Pages(_) | PollError::Call(CallError::BreakerOpen { by_response: false, .. })) => pages,
        Err(_) => pages.saturating_add(1),
    }
}

fn is_breaker_open(client: &Client, feed: Feed) -> bool {
    client.breakers().readiness(feed.interface()) != Readiness::Closed
}
