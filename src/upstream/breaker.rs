//! Who may call the upstream, and when: one breaker for the app, one for each of its interfaces.
//!
//! ```text
//!            an answer that opens it              its time is over: one call, the probe
//!   closed ───────────────────────> open until T ───────────────────────────────────────> half-open
//!     ^                               ^                                                      │
//!     │                               └──── the probe is refused, or tells nothing ──────────┤
//!     └──────────────────── a good answer to a call that was sent after the opening ─────────┘
//! ```
//!
//! Polls and requests for material only ask. A call passes with a [`Pass`], which it shows again before everything it
//! sends: so retries, further pages, and what has waited for its budget meanwhile, end where the breaker has opened. The
//! breakers of an app live as long as its client, and stay open over a session's end.
//!
//! One answer that stops an app is checked by others at once. Where they are answered well it stops only the interface that
//! was told so, or only the promoter who was asked about: so the app's polls go on where one request is refused, or one
//! account is frozen. A probe of the app comes round over the interfaces.
//!
//! A probe that tells nothing (the upstream is busy) is repeated after the breaker's own pause, by whoever comes first
//! then. One that is dropped (cancelled) leaves the probe to another one shortly after.

use parking_lot::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::feed::Interface;
use crate::model::promoter::AppId;
use crate::upstream::error::{CallError, Cause, OpenReason};

use breaker_set::BreakerSet;
pub use reason::BreakerSettings;
use refusals::PromoterHash;
pub use state::Readiness;
use state::{Breaker, OpenDetails};

mod breaker_set;
mod pass;
mod reason;
mod refusals;
mod state;

pub(super) use pass::{CallRefusal, Pass};
pub(super) use reason::evidence;

/// So many token fetches in a row whose token was rejected, and the app's credentials count as wrong.
const TOKEN_REJECTIONS_MAX: u32 = 3;
/// After a probe that was dropped another one may go.
const DROPPED_PROBE_AGAIN: Duration = Duration::from_secs(5);

/// The breakers of one app, its own and one for each interface. They live as long as the app's client, and both pipelines ask
/// the same ones.
pub struct Breakers {
    app_id: AppId,
    settings: BreakerSettings,
    /// Calls in a row without an answer that open a breaker.
    unanswered_max: u32,
    set: Mutex<BreakerSet>,
    changed: watch::Sender<()>,
}

/// A breaker that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenBreaker {
    /// Absent for the whole app.
    pub interface: Option<Interface>,
    pub reason: OpenReason,
    pub cause: Cause,
    pub since: Instant,
    /// When the next probe goes; nothing while one is under way.
    pub next_probe: Option<Instant>,
}

impl OpenBreaker {
    /// How long until the next probe goes; nothing while one is under way.
    pub(crate) fn next_probe_in(&self) -> Option<Duration> {
        self.next_probe.map(|next| next.saturating_duration_since(Instant::now()))
    }
}

impl Breakers {
    /// `unanswered_max` calls in a row without a readable answer open a breaker, spread over all hosts.
    pub(super) fn new(app_id: AppId, settings: BreakerSettings, unanswered_max: u32) -> Breakers {
        Breakers { app_id, settings, unanswered_max, set: Mutex::default(), changed: watch::Sender::default() }
    }

    /// Whether a call of this interface may be made now. To be asked again when [`Breakers::changes`] tells of one.
    pub(crate) fn readiness(&self, interface: Interface) -> Readiness {
        self.lock().readiness(interface, None, Instant::now())
    }

    /// Tells each time a breaker opens, closes, or lets a probe pass.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until a call of this interface may be made that asks about this promoter. Many may wait, and only one of them
    /// becomes the probe.
    pub async fn ready(&self, interface: Interface, promoter_id: &str) {
        // Subscribed before the look, so that no change falls in between.
        let (mut changes, promoter) = (self.changes(), Some(PromoterHash::from(promoter_id)));
        loop {
            let readiness = self.lock().readiness(interface, promoter, Instant::now());
            let until = match readiness {
                Readiness::Closed | Readiness::Probe | Readiness::Check => return,
                Readiness::At(until) => Some(until),
                Readiness::AfterProbe => None,
            };
            let changed = changes.changed();
            match until {
                // Its sender lives as long as this does, so a change that fails can't be.
                Some(until) => drop(tokio::time::timeout_at(until, changed).await),
                None => drop(changed.await),
            }
        }
    }

