//! Who may call the upstream, and when: one breaker for the app, one for each of its interfaces.
//!
//! ```text
//!            an answer that holds                 its time is over: one call, the probe
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
//! One answer that stops an app is checked by others at once. Where they are answered well it holds only the interface that
//! was told so, or only the promoter who was asked about: so the app's polls go on where one request is refused, or one
//! account is frozen. A probe of the app comes round over the interfaces.
//!
//! A probe that tells nothing (the upstream is busy) is repeated after the breaker's own pause, by whoever comes first
//! then. One that is dropped (cancelled) leaves the turn to another one shortly after.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::feed::Interface;
use crate::model::promoter::AppId;
use crate::upstream::error::{CallError, Cause};

pub use hold::{Hold, HoldSettings};
use inner::Inner;
pub use state::Readiness;
use state::{Breaker, Reason};
use testimony::Whom;

mod hold;
mod inner;
mod pass;
mod state;
mod testimony;

pub(super) use hold::news;
pub(super) use pass::{Fault, Pass};

/// So many token fetches in a row whose token was rejected, and the app's credentials count as wrong.
const TOKEN_REJECTIONS_MAX: u32 = 3;
/// After a probe that was dropped another one may go.
const DROPPED_PROBE_AGAIN: Duration = Duration::from_secs(5);

pub struct Breakers {
    app_id: AppId,
    settings: HoldSettings,
    /// Calls in a row without an answer that open a breaker.
    unanswered_max: u32,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

/// A breaker that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Absent for the whole app.
    pub interface: Option<Interface>,
    pub hold: Hold,
    pub cause: Cause,
    pub since: Instant,
}

impl Breakers {
    /// `unanswered_max` calls in a row without a readable answer open a breaker, spread over all hosts.
    pub(super) fn new(app_id: AppId, settings: HoldSettings, unanswered_max: u32) -> Breakers {
        Breakers { app_id, settings, unanswered_max, inner: Mutex::default(), changed: watch::Sender::default() }
    }

    /// Whether a call of this interface may be made now. To be asked again when [`Breakers::changes`] tells of one.
    pub fn readiness(&self, interface: Interface) -> Readiness {
        self.lock().readiness(interface, None, Instant::now())
    }

    /// Tells each time a breaker opens, closes, or lets a probe pass.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until a call of this interface may be made that asks about this promoter. Many may wait, and only one of them
    /// becomes the probe.
    pub async fn ready(&self, interface: Interface, promoter_id: &str) {
        let (mut changes, whom) = (self.changes(), Some(Whom::from(promoter_id)));
        loop {
            let readiness = self.lock().readiness(interface, whom, Instant::now());
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

    /// How many calls were sent so far.
    pub fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// Every breaker that is not closed, with the reason.
    pub fn held(&self) -> Vec<Held> {
        let inner = self.lock();
        let of = |interface, breaker: &Breaker| {
            let Reason { hold, cause, since } = breaker.reason()?.clone();
            Some(Held { interface, hold, cause, since })
        };
        let interfaces = Interface::ALL.into_iter().filter_map(|one| of(Some(one), &inner.interfaces[one as usize]));
        of(None, &inner.app).into_iter().chain(interfaces).collect()
    }

    /// Lets a call pass that asks about this promoter: as the probe where one is due.
    pub(super) fn pass(&self, interface: Interface, promoter_id: &str) -> Result<Pass<'_>, CallError> {
        let subject = (interface, Whom::from(promoter_id));
        let mut inner = self.lock();
        match inner.readiness(interface, None, Instant::now()) {
            Readiness::Closed | Readiness::Probe => {}
            Readiness::Check if !inner.was_refused(subject) => {}
            Readiness::Check | Readiness::At(_) | Readiness::AfterProbe => return Err(inner.refusal(interface)),
        }
        let (probes_app, probes_interface) = inner.enter(interface);
        drop(inner);
        if probes_app || probes_interface {
            self.changed.send_replace(());
        }
        Ok(Pass::new(self, subject, probes_app, probes_interface))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // It is whole at any time.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_opened(&self, interface: Option<Interface>, hold: Hold, cause: &Cause) {
        let (app, seconds) = (&self.app_id, self.settings.pause(hold).as_secs());
        match interface {
            // Its operator has to do something.
            None if matches!(hold, Hold::Stopped(_)) => {
                tracing::error!(%app, reason = %hold, seconds, error = %cause, "app is stopped, and probed from time to time");
            }
            None => tracing::warn!(%app, reason = %hold, seconds, error = %cause, "app is held"),
            Some(interface) => {
                tracing::warn!(%app, %interface, reason = %hold, seconds, error = %cause, "interface is held");
            }
        }
    }

    fn log_closed(&self, interface: Option<Interface>, reason: &Reason) {
        let (app, seconds, hold) = (&self.app_id, reason.since.elapsed().as_secs(), reason.hold);
        match interface {
            None => tracing::info!(%app, reason = %hold, seconds, "app is served again"),
            Some(interface) => tracing::info!(%app, %interface, reason = %hold, seconds, "interface is served again"),
        }
    }
}

#[cfg(test)]
mod tests;
