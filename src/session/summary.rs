//! The minute's line of the polls, and beside it a line for everything that is not as it should be.

use std::ops::AddAssign;

use tracing::field::display;

use super::PolledApp;
use crate::commit::totals::CommitTotals;
use crate::model::feed::{Feed, PerFeed};
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;
use crate::poll::freshness::FreshnessFigures;
use crate::poll::reports::{NewlyParked, PollProgress};
use crate::telemetry::pipeline;

/// Of all apps, since they were last asked.
#[derive(Default)]
struct Polls {
    complete: u64,
    failed: u64,
    calls: u64,
    /// Breakers that are not closed.
    breakers_open: usize,
    /// Feeds of promoters that were read longer ago than was promised.
    late: usize,
    /// How many seconds ago the one was read that was read longest ago, without those that are parked or backfilling.
    worst_age: Option<i64>,
    progress: PollProgress,
}

/// Says what has become of the work since it was last said: with an upstream or a Kafka that is away it can't look like a
/// quiet day.
pub(super) fn summarise(apps: &[PolledApp], totals: &CommitTotals) {
    let mut polls = Polls::default();
    for app in apps {
        app.summarise(&mut polls);
    }
    let [transactions, published, dead_letters, duplicates, behind_cursor, before_start] = totals.news();
    let Polls { complete, failed, calls, breakers_open, late, worst_age, progress } = polls;
    let PollProgress { feeds, overdue, parked, catching_up, held_back, oldest, .. } = progress;
    // Without a rest, so that a new feed is told, too.
    let PerFeed { touches, orders, refunds } = oldest;
    tracing::info!(
        pipeline = pipeline::POLLS,
        transactions,
        published,
        dead_letters,
        duplicates,
        behind_cursor,
        before_start,
        polls_ok = complete,
        polls_failed = failed,
        calls,
        breakers_open,
        feeds,
        late,
        worst_age,
        overdue,
        parked,
        catching_up,
        held_back,
        oldest_touches = touches.map(display),
        oldest_orders = orders.map(display),
        oldest_refunds = refunds.map(display),
        "summary"
    );
    totals.tell_dead_letters();
}

impl PolledApp {
    /// Adds what its polls have come to, and says what is wrong with them.
    fn summarise(&self, polls: &mut Polls) {
        let (app, breakers) = (&self.app, self.client.breakers());
        for (reason, failures) in self.reports.take_failures() {
            polls.failed += failures.polls;
            tracing::warn!(pipeline = pipeline::POLLS, %app, reason, polls = failures.polls, error = failures.error, "polls failed");
        }
        for open in breakers.not_closed() {
            polls.breakers_open += 1;
            let (interface, seconds) = (open.interface.map(display), open.since.elapsed().as_secs());
            tracing::warn!(%app, interface, reason = open.reason.name(), seconds, error = %open.cause, "upstream is not asked");
        }
        self.client.tell_oddities();
        let NewlyParked { count, first } = self.reports.take_parked();
        // Those first were told one by one.
        if count > first.len() {
            let first = first.iter().map(Promoter::key).collect::<Vec<_>>().join(", ");
            tracing::warn!(pipeline = pipeline::POLLS, %app, count, first, "promoters parked");
        }
        self.add_freshness(polls);
        let progress = self.reports.progress();
        if progress.overdue > 0 {
            let (feeds, overdue) = (progress.feeds, progress.overdue);
            let latest = progress.latest.as_ref();
            let (promoter, feed) = (latest.map(|late| display(&late.promoter)), latest.map(|late| display(late.feed)));
            let seconds = latest.map(|late| late.by.as_secs());
            tracing::warn!(pipeline = pipeline::POLLS, %app, feeds, overdue, promoter, feed, seconds, "polls are overdue");
        }
        polls.complete += self.reports.take_complete();
        polls.calls += self.reports.calls_since(breakers.sent());
        polls.progress += progress;
    }

    fn add_freshness(&self, polls: &mut Polls) {
        let now = self.client.local_now().as_seconds();
        for feed in Feed::ALL {
            let Some(plan) = self.feeds.polled[feed] else { continue };
            let FreshnessFigures { late, oldest, .. } = self.reports.freshness(feed, plan.settings.idle_every, now);
            polls.late += late;
            let age = oldest.map(|oldest| now.0.saturating_sub(oldest.0).max(0));
            polls.worst_age = polls.worst_age.max(age);
        }
    }
}

/// The progress of two apps together.
impl AddAssign for PollProgress {
    fn add_assign(&mut self, other: PollProgress) {
        self.feeds += other.feeds;
        self.polls += other.polls;
        self.overdue += other.overdue;
        self.parked += other.parked;
        self.catching_up += other.catching_up;
        self.held_back += other.held_back;
        let older = |one: Option<UnixTime>, other: Option<UnixTime>| one.into_iter().chain(other).min();
        self.oldest = PerFeed::new(|feed| older(self.oldest[feed], other.oldest[feed]));
    }
}
