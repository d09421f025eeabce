//! Of the calls to the upstream: what they bring, what holds them, and what they may cost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::catalogue as metric;
use super::samples::Samples;
use crate::admin::observed::ObservedConnector;
use crate::admin::open_breakers::{AppStop, InterfaceHold, holds, stops};
use crate::model::feed::Interface;
use crate::model::time::{Day, UnixMillis};
use crate::session::PolledApp;
use crate::telemetry::buckets::BucketSnapshot;
use crate::upstream::breaker::OpenBreaker;
use crate::upstream::call_counts::CallClass;
use crate::upstream::token::FetchOutcome;

/// A budget whose next call is so far away holds its interface: what is waited for less is paced.
const BUDGET_HOLDS: Duration = Duration::from_secs(60);

pub fn add(observed: &ObservedConnector, samples: &mut Samples) {
    for app in observed.apps.iter() {
        Interface::ALL.into_iter().for_each(|interface| add_calls(app, interface, samples));
        add_breakers(app, samples);
        add_tokens(app, samples);
        let offset = app.client.upstream_skew_seconds().unwrap_or(0);
        samples.number(&metric::CLOCK_OFFSET, &[app.app.as_str()], offset as f64);
        samples.count(&metric::UPSTREAM_CALLS_IN_FLIGHT, &[app.app.as_str()], app.client.calls_in_flight() as u64);
    }
    for interface in Interface::ALL {
        let durations = observed.apps.iter().map(|app| app.client.calls().of(interface).durations.snapshot());
        if let Some(durations) = durations.reduce(together) {
            samples.buckets(&metric::UPSTREAM_CALL_DURATION, &[interface.name()], durations);
        }
    }
}

fn together(mut one: BucketSnapshot, other: BucketSnapshot) -> BucketSnapshot {
    one += other;
    one
}

fn add_calls(app: &PolledApp, interface: Interface, samples: &mut Samples) {
    let (labels, calls) = ([app.app.as_str(), interface.name()], app.client.calls().of(interface));
    for class in CallClass::ALL {
        let count = calls.classes[class].load(Ordering::Relaxed);
        samples.count(&metric::UPSTREAM_CALLS, &[labels[0], labels[1], class.name()], count);
    }
    samples.buckets(&metric::BUDGET_WAIT, &labels, calls.budget_waits.snapshot());
    let usage = app.client.day_usage(interface);
    samples.count(&metric::QUOTA_LIMIT, &labels, u64::from(usage.limit));
    samples.count(&metric::QUOTA_USED, &[labels[0], labels[1], "ours"], u64::from(usage.spent));
    let told = usage.told.map_or(0, |told| told.used);
    samples.count(&metric::QUOTA_USED, &[labels[0], labels[1], "upstream"], told);
    let reset = Day::in_beijing(app.client.now()).beijing_end();
    samples.number(&metric::QUOTA_RESET, &labels, reset.0 as f64);
}

fn add_breakers(app: &PolledApp, samples: &mut Samples) {
    let (app_id, open) = (app.app.as_str(), app.client.breakers().not_closed());
    for stop in AppStop::ALL {
        samples.flag(&metric::APP_STOPPED, &[app_id, stop.name()], stops(&open) == Some(stop));
    }
    for interface in Interface::ALL {
        for hold in InterfaceHold::ALL {
            let is_held = holds(&open, interface).contains(&hold);
            samples.flag(&metric::INTERFACE_HELD, &[app_id, interface.name(), hold.name()], is_held);
        }
        let is_held = app.client.next_call_in(interface) > BUDGET_HOLDS;
        samples.flag(&metric::INTERFACE_HELD, &[app_id, interface.name(), "budget"], is_held);
    }
    let next = open.iter().filter_map(OpenBreaker::next_probe_in).min();
    let next = next.map_or(0.0, |pause| seconds(app.client.local_now()) + pause.as_secs_f64());
    samples.number(&metric::NEXT_PROBE, &[app_id], next);
}

fn add_tokens(app: &PolledApp, samples: &mut Samples) {
    let (app_id, tokens) = (app.app.as_str(), app.client.tokens());
    for outcome in FetchOutcome::ALL {
        let count = tokens.fetches[outcome].load(Ordering::Relaxed);
        samples.count(&metric::TOKEN_FETCHES, &[app_id, outcome.name()], count);
    }
    let expiry = tokens.kept_for().map_or(0.0, |left| seconds(app.client.local_now()) + left.as_secs_f64());
    samples.number(&metric::TOKEN_EXPIRY, &[app_id], expiry);
}

fn seconds(time: UnixMillis) -> f64 {
    time.0 as f64 / 1000.0
}
