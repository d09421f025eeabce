//! What requests wait for, app by app, as far as they are in memory: what stands in the topic beyond that waits for the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What holds a request up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// A place to call, or to keep the answer.
    Slot,
    /// Its app, or the interface, is not called: a breaker is open.
    AppStopped,
}

impl WaitsFor {
    pub const ALL: [WaitsFor; 2] = [WaitsFor::Slot, WaitsFor::AppStopped];

    pub fn name(self) -> &'static str {
        match self {
            WaitsFor::Slot => "slot",
            WaitsFor::AppStopped => "app_stopped",
        }
    }
}

/// The requests of one app that wait now.
#[derive(Debug, Default)]
pub struct WaitingRequests {
    slot: AtomicUsize,
    app_stopped: AtomicUsize,
}

/// One that waits, until it is dropped.
pub(super) struct WaitingRequest<'a>(&'a AtomicUsize);

impl WaitingRequests {
    pub fn count(&self, what: WaitsFor) -> usize {
        self.of(what).load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self, what: WaitsFor) -> WaitingRequest<'_> {
        let count = self.of(what);
        count.fetch_add(1, Ordering::Relaxed);
        WaitingRequest(count)
    }

    fn of(&self, what: WaitsFor) -> &AtomicUsize {
        match what {
            WaitsFor::Slot => &self.slot,
            WaitsFor::AppStopped => &self.app_stopped,
        }
    }
}

/// Also where whoever waits is cancelled.
impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Of all apps.
#[derive(Debug, Default)]
pub struct WaitingFigures {
    of_apps: OnceLock<BTreeMap<String, Arc<WaitingRequests>>>,
    /// Groups of requests whose schema is not known yet, partition by partition: nobody knows how many each holds, nor whose they are.
    pub schema_groups: AtomicUsize,
    /// Records in the partitions of this instance from the first request without an answer on. Those that are answered out of their
    /// order count, too, and so does what a requester's transactions leave in the topic.
    pub lag_records: AtomicU64,
}

impl WaitingFigures {
    /// These are told apart from now on.
    pub fn know_apps(&self, apps: &[String]) {
        let of_apps = apps.iter().map(|app| (app.clone(), Arc::default())).collect();
        // Nobody says it twice, and what was said first holds.
        let _ = self.of_apps.set(of_apps);
    }

    /// The session is over: what waits is the next one's to find.
    pub(super) fn clear(&self) {
        self.schema_groups.store(0, Ordering::Relaxed);
        self.lag_records.store(0, Ordering::Relaxed);
    }

    /// By app.
    pub fn of_apps(&self) -> impl Iterator<Item = (&String, &Arc<WaitingRequests>)> {
        self.of_apps.get().into_iter().flatten()
    }

    /// Where those of an app are counted; in nothing that anybody sees where it is not known.
    pub fn of(&self, app: &str) -> Arc<WaitingRequests> {
        self.of_apps.get().and_then(|apps| apps.get(app)).cloned().unwrap_or_default()
    }
}