    /// Whether the app's own breaker is not closed.
    pub(super) fn is_app_open(&self) -> bool {
        self.lock().app.details().is_some()
    }

    /// Since when the interface's breaker is open because its quota is spent, if it is.
    pub(super) fn lacks_quota_since(&self, interface: Interface) -> Option<Instant> {
        let set = self.lock();
        let breaker = &set.interfaces[interface];
        breaker.details().filter(|_| breaker.lacks_quota()).map(|details| details.since)
    }

    /// The upstream tells whether there is quota, while it is taken to be spent: then a probe may go at once, else none before
    /// midnight.
    pub(super) fn quota_reported(&self, interface: Interface, is_left: bool, day_left: Duration) {
        let pause = if is_left { Duration::ZERO } else { day_left };
        self.probe_for_quota(interface, |now, _| now + pause);
    }

    /// Nobody tells whether there is quota: a probe has to, after the usual pause, or before where it was to go before.
    pub(super) fn quota_unavailable(&self, interface: Interface) {
        self.probe_for_quota(interface, |now, until| until.min(now + self.settings.stopped));
    }

    fn probe_for_quota(&self, interface: Interface, at: impl FnOnce(Instant, Instant) -> Instant) {
        let changes = self.lock().interfaces[interface].probe_for_quota(Instant::now(), at);
        if changes {
            self.changed.send_replace(());
        }
    }

    /// How many calls were sent so far.
    pub fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// Every breaker that is not closed, with the reason.
    pub(crate) fn not_closed(&self) -> Vec<OpenBreaker> {
        let set = self.lock();
        let of = |interface, breaker: &Breaker| {
            let OpenDetails { reason, cause, since } = breaker.details()?.clone();
            Some(OpenBreaker { interface, reason, cause, since, next_probe: breaker.next_probe() })
        };
        let interfaces = Interface::ALL.into_iter().filter_map(|one| of(Some(one), &set.interfaces[one]));
        of(None, &set.app).into_iter().chain(interfaces).collect()
    }

    /// Lets a call pass that asks about this promoter: as the probe where one is due.
    ///
    /// # Errors
    /// [`CallError::BreakerOpen`], with what opened the breaker.
    pub(super) fn pass(&self, interface: Interface, promoter_id: &str) -> Result<Pass<'_>, CallError> {
        let target = (interface, PromoterHash::from(promoter_id));
        let mut set = self.lock();
        match set.readiness(interface, None, Instant::now()) {
            Readiness::Closed | Readiness::Probe => {}
            Readiness::Check if !set.was_refused(target) => {}
            Readiness::Check | Readiness::At(_) | Readiness::AfterProbe => return Err(set.open_error(interface)),
        }
        let (probes_app, probes_interface) = set.enter(interface);
        // Told without the lock, which whoever hears of it takes at once.
        drop(set);
        if probes_app || probes_interface {
            self.changed.send_replace(());
        }
        Ok(Pass::new(self, target, probes_app, probes_interface))
    }

    fn lock(&self) -> MutexGuard<'_, BreakerSet> {
        self.set.lock()
    }

    fn log_opened(&self, interface: Option<Interface>, reason: OpenReason, cause: &Cause) {
        let (app, seconds) = (&self.app_id, self.settings.pause(reason).as_secs());
        match interface {
            // Its operator has to do something.
            None if matches!(reason, OpenReason::Stopped(_)) => {
                tracing::error!(%app, reason = %reason, seconds, error = %cause, "app is stopped: no calls of it but probes");
            }
            None => tracing::warn!(%app, reason = %reason, seconds, error = %cause, "breaker of the app opens"),
            Some(interface) => {
                tracing::warn!(%app, %interface, reason = %reason, seconds, error = %cause, "breaker of the interface opens");
            }
        }
    }

    fn log_closed(&self, interface: Option<Interface>, details: &OpenDetails) {
        let (app, seconds, reason) = (&self.app_id, details.since.elapsed().as_secs(), details.reason);
        match interface {
            None => tracing::info!(%app, reason = %reason, seconds, "app is served again"),
            Some(interface) => tracing::info!(%app, %interface, reason = %reason, seconds, "interface is served again"),
        }
    }
}

#[cfg(test)]
mod tests;
