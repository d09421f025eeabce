//! The way of one call past the breakers, and what its answers tell them.

use tokio::time::Instant;

use super::breaker_set::{AppClosed, BreakerSet};
use super::reason::Evidence;
use super::refusals::{CallTarget, narrowed};
use super::state::{Breaker, CallNumber, OpenDetails};
use super::{Breakers, DROPPED_PROBE_AGAIN, TOKEN_REJECTIONS_MAX};
use crate::model::feed::Interface;
use crate::upstream::error::{CallError, Cause, OpenReason, StopReason};

/// A call that the breakers have let pass, with its retries. Dropping it ends a probe.
pub struct Pass<'a> {
    breakers: &'a Breakers,
    target: CallTarget,
    /// Of what it has sent last.
    call: CallNumber,
    probes_app: bool,
    probes_interface: bool,
}

/// What an answer means for the call itself, besides what it tells the breakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallRefusal {
    /// It waits until the breaker lets it pass.
    BreakerOpen(OpenReason),
    /// Others are answered: it is its promoter's alone.
    PromoterOnly(OpenReason),
}

impl<'a> Pass<'a> {
    pub(super) fn new(breakers: &'a Breakers, target: CallTarget, probes_app: bool, probes_interface: bool) -> Self {
        Pass { breakers, target, call: 0, probes_app, probes_interface }
    }

    pub fn interface(&self) -> Interface {
        self.target.0
    }

    pub fn is_probe(&self) -> bool {
        self.probes_app || self.probes_interface
    }

    /// To be asked after every wait.
    ///
    /// # Errors
    /// [`CallError::BreakerOpen`] where a breaker has opened meanwhile.
    pub fn check(&self) -> Result<(), CallError> {
        self.check_in(&self.breakers.lock())
    }

    /// # Errors
    /// As [`check`](Self::check).
    fn check_in(&self, set: &BreakerSet) -> Result<(), CallError> {
        // A breaker that it probes waits for it.
        let app_lets = self.probes_app || set.app.details().is_none();
        let interface_lets = self.probes_interface || set.interfaces[self.interface()].details().is_none();
        if app_lets && interface_lets { Ok(()) } else { Err(set.open_error(self.interface())) }
    }

    /// To be called just before it is sent.
    ///
    /// # Errors
    /// As [`check`](Self::check): then it is not sent.
    pub fn sends(&mut self) -> Result<(), CallError> {
        let mut set = self.breakers.lock();
        self.check_in(&set)?;
        set.sent += 1;
        self.call = set.sent;
        Ok(())
    }

    /// An answer came.
    pub fn note(&mut self, evidence: Evidence, cause: &Cause) -> Option<CallRefusal> {
        match evidence {
            Evidence::Served => {
                self.served();
                None
            }
            Evidence::Nothing => None,
            Evidence::App(reason) => {
                self.open_app(reason, cause);
                Some(CallRefusal::BreakerOpen(reason))
            }
            Evidence::AppSuspected(reason) => Some(self.suspect_app(reason, cause)),
            Evidence::Interface(reason) => {
                self.served_by_app();
                Some(self.open_interface_as_told(reason, cause))
            }
        }
    }

    /// App and interface have answered.
    pub fn served(&mut self) {
        self.served_by_app();
        let closed = self.breakers.lock().interface_served(self.call, self.target);
        self.probes_interface = false;
        if let Some(details) = closed {
            self.breakers.log_closed(Some(self.interface()), &details);
            self.breakers.changed.send_replace(());
        }
    }

    fn served_by_app(&mut self) {
        let closed = self.breakers.lock().app_served(self.call, self.target, Instant::now());
        self.probes_app = false;
        let Some(AppClosed { details, interfaces }) = closed else { return };
        self.breakers.log_closed(None, &details);
        for interface in interfaces {
            self.breakers.log_opened(Some(interface), narrowed(details.reason), &details.cause);
        }
        self.breakers.changed.send_replace(());
    }

    /// It was told that its app is stopped.
    fn suspect_app(&mut self, reason: OpenReason, cause: &Cause) -> CallRefusal {
        let interface_only = self.breakers.lock().interface_only[self.interface()];
        if interface_only {
            self.open_interface_as_told(narrowed(reason), cause)
        } else {
            self.open_as_told(None, reason, cause)
        }
    }

    fn open_interface_as_told(&mut self, reason: OpenReason, cause: &Cause) -> CallRefusal {
        self.open_as_told(Some(self.interface()), reason, cause)
    }

    /// Opens a breaker on its word, which counts only as far as it is not known to speak for its promoter alone.
    fn open_as_told(&mut self, interface: Option<Interface>, reason: OpenReason, cause: &Cause) -> CallRefusal {
        {
            let set = &mut *self.breakers.lock();
            if set.promoter_only.concerns(self.target, reason) {
                return CallRefusal::PromoterOnly(reason);
            }
            let (breaker, refusals) = match interface {
                None => (&set.app, &mut set.app_refusals),
                Some(interface) => (&set.interfaces[interface], &mut set.interface_refusals[interface]),
            };
            refusals.add(self.target, reason, breaker.details().is_some() && breaker.opened_before(self.call));
        }
        self.open(interface, reason, cause);
        CallRefusal::BreakerOpen(reason)
    }

