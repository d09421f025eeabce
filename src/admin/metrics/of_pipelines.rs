//! Of the pipelines: what they commit, and how they stand to the brokers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::catalogue as metric;
use super::samples::Samples;
use crate::admin::observed::ObservedConnector;
use crate::commit::figures::ShardFigures;
use crate::model::feed::Feed;
use crate::model::state::FACT_BYTES;
use crate::model::time::UnixMillis;
use crate::requests::reply_figures::{OTHER_APP, ReplyFigures, ReplyStatus};
use crate::requests::waiting::{WaitingFigures, WaitsFor};
use crate::telemetry::health::{PipelineHealth, SessionEnd, TransactionOutcome};
use crate::telemetry::pipeline;
use crate::telemetry::sums::DeadLetterSums;

pub fn add(observed: &ObservedConnector, samples: &mut Samples) {
    let polls = &observed.polls;
    add_health(pipeline::POLLS, &polls.health, samples);
    let (held, limit) = polls.figures.queue_bytes();
    samples.count(&metric::QUEUE_BYTES, &[pipeline::POLLS], held as u64);
    samples.count(&metric::QUEUE_LIMIT, &[pipeline::POLLS], limit as u64);
    add_shards(&polls.figures.shards, samples);
    let remembered = polls.figures.remembered();
    samples.count(&metric::REMEMBERED_FACTS, &[], remembered);
    samples.count(&metric::REMEMBERED_BYTES, &[], remembered.saturating_mul(FACT_BYTES));
    for feed in Feed::ALL {
        samples.buckets(&metric::FACT_AGE, &[feed.name()], polls.figures.fact_ages[feed].snapshot());
        samples.buckets(&metric::OBSERVED_TO_COMMITTED, &[feed.name()], polls.figures.commit_delays[feed].snapshot());
        samples.buckets(&metric::LATENESS_USED, &[feed.name()], polls.figures.lateness_used[feed].snapshot());
    }
    add_dead_letters(&polls.dead_letters(), samples);
    if let Some(requests) = &observed.requests {
        add_health(pipeline::REQUESTS, &requests.health, samples);
        add_replies(&requests.replies, samples);
        add_waiting(&requests.waiting, samples);
        add_dead_letters(&requests.dead_letters(), samples);
    }
}

fn add_health(pipeline: &str, health: &PipelineHealth, samples: &mut Samples) {
    for outcome in TransactionOutcome::ALL {
        let count = health.transactions[outcome].load(Ordering::Relaxed);
        samples.count(&metric::TRANSACTIONS, &[pipeline, outcome.name()], count);
    }
    samples.buckets(&metric::TRANSACTION_DURATION, &[pipeline], health.transaction_durations.snapshot());
    for end in SessionEnd::ALL {
        samples.count(&metric::SESSIONS, &[pipeline, end.name()], health.sessions[end].load(Ordering::Relaxed));
    }
    let snapshot = health.snapshot();
    let seconds = |time: Option<UnixMillis>| time.map_or(0.0, |time| time.0 as f64 / 1000.0);
    samples.number(&metric::LAST_COMMIT, &[pipeline], seconds(snapshot.last_commit));
    samples.number(&metric::OLDEST_WAITING, &[pipeline], seconds(snapshot.waits_since));
    samples.flag(&metric::KAFKA_UP, &[pipeline], snapshot.is_answered());
}

fn add_shards(shards: &ShardFigures, samples: &mut Samples) {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    samples.count(&metric::PARTITIONS, &[], load(&shards.partitions));
    samples.count(&metric::PARTITIONS_OWNED, &["restoring"], load(&shards.restoring));
    samples.count(&metric::PARTITIONS_OWNED, &["polling"], load(&shards.polling));
    samples.number(&metric::RESTORE_DURATION, &[], load(&shards.restore_milliseconds) as f64 / 1000.0);
}

fn add_replies(replies: &ReplyFigures, samples: &mut Samples) {
    for (app, counts) in replies.of_apps() {
        for status in ReplyStatus::ALL {
            samples.count(&metric::REQUESTS, &[&app, status.name()], counts[status]);
        }
    }
    for status in ReplyStatus::ALL {
        samples.buckets(&metric::REQUEST_DURATION, &[status.name()], replies.durations[status].snapshot());
    }
}

fn add_waiting(waiting: &WaitingFigures, samples: &mut Samples) {
    for (app, requests) in waiting.of_apps() {
        for why in WaitsFor::ALL {
            samples.count(&metric::REQUESTS_WAITING, &[app, why.name()], requests.count(why) as u64);
        }
    }
    let groups = waiting.schema_groups.load(Ordering::Relaxed);
    samples.count(&metric::REQUESTS_WAITING, &[OTHER_APP, "schema"], groups as u64);
    samples.count(&metric::REQUESTS_LAG, &[], waiting.lag_records.load(Ordering::Relaxed));
}

fn add_dead_letters(letters: &DeadLetterSums, samples: &mut Samples) {
    for ((source, reason), count) in letters {
        samples.count(&metric::DEAD_LETTERS, &[source, reason], *count);
    }
}
