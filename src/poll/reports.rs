//! What an app's polls tell the log: each failure at debug, and sums by cause for a line a minute.
//!
//! With an upstream that is down every poll fails, so a line for each would bury everything else; and a cause that is only
//! counted would look like a quiet day. The sums keep the latest error of each cause.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::feed_query::{FeedQueries, FeedsFilter, FeedsPage, PolledFeedView};
use super::freshness::{FeedStanding, Freshness, FreshnessFigures};
use super::share_needs::ShareNeeds;
use crate::model::feed::{Feed, Interface, PerFeed};
use crate::model::pacing::PollSettings;
use crate::model::per::one_value_for_each;
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
use crate::model::shares::wanted::ShareNeed;
use crate::model::time::UnixTime;
use crate::poll::poller::PollError;
use crate::telemetry::health::HEARTBEAT_TIMEOUT;
use crate::telemetry::sums::CounterGrowth;
use crate::upstream::error::CallError;

/// Written by the scheduler of an app, read by whoever reports. Lives as long as the process.
#[derive(Debug, Default)]
pub struct Reports {
    sums: Mutex<ReportSums>,
    calls: CounterGrowth<1>,
    freshness: Mutex<Freshness>,
    needs: Mutex<ShareNeeds>,
    pub(super) queries: FeedQueries,
    /// When its scheduler last turned; nothing while none runs.
    heartbeat: Mutex<Option<Instant>>,
    /// Since the process began.
    ends: Mutex<PerFeed<PerPollEnd<u64>>>,
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollEnd {
    /// What it asked was read to its end.
    Complete,
    Failed,
    /// Its promoter can't be polled.
    Parked,
    /// A breaker is open. The metric `polls_total` calls that *held*.
    BreakerOpen,
}

one_value_for_each! {
    /// One value for each way in which a poll ends.
    PerPollEnd of PollEnd { complete: Complete, failed: Failed, parked: Parked, held: BreakerOpen }
}

impl PollEnd {
    pub fn name(self) -> &'static str {
        match self {
            PollEnd::Complete => "complete",
            PollEnd::Failed => "failed",
            PollEnd::Parked => "parked",
            PollEnd::BreakerOpen => "held",
        }
    }

    /// Of a poll that failed; nothing of one that was told to end.
    pub(super) fn of(error: &PollError) -> Option<PollEnd> {
        match error {
            PollError::Call(CallError::ParkPromoter(_)) => Some(PollEnd::Parked),
            PollError::Call(CallError::BreakerOpen { .. }) => Some(PollEnd::BreakerOpen),
            PollError::Call(CallError::Cancelled) | PollError::Closed(_) => None,
            PollError::Call(_) | PollError::Pages(_) => Some(PollEnd::Failed),
        }
    }
}

#[derive(Debug, Default)]
struct ReportSums {
    /// Polls that read their scope to its end, since they were last taken.
    complete: u64,
    failures: BTreeMap<&'static str, Failures>,
    progress: PollProgress,
}

/// Polls that failed for one cause since the sums were last taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub polls: u64,
    /// How the latest of them says it.
    pub error: String,
}

/// How far an app's feeds are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollProgress {
    /// Of promoters; each counts.
    pub feeds: usize,
    /// Polls under way.
    pub polls: usize,
    /// Feeds that have been due for more than a minute, and were not polled to the end since.
    pub overdue: usize,
    /// The one whose polls have come to nothing longest.
    pub latest: Option<Late>,
    /// Promoters with a permanent error.
    pub parked: usize,
    /// Feeds whose cursors are far behind.
    pub catching_up: usize,
    /// How many of these wait for slower ones.
    pub held_back: usize,
    /// The oldest cursor, rounded down to its minute.
    pub oldest: PerFeed<Option<UnixTime>>,
}

/// A feed that was polled in vain since it was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    pub promoter: Promoter,
    pub feed: Feed,
    pub by: Duration,
}

impl Reports {
    pub(super) fn completed(&self) {
        self.sums.lock().complete += 1;
    }

    pub(super) fn ended(&self, feed: Feed, end: PollEnd) {
        self.ends.lock()[feed][end] += 1;
    }

    /// How the polls of each feed have ended so far.
    pub fn ends(&self) -> PerFeed<PerPollEnd<u64>> {
        *self.ends.lock()
    }

