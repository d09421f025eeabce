//! Counters of the answers that became durable, and what the log says of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::log::AnswerBatch;
use super::reply_figures::ReplyFigures;
use super::waiting::WaitingFigures;
use crate::model::material::MaterialOutcome;
use crate::model::request::record::RequestAnswer;
use crate::telemetry::health::PipelineHealth;
use crate::telemetry::pipeline;
use crate::telemetry::sums::{CounterGrowth, DeadLetterCounts, DeadLetterSums};

/// Since the process began, but for what waits.
#[derive(Debug, Default)]
pub struct RequestTotals {
    pub transactions: AtomicU64,
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
    pub rejected: AtomicU64,
    pub expired: AtomicU64,
    pub dead_lettered: AtomicU64,
    /// How many schemas a registry is asked for now.
    pub schema_lookups: AtomicU64,
    /// Of the requests.
    pub health: Arc<PipelineHealth>,
    pub replies: ReplyFigures,
    pub waiting: WaitingFigures,
    reported: CounterGrowth<6>,
    letters: DeadLetterCounts,
}

impl RequestTotals {
    /// These are told apart from now on.
    pub fn know_apps(&self, apps: Vec<String>) {
        self.waiting.know_apps(&apps);
        self.replies.know_apps(apps);
    }

    /// A transaction has been committed.
    pub(super) fn add(&self, batch: &AnswerBatch) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        for (record, answer) in &batch.answers {
            self.count(answer);
            self.replies.count(record, answer);
        }
    }

    fn count(&self, answer: &RequestAnswer) {
        let counter = match answer {
            RequestAnswer::DeadLetter(letter) => {
                self.letters.count([letter]);
                &self.dead_lettered
            }
            RequestAnswer::Reply(result) => match result.outcome {
                MaterialOutcome::Succeeded(_) => &self.succeeded,
                MaterialOutcome::Failed(_) => &self.failed,
                MaterialOutcome::Rejected(_) => &self.rejected,
                MaterialOutcome::Expired(_) => &self.expired,
            },
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The dead letters that became durable, by source and reason.
    pub fn dead_letters(&self) -> DeadLetterSums {
        self.letters.all()
    }

    /// Says what has become durable since it was last said.
    pub fn summarise(&self) {
        let [transactions, succeeded, failed, rejected, expired, dead_letters] = self.reported.news(self.counters());
        let pipeline = pipeline::REQUESTS;
        let schema_lookups = self.schema_lookups.load(Ordering::Relaxed);
        tracing::info!(
            pipeline,
            transactions,
            succeeded,
            failed,
            rejected,
            expired,
            dead_letters,
            schema_lookups,
            "summary"
        );
        self.letters.tell(pipeline);
    }

    /// Says all that has become durable, at the end.
    pub fn say_stopped(&self) {
        let [transactions, succeeded, failed, rejected, expired, dead_letters] = self.counters();
        let pipeline = pipeline::REQUESTS;
        tracing::info!(pipeline, transactions, succeeded, failed, rejected, expired, dead_letters, "stopped");
    }

    fn counters(&self) -> [u64; 6] {
        [&self.transactions, &self.succeeded, &self.failed, &self.rejected, &self.expired, &self.dead_lettered]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}
