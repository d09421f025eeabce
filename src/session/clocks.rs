//! What the clients of all apps know together: what time it is.

use std::time::Duration;

use tokio::task::JoinSet;

use super::PollPipeline;
use crate::model::time::UnixMillis;
use crate::registry::removed::KnownClocks;
use crate::upstream::upstream_clock;

/// How long the first token and the upstream's time may take, before the first cursor is set.
const WARM_UP_MAX: Duration = Duration::from_secs(5);

impl PollPipeline {
    /// Asks every app's token source once, and hears the upstream's clock. A failure is met again, and reported, by the
    /// first poll.
    pub async fn warm_up(&self) {
        let mut asking = JoinSet::new();
        for app in self.apps.iter() {
            let client = app.client.clone();
            asking.spawn(async move { tokio::time::timeout(WARM_UP_MAX, client.warm_up()).await });
        }
        while asking.join_next().await.is_some() {}
    }

    /// The clocks of this host and of all upstreams that were heard; nothing before the first of these. The upstreams' go on by
    /// themselves from their last answers, so that a clock of this host that leaps ahead is not the only one.
    pub(super) fn known_clocks(&self) -> Option<KnownClocks> {
        // All clients read the same clock of this host, so any of them tells it.
        let local = self.apps.first()?.client.local_now().as_seconds();
        let upstream = || self.apps.iter().filter_map(|app| app.client.upstream_now());
        let (earliest, latest) = (upstream().min()?, upstream().max()?);
        Some(KnownClocks { earlier: local.min(earliest), later: local.max(latest) })
    }

    /// The local clock, set back where all upstreams show that it is ahead.
    pub fn clock(&self) -> impl Fn() -> UnixMillis + Send + Sync + 'static {
        let clients: Vec<_> = self.apps.iter().map(|app| app.client.clone()).collect();
        move || {
            let local = crate::clock::now();
            upstream_clock::set_back(local, clients.iter().filter_map(|client| client.upstream_skew_seconds()))
        }
    }
}