    /// Opens the interface's breaker without an answer of its own: for `Retry-After` alone.
    pub fn open_interface(&mut self, reason: OpenReason, cause: &Cause) {
        self.open(Some(self.interface()), reason, cause);
    }

    /// Without a token no call can be made.
    pub fn open_app(&mut self, reason: OpenReason, cause: &Cause) {
        self.breakers.lock().app_refusals.concern_everyone();
        self.open(None, reason, cause);
    }

    /// Nothing readable came back from the host of that number, which is one of so many.
    pub fn unanswered(&mut self, host: usize, hosts: usize, cause: &Cause) {
        let dead = {
            let set = &mut *self.breakers.lock();
            let unanswered = &mut set.unanswered[self.interface()];
            !unanswered.is_refuted(self.call) && unanswered.count(host, hosts, self.breakers.unanswered_max)
        };
        if dead {
            self.open(Some(self.interface()), OpenReason::Unanswered, cause);
        }
    }

    /// A token fetch brought nothing readable; it is counted once, however many calls have waited for it.
    pub fn fetch_unanswered(&mut self, fetch: u64, host: usize, hosts: usize, cause: &Cause) {
        let dead = {
            let set = &mut *self.breakers.lock();
            let first = fetch > set.unanswered_fetch;
            set.unanswered_fetch = set.unanswered_fetch.max(fetch);
            first && set.unanswered_fetches.count(host, hosts, self.breakers.unanswered_max)
        };
        if dead {
            self.open_app(OpenReason::Unanswered, cause);
        }
    }

    /// The token that `fetch` brought is rejected, after another one was: or it is the rejected one again.
    pub fn token_rejected_again(&mut self, fetch: u64, cause: &Cause) -> CallRefusal {
        let in_a_row = {
            let set = &mut *self.breakers.lock();
            let is_news = !set.interface_only[self.interface()]
                && !set.promoter_only.concerns(self.target, OpenReason::TokenRejected);
            let (sent, rejections) = (set.sent, &mut set.rejections);
            if is_news && fetch > rejections.latest_fetch {
                rejections.latest_fetch = fetch;
                rejections.in_a_row += 1;
                rejections.counted_after = sent;
            }
            rejections.in_a_row
        };
        let stops = in_a_row >= TOKEN_REJECTIONS_MAX;
        self.suspect_app(
            if stops { OpenReason::Stopped(StopReason::TokensRejected) } else { OpenReason::TokenRejected },
            cause,
        )
    }

    /// The call ends, and what it probes is as unknown as before.
    pub fn undecided(&mut self) {
        self.end_probes(|breakers, breaker| {
            let reason = breaker.details().map(|details| details.reason);
            Instant::now() + reason.map_or(DROPPED_PROBE_AGAIN, |reason| breakers.settings.pause_again(reason))
        });
    }

    fn end_probes(&mut self, at: impl Fn(&Breakers, &Breaker) -> Instant) {
        if !self.is_probe() {
            return;
        }
        {
            let set = &mut *self.breakers.lock();
            let interface = self.interface();
            if self.probes_app {
                set.app_refusals.add_inconclusive(interface);
            }
            if self.probes_interface {
                set.interface_refusals[interface].add_inconclusive(interface);
            }
            let app = self.probes_app.then_some(&mut set.app);
            let interface = self.probes_interface.then_some(&mut set.interfaces[interface]);
            for breaker in app.into_iter().chain(interface) {
                let at = at(self.breakers, breaker);
                breaker.probe_again(at);
            }
        }
        (self.probes_app, self.probes_interface) = (false, false);
        self.breakers.changed.send_replace(());
    }

    fn open(&mut self, interface: Option<Interface>, reason: OpenReason, cause: &Cause) {
        let now = Instant::now();
        let until = now + self.breakers.settings.pause(reason);
        let details = OpenDetails { reason, cause: cause.clone(), since: now };
        let is_told = {
            let set = &mut *self.breakers.lock();
            let (breaker, probes) = match interface {
                None => (&mut set.app, &mut self.probes_app),
                Some(interface) => (&mut set.interfaces[interface], &mut self.probes_interface),
            };
            let is_news = std::mem::take(probes) || breaker.opened_before(self.call);
            breaker.open(is_news, set.sent, until, details)
        };
        if is_told {
            self.breakers.log_opened(interface, reason, cause);
        }
        self.breakers.changed.send_replace(());
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.end_probes(|_, _| Instant::now() + DROPPED_PROBE_AGAIN);
    }
}
