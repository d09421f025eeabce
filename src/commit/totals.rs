//! Counters of what became durable, and what the log says of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::feed_rows::FeedRows;
use super::figures::CommitFigures;
use crate::model::batch::Batch;
use crate::model::feed::Feed;
use crate::model::promoter::{AppId, Promoter};
use crate::model::time::UnixTime;
use crate::telemetry::health::PipelineHealth;
use crate::telemetry::pipeline;
use crate::telemetry::sums::{CounterGrowth, DeadLetterCounts, DeadLetterSums};

/// Since the process began.
#[derive(Debug, Default)]
pub struct CommitTotals {
    pub transactions: AtomicU64,
    pub published: AtomicU64,
    pub dead_lettered: AtomicU64,
    pub duplicates: AtomicU64,
    pub behind_cursor: AtomicU64,
    pub before_start: AtomicU64,
    /// Of the polls.
    pub health: Arc<PipelineHealth>,
    pub figures: CommitFigures,
    reported: CounterGrowth<6>,
    letters: DeadLetterCounts,
    /// The apps of which it was said.
    idle_starts: Mutex<BTreeSet<AppId>>,
}

/// Feeds that began elsewhere than `start_from` says now.
#[derive(Debug, Default)]
pub(crate) struct IdleStarts {
    feeds: usize,
    /// One of them, and where it began.
    shown: Option<(Promoter, Feed, UnixTime)>,
}

impl IdleStarts {
    pub fn note(&mut self, promoter: &Promoter, feed: Feed, began: UnixTime) {
        self.feeds += 1;
        self.shown.get_or_insert_with(|| (promoter.clone(), feed, began));
    }
}

impl CommitTotals {
    /// A transaction has been committed.
    pub(super) fn add(&self, rows: &FeedRows, batch: &Batch) {
        let counts = rows.total();
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.published.fetch_add(counts.published, Ordering::Relaxed);
        self.dead_lettered.fetch_add(counts.dead_lettered, Ordering::Relaxed);
        self.duplicates.fetch_add(counts.duplicates, Ordering::Relaxed);
        self.behind_cursor.fetch_add(counts.behind_cursor, Ordering::Relaxed);
        self.before_start.fetch_add(counts.before_start, Ordering::Relaxed);
        self.letters.count(&batch.dead_letters);
        self.figures.add(rows, batch);
    }

    /// How much has become durable since the last call: transactions, facts published, dead letters, duplicates,
    /// behind the cursor, before the start.
    pub(crate) fn news(&self) -> [u64; 6] {
        self.reported.news(self.counters())
    }

    /// The dead letters that became durable, by source and reason.
    pub fn dead_letters(&self) -> DeadLetterSums {
        self.letters.all()
    }

    /// Says which dead letters have become durable since it was last said.
    pub(crate) fn tell_dead_letters(&self) {
        self.letters.tell(pipeline::POLLS);
    }

    /// Says, once for each app, that feeds began elsewhere than `start_from` says now.
    pub(crate) fn say_idle_starts(&self, app: &AppId, IdleStarts { feeds, shown }: IdleStarts) {
        let Some((promoter, feed, began)) = shown else { return };
        if self.idle_starts.lock().insert(app.clone()) {
            let pipeline = pipeline::POLLS;
            tracing::warn!(pipeline, %app, feeds, %promoter, %feed, %began, "start_from no longer acts");
        }
    }

    /// Says all that has become durable, at the end.
    pub(crate) fn say_stopped(&self) {
        let [transactions, published, dead_letters, duplicates, behind_cursor, before_start] = self.counters();
        let pipeline = pipeline::POLLS;
        tracing::info!(
            pipeline,
            transactions,
            published,
            dead_letters,
            duplicates,
            behind_cursor,
            before_start,
            "stopped"
        );
    }

    fn counters(&self) -> [u64; 6] {
        [
            &self.transactions,
            &self.published,
            &self.dead_lettered,
            &self.duplicates,
            &self.behind_cursor,
            &self.before_start,
        ]
        .map(|counter| counter.load(Ordering::Relaxed))
    }
}
