//! What has been counted since the process began, as the causes and the status need it.

use std::collections::BTreeMap;

use crate::commit::totals::CommitTotals;
use crate::model::disposition::RowCounts;
use crate::model::feed::{Feed, PerFeed};
use crate::requests::totals::RequestTotals;
use crate::session::PolledApp;
use crate::telemetry::buckets::BucketSnapshot;
use crate::telemetry::sums::DeadLetterSums;

#[derive(Clone, Copy)]
pub struct Counters<'a> {
    pub apps: &'a [PolledApp],
    pub polls: &'a CommitTotals,
    pub requests: Option<&'a RequestTotals>,
}

/// Rows that were new, by app and feed: published, and dead letters.
pub type NewRows = BTreeMap<(String, Feed), [u64; 2]>;

impl Counters<'_> {
    pub fn rows(&self) -> NewRows {
        let of_app = |app: &str| {
            Feed::ALL.map(|feed| {
                let RowCounts { published, dead_lettered, .. } = self.polls.figures.rows(app, feed);
                ((app.to_owned(), feed), [published, dead_lettered])
            })
        };
        self.apps.iter().flat_map(|app| of_app(app.app.as_str())).collect()
    }

    pub fn lateness_used(&self) -> PerFeed<BucketSnapshot> {
        PerFeed::new(|feed| self.polls.figures.lateness_used[feed].snapshot())
    }

    /// Of both pipelines.
    pub fn dead_letters(&self) -> DeadLetterSums {
        let mut letters = self.polls.dead_letters();
        for (kind, count) in self.requests.iter().flat_map(|requests| requests.dead_letters()) {
            *letters.entry(kind).or_default() += count;
        }
        letters
    }
}
