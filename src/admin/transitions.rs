//! What the log tells of how the connector is, when that changes: each change once, and an app that stays stopped once an hour.
//! It looks at what the admin port looks at, whether that is open or not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::observed::ObservedConnector;
use super::{causes, probes};
use crate::model::feed::Feed;
use crate::model::promoter::AppId;
use late_feed::LateFeed;
use lateness::LatenessWarning;
use stopped_app::StoppedApp;

mod late_feed;
mod lateness;
mod stopped_app;

/// How often it is looked whether anything has changed, once the connector is ready.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same before: whoever starts it waits for this.
const LOOK_FOR_READY_EVERY: Duration = Duration::from_secs(1);

/// What was told so far. As many entries as there are apps and feeds.
#[derive(Default)]
struct Transitions {
    is_ready: bool,
    stopped: BTreeMap<AppId, StoppedApp>,
    late: BTreeMap<(AppId, Feed), LateFeed>,
    lateness: LatenessWarning,
}

/// Looks until `end`.
pub async fn watch(observed: Arc<ObservedConnector>, end: CancellationToken) {
    let mut transitions = Transitions::default();
    while end.run_until_cancelled(tokio::time::sleep(transitions.pause())).await.is_some() {
        transitions.look(&observed);
    }
}

impl Transitions {
    fn pause(&self) -> Duration {
        if self.is_ready { LOOK_EVERY } else { LOOK_FOR_READY_EVERY }
    }

    fn look(&mut self, observed: &ObservedConnector) {
        self.look_whether_ready(observed);
        observed.recent.note(observed.counters());
        // What is a cause is one since it was met, whether anybody asks for the causes or not.
        self.lateness.look(&causes::causes(observed));
        let now = Instant::now();
        for app in observed.apps.iter() {
            let open = app.client.breakers().not_closed();
            self.stopped.entry(app.app.clone()).or_default().look(&app.app, &open, now);
            for feed in Feed::ALL {
                let Some(plan) = app.feeds.polled[feed] else { continue };
                let (promised, clock) = (plan.settings.idle_every, app.client.local_now().as_seconds());
                let figures = app.reports.freshness(feed, promised, clock);
                let change = self.late.entry((app.app.clone(), feed)).or_default().look(&figures, now);
                if let Some(change) = change {
                    let latest = app.reports.progress().latest.filter(|latest| latest.feed == feed);
                    change.tell(&app.app, feed, latest.map(|latest| latest.promoter), clock);
                }
            }
        }
    }

    /// Told once: what keeps it from being ready later is told as what it is.
    fn look_whether_ready(&mut self, observed: &ObservedConnector) {
        if self.is_ready {
            return;
        }
        let readiness = probes::readiness(&observed.pipelines(), observed.stop.is_cancelled());
        if readiness.is_well {
            self.is_ready = true;
            let seconds = crate::clock::now().0.saturating_sub(observed.began.0) / 1000;
            tracing::info!(
                name = observed.name,
                instance = observed.instance,
                state = readiness.state,
                seconds,
                "ready"
            );
        }
    }
}

#[cfg(test)]
mod tests;
