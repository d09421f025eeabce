//! What an app's polls tell the log: each failure at debug, and sums by cause for a line a minute.
//!
//! With an upstream that is down every poll fails, so a line for each would bury everything else; and a cause that is only
//! counted would look like a quiet day. The sums keep the latest error of each cause.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::feed::{Feed, PerFeed};
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;
use crate::poll::poller::PollError;
use crate::telemetry::sums::CounterGrowth;
use crate::upstream::error::CallError;

/// Written by the scheduler of an app, read by whoever reports. Lives as long as the process.
#[derive(Debug, Default)]
pub struct Reports {
    sums: Mutex<ReportSums>,
    calls: CounterGrowth<1>,
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

    /// Polls that read their scope to its end, since the last call.
    pub fn take_complete(&self) -> u64 {
        std::mem::take(&mut self.sums.lock().complete)
    }

    /// How many calls were sent since this was last asked, where `sent` are all so far.
    pub fn calls_since(&self, sent: u64) -> u64 {
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
