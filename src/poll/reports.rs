//! What an app's polls tell the log: each failure at debug, and sums by cause for a line a minute.
//!
//! With an upstream that is down every poll fails, so a line for each would bury everything else; and a cause that is only
//! counted would look like a quiet day. The sums keep the latest error of each cause.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::feed_query::{FeedQuery, FeedsFilter, FeedsPage, PolledFeedView};
use super::freshness::{FeedStanding, Freshness, FreshnessFigures};
use super::outcome::{PerPollEnd, PollEnd};
use super::queries::Queries;
use super::share_needs::ShareNeeds;
use crate::model::feed::{Feed, Interface, PerFeed};
use crate::model::pacing::PollSettings;
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
use crate::model::shares::wanted::ShareNeed;
use crate::model::time::UnixTime;
use crate::telemetry::health::HEARTBEAT_TIMEOUT;
use crate::telemetry::sums::CounterGrowth;

/// Written by the scheduler of an app, read by whoever reports. Lives as long as the process.
#[derive(Debug, Default)]
pub struct Reports {
    sums: Mutex<ReportSums>,
    calls: CounterGrowth<1>,
    freshness: Mutex<Freshness>,
    needs: Mutex<ShareNeeds>,
    pub(super) queries: Queries<FeedQuery>,
    /// Of how many promoters a feed would be polled that are paused.
    paused: Mutex<PerFeed<usize>>,
    /// When its scheduler last turned; nothing while none runs.
    heartbeat: Mutex<Option<Instant>>,
    /// Since the process began.
    ends: Mutex<PerFeed<PerPollEnd<u64>>>,
}

#[derive(Debug, Default)]
struct ReportSums {
    /// Polls that read their scope to its end, since they were last taken.
    complete: u64,
    failures: BTreeMap<&'static str, Failures>,
    newly_parked: NewlyParked,
    progress: PollProgress,
}

/// So many promoters are named that come to be parked between two reports.
const PARKED_NAMED_MAX: usize = 5;

/// Promoters that were parked since they were last taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewlyParked {
    pub count: usize,
    /// The first of them, each of whom was told alone.
    pub first: Vec<Promoter>,
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

    /// Of so many promoters each feed would be polled, were they not paused.
    pub(crate) fn set_paused(&self, paused: PerFeed<usize>) {
        *self.paused.lock() = paused;
    }

    pub(crate) fn paused(&self) -> PerFeed<usize> {
        *self.paused.lock()
    }

    /// Feeds that are polled now, from a place on, so many at most; nothing where nobody answers.
    pub(crate) async fn polled_feeds(&self, filter: FeedsFilter, from: usize, limit: usize) -> Option<FeedsPage> {
        self.queries.ask(|reply| FeedQuery::Page { filter, from, limit, reply }).await
    }

    /// How the feeds of a promoter are polled; nothing where nobody answers.
    pub(crate) async fn feeds_of(&self, promoter: Promoter) -> Option<Vec<PolledFeedView>> {
        self.queries.ask(|reply| FeedQuery::Of { promoter, reply }).await
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

    /// Counts a promoter that was parked. True where a line of its own is to tell of it: of many at once the report does.
    pub(super) fn parked(&self, promoter: &Promoter) -> bool {
        let NewlyParked { count, first } = &mut self.sums.lock().newly_parked;
        *count += 1;
        let is_named = first.len() < PARKED_NAMED_MAX;
        if is_named {
            first.push(promoter.clone());
        }
        is_named
    }

    /// Who was parked since this was last taken.
    pub fn take_parked(&self) -> NewlyParked {
        std::mem::take(&mut self.sums.lock().newly_parked)
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

    #[test]
    fn of_many_who_are_parked_the_first_are_named_and_all_are_counted_until_they_are_taken() {
        let reports = Reports::default();
        let promoter = |number: usize| Promoter::from_key(&format!("wx1/o{number}")).unwrap();
        let named: Vec<bool> = (0..7).map(|number| reports.parked(&promoter(number))).collect();
        assert_eq!(named, [true, true, true, true, true, false, false]);
        assert_eq!(reports.take_parked(), NewlyParked { count: 7, first: (0..5).map(promoter).collect() });
        assert_eq!(reports.take_parked(), NewlyParked::default());
        assert!(reports.parked(&promoter(8)));
    }
}