    /// A feed stands otherwise than before; nothing before it comes, and nothing after it has gone.
    pub(super) fn stands(
        &self,
        promoter: &Promoter,
        feed: Feed,
        settings: PollSettings,
        [before, after]: [Option<FeedStanding>; 2],
    ) {
        self.freshness.lock().stands(feed, before, after);
        self.needs.lock().stands(promoter, feed, settings, [before, after]);
    }

    /// What is polled from now on lies in so many shards.
    pub(crate) fn begin_needs(&self, partitions: i32) {
        *self.needs.lock() = ShareNeeds::new(partitions);
    }

    /// What the feeds of a shard would call of an interface.
    pub(crate) fn need(&self, shard: Shard, interface: Interface) -> ShareNeed {
        self.needs.lock().of(shard, interface)
    }

    /// Its scheduler is alive; to be said at least each [`REPORT_EVERY`](super::scheduler::REPORT_EVERY).
    pub(super) fn heartbeat(&self) {
        *self.heartbeat.lock() = Some(Instant::now());
    }

    /// Whether its scheduler, if one runs, is alive.
    pub(crate) fn is_alive(&self) -> bool {
        self.heartbeat.lock().is_none_or(|heartbeat| heartbeat.elapsed() < HEARTBEAT_TIMEOUT)
    }

    /// Nothing is polled any more.
    pub(super) fn forget_standings(&self) {
        *self.heartbeat.lock() = None;
        *self.freshness.lock() = Freshness::default();
    }

    /// How fresh a feed is, of which each promoter was to be polled at `promised`.
    pub(crate) fn freshness(&self, feed: Feed, promised: Duration, now: UnixTime) -> FreshnessFigures {
        self.freshness.lock().figures(feed, promised, now)
    }

    /// Feeds that are polled now, from a place on, so many at most; nothing where nobody polls.
    pub(crate) async fn polled_feeds(&self, filter: FeedsFilter, from: usize, limit: usize) -> Option<FeedsPage> {
        self.queries.page(filter, from, limit).await
    }

    /// How the feeds of a promoter are polled; nothing where nobody polls.
    pub(crate) async fn feeds_of(&self, promoter: Promoter) -> Option<Vec<PolledFeedView>> {
        self.queries.of(promoter).await
    }

    /// Polls that read their scope to its end, since the last call.
    pub(crate) fn take_complete(&self) -> u64 {
        std::mem::take(&mut self.sums.lock().complete)
    }

    /// How many calls were sent since this was last asked, where `sent` are all so far.
    pub(crate) fn calls_since(&self, sent: u64) -> u64 {
        let [calls] = self.calls.news([sent]);
        calls
    }

    /// Counts a poll that failed.
    pub fn failed(&self, cause: &'static str, error: String) {
        let mut sums = self.sums.lock();
        let failures = sums.failures.entry(cause).or_default();
        failures.polls += 1;
        failures.error = error;
    }

    pub(super) fn set_progress(&self, progress: PollProgress) {
        self.sums.lock().progress = progress;
    }

    /// The sums by cause since they were last taken.
    pub fn take_failures(&self) -> BTreeMap<&'static str, Failures> {
        std::mem::take(&mut self.sums.lock().failures)
    }

    pub fn progress(&self) -> PollProgress {
        self.sums.lock().progress.clone()
    }
}

/// The cause of a failed poll in one word; nothing where the poll has not failed, but waits or is cancelled.
pub fn cause(error: &PollError) -> Option<&'static str> {
    match error {
        PollError::Pages(_) => Some("pages"),
        PollError::Call(error) => match error {
            CallError::ParkPromoter(_) => Some("parked"),
            CallError::RefuseRequest(_) => Some("refused"),
            CallError::TryLater(_) => Some("later"),
            CallError::Exhausted { .. } => Some("exhausted"),
            CallError::Unforeseen(_) => Some("undocumented"),
            CallError::ClientFault(_) => Some("client_fault"),
            CallError::Unreadable(_) => Some("unreadable"),
            CallError::BreakerOpen { .. } | CallError::Cancelled => None,
        },
        PollError::Closed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_summed_by_cause_with_their_latest_error_until_they_are_taken() {
        let reports = Reports::default();
        reports.failed("exhausted", "refused".into());
        reports.failed("exhausted", "no such host".into());
        reports.failed("pages", "without end".into());
        let sums = reports.take_failures();
        assert_eq!(sums["exhausted"], Failures { polls: 2, error: "no such host".into() });
        assert_eq!(sums["pages"].polls, 1);
        assert!(reports.take_failures().is_empty());
    }
}
