//! `/api/v1/status`: how the connector is, for programs. The page and the command line show the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::answer::json;
use super::causes::{Severity, StatusCause, causes};
use super::observed::ObservedConnector;
use super::probes;
use crate::clock;
use crate::model::feed::{Feed, Interface};
use crate::model::time::{Day, UnixMillis, UnixTime};
use crate::session::PolledApp;
use crate::telemetry::health::HealthSnapshot;

/// Times are RFC 3339.
#[derive(Debug, Serialize)]
pub struct Status {
    /// starting, stopping, stopped, late, standby or well.
    pub state: &'static str,
    /// Since when the worst of the causes is.
    pub since: Option<String>,
    pub name: String,
    pub instance: String,
    pub version: &'static str,
    pub as_of: String,
    pub causes: Vec<StatusCause>,
    pub feeds: Vec<FeedStatus>,
    pub quota: Vec<QuotaStatus>,
    pub pipelines: Vec<PipelineStatus>,
    pub partitions: PartitionsStatus,
    pub dead_letters: Vec<DeadLettersStatus>,
}

#[derive(Debug, Serialize)]
pub struct FeedStatus {
    pub app: String,
    pub feed: &'static str,
    /// Within how many seconds each promoter was promised to be read again.
    pub promised_seconds: u64,
    /// How many seconds ago the one was read that was read longest ago.
    pub worst_seconds: Option<i64>,
    /// Nineteen in twenty were read later.
    pub p95_seconds: Option<i64>,
    pub on_time: usize,
    pub late: usize,
    pub backfilling: usize,
    pub parked: usize,
    /// They would be polled, were they not.
    pub paused: usize,
    pub backfill_remaining_seconds: Option<i64>,
}

#[derive(Debug, Serialize)]
pub struct QuotaStatus {
    pub app: String,
    pub interface: &'static str,
    /// Calls of a day that the app has, of all who call for it: as configured, or as the upstream has told today, whichever is less;
    /// nothing where no limit is known.
    pub limit: Option<u64>,
    /// Of today, as this process has counted its own.
    pub used: u32,
    /// Of today, by all who call for the app, as the upstream has told last; nothing where it has not told today.
    pub used_by_all: Option<u64>,
    /// Of how many, as it has told with that: may be more than `limit`.
    pub limit_told: Option<u64>,
    pub resets_at: String,
}

#[derive(Debug, Serialize)]
pub struct PipelineStatus {
    pub pipeline: &'static str,
    pub kafka_up: bool,
    pub last_commit: Option<String>,
    /// Since when something waits to be committed.
    pub waits_since: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct PartitionsStatus {
    pub all: u64,
    pub restoring: u64,
    pub polling: u64,
}

/// Since the process began.
#[derive(Debug, Serialize)]
pub struct DeadLettersStatus {
    pub source: &'static str,
    pub reason: &'static str,
    pub count: u64,
}

pub async fn status(State(observed): State<Arc<ObservedConnector>>) -> Response {
    json(StatusCode::OK, &Status::of(&observed))
}

impl Status {
    pub fn of(observed: &ObservedConnector) -> Status {
        let causes = causes(observed);
        let pipelines = observed.pipelines();
        let probe = probes::readiness(&pipelines, observed.stop.is_cancelled());
        Status {
            state: state(probe.state, &causes),
            since: causes
                .first()
                .filter(|worst| worst.severity != Severity::Note)
                .and_then(|worst| worst.since.clone()),
            name: observed.name.clone(),
            instance: observed.instance.clone(),
            version: env!("CARGO_PKG_VERSION"),
            as_of: clock::now().as_seconds().to_string(),
            feeds: observed.apps.iter().flat_map(feeds).collect(),
            quota: observed.apps.iter().flat_map(quota).collect(),
            pipelines: pipelines.into_iter().map(pipeline).collect(),
            partitions: partitions(observed),
            dead_letters: dead_letters(observed),
            causes,
        }
    }

    /// On one line: how it is, and the worst of the causes.
    pub fn line(&self) -> String {
        let Some(cause) = self.causes.first() else { return self.state.to_owned() };
        let of = |key: &str, value: Option<&str>| value.map(|value| format!("{key}{value}")).unwrap_or_default();
        let whose = of(" ", cause.app.as_deref().or(cause.pipeline));
        let (since, next) = (of(", since ", cause.since.as_deref()), of(", next try ", cause.next_try.as_deref()));
        format!("{}: {}{whose}{since}{next}: {}", self.state, cause.code, cause.text)
    }
}

/// What the causes say counts, but for a process that has not worked yet, or will not for long.
fn state(probe: &'static str, causes: &[StatusCause]) -> &'static str {
    let worst = causes.first().map(|cause| cause.severity);
    match (probe, worst) {
        ("stopping", _) => "stopping",
        (_, Some(Severity::Stopped)) => "stopped",
        ("starting", _) => "starting",
        (_, Some(Severity::Late)) => "late",
        ("standby", _) => "standby",
        _ => "well",
    }
}

fn feeds(app: &PolledApp) -> Vec<FeedStatus> {
    let now = app.client.local_now().as_seconds();
    let ago = |time: Option<UnixTime>| time.map(|time| now.0.saturating_sub(time.0).max(0));
    let of_feed = |feed: Feed| {
        let promised = app.feeds.polled[feed]?.settings.idle_every;
        let figures = app.reports.freshness(feed, promised, now);
        Some(FeedStatus {
            app: app.app.as_str().to_owned(),
            feed: feed.name(),
            promised_seconds: promised.as_secs(),
            worst_seconds: ago(figures.oldest),
            p95_seconds: ago(figures.p95),
            on_time: figures.on_time,
            late: figures.late,
            backfilling: figures.backfilling,
            parked: figures.parked,
            paused: app.reports.paused()[feed],
            backfill_remaining_seconds: ago(figures.backfill_from),
        })
    };
    Feed::ALL.into_iter().filter_map(of_feed).collect()
}

/// The calls of today, interface by interface.
pub fn quota(app: &PolledApp) -> Vec<QuotaStatus> {
    let resets_at = Day::in_beijing(app.client.now()).beijing_end().to_string();
    let of_interface = |interface: Interface| {
        let usage = app.client.day_usage(interface);
        QuotaStatus {
            app: app.app.as_str().to_owned(),
            interface: interface.name(),
            limit: usage.known_limit(),
            used: usage.spent,
            used_by_all: usage.told.map(|told| told.used),
            limit_told: usage.told.map(|told| told.limit),
            resets_at: resets_at.clone(),
        }
    };
    Interface::ALL.into_iter().map(of_interface).collect()
}

fn pipeline((pipeline, health): (&'static str, HealthSnapshot)) -> PipelineStatus {
    let told = |time: Option<UnixMillis>| time.map(|time| time.as_seconds().to_string());
    PipelineStatus {
        pipeline,
        kafka_up: health.is_answered(),
        last_commit: told(health.last_commit),
        waits_since: told(health.waits_since),
    }
}

fn partitions(observed: &ObservedConnector) -> PartitionsStatus {
    let shards = &observed.polls.figures.shards;
    PartitionsStatus {
        all: shards.partitions.load(Ordering::Relaxed),
        restoring: shards.restoring.load(Ordering::Relaxed),
        polling: shards.polling.load(Ordering::Relaxed),
    }
}

fn dead_letters(observed: &ObservedConnector) -> Vec<DeadLettersStatus> {
    let all = observed.counters().dead_letters();
    all.into_iter().map(|((source, reason), count)| DeadLettersStatus { source, reason, count }).collect()
}
