//! The way of one call past the breakers, and what its answers tell them.

use tokio::time::Instant;

use super::hold::{Hold, News};
use super::inner::{AppClosed, Inner};
use super::state::{Breaker, CallNumber, Reason};
use super::testimony::{Subject, own};
use super::{Breakers, DROPPED_PROBE_AGAIN, TOKEN_REJECTIONS_MAX};
use crate::model::feed::Interface;
use crate::upstream::error::{CallError, Cause, StopReason};

/// A call that the breakers have let pass, with its retries. Dropping it ends a probe's turn.
pub struct Pass<'a> {
    breakers: &'a Breakers,
    subject: Subject,
    /// Of what it has sent last.
    call: CallNumber,
    probes_app: bool,
    probes_interface: bool,
}

/// What an answer means for the call itself, besides what it tells the breakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It waits until the breaker lets it pass.
    Held(Hold),
    /// Others are answered: it is its promoter's alone.
    OfPromoter(Hold),
}

impl<'a> Pass<'a> {
    pub(super) fn new(breakers: &'a Breakers, subject: Subject, probes_app: bool, probes_interface: bool) -> Self {
        Pass { breakers, subject, call: 0, probes_app, probes_interface }
    }

    pub fn interface(&self) -> Interface {
        self.subject.0
    }

    pub fn is_probe(&self) -> bool {
        self.probes_app || self.probes_interface
    }

    /// To be asked after every wait: fails where a breaker has opened meanwhile.
    pub fn check(&self) -> Result<(), CallError> {
        self.check_in(&self.breakers.lock())
    }

    fn check_in(&self, inner: &Inner) -> Result<(), CallError> {
        // A breaker that it probes waits for it.
        let app_lets = self.probes_app || inner.app.reason().is_none();
        let interface_lets = self.probes_interface || inner.interfaces[self.interface() as usize].reason().is_none();
        if app_lets && interface_lets { Ok(()) } else { Err(inner.refusal(self.interface())) }
    }

    /// To be called just before it is sent.
    pub fn sends(&mut self) -> Result<(), CallError> {
        let mut inner = self.breakers.lock();
        self.check_in(&inner)?;
        inner.sent += 1;
        self.call = inner.sent;
        Ok(())
    }

    /// An answer came.
    pub fn note(&mut self, news: News, cause: &Cause) -> Option<Fault> {
        match news {
            News::Served => {
                self.served();
                None
            }
            News::Nothing => None,
            News::App(hold) => {
                self.hold_app(hold, cause);
                Some(Fault::Held(hold))
            }
            News::Accusation(hold) => Some(self.accuses(hold, cause)),
            News::Interface(hold) => {
                self.served_by_app();
                Some(self.holds_interface(hold, cause))
            }
        }
    }

    /// App and interface have answered.
    pub fn served(&mut self) {
        self.served_by_app();
        let closed = self.breakers.lock().interface_served(self.call, self.subject);
        self.probes_interface = false;
        if let Some(reason) = closed {
            self.breakers.log_closed(Some(self.interface()), &reason);
            self.breakers.changed.send_replace(());
        }
    }

    fn served_by_app(&mut self) {
        let closed = self.breakers.lock().app_served(self.call, self.subject, Instant::now());
        self.probes_app = false;
        let Some(AppClosed { reason, interfaces }) = closed else { return };
        self.breakers.log_closed(None, &reason);
        for interface in interfaces {
            self.breakers.log_opened(Some(interface), own(reason.hold), &reason.cause);
        }
        self.breakers.changed.send_replace(());
    }

    /// It was told that its app is stopped.
    fn accuses(&mut self, hold: Hold, cause: &Cause) -> Fault {
        let is_own = self.breakers.lock().is_own[self.interface() as usize];
        if is_own { self.holds_interface(own(hold), cause) } else { self.blames(None, hold, cause) }
    }

    fn holds_interface(&mut self, hold: Hold, cause: &Cause) -> Fault {
        self.blames(Some(self.interface()), hold, cause)
    }

    /// Opens a breaker on its word, which counts only as far as it is not known to speak for its promoter alone.
    fn blames(&mut self, interface: Option<Interface>, hold: Hold, cause: &Cause) -> Fault {
        {
            let inner = &mut *self.breakers.lock();
            if inner.alone.is(self.subject, hold) {
                return Fault::OfPromoter(hold);
            }
            let (breaker, against) = match interface {
                None => (&inner.app, &mut inner.against_app),
                Some(interface) => (&inner.interfaces[interface as usize], &mut inner.against[interface as usize]),
            };
            against.says(self.subject, hold, breaker.reason().is_some() && breaker.opened_before(self.call));
        }
        self.opens(interface, hold, cause);
        Fault::Held(hold)
    }

    /// Holds the interface without an answer of its own: `Retry-After` alone, or the configured calls of the day.
    pub fn hold_interface(&mut self, hold: Hold, cause: &Cause) {
        self.opens(Some(self.interface()), hold, cause);
    }

    /// Without a token no call can be made.
    pub fn hold_app(&mut self, hold: Hold, cause: &Cause) {
        self.breakers.lock().against_app.becomes_general();
        self.opens(None, hold, cause);
    }

    /// Nothing readable came back from the host of that number, which is one of so many.
    pub fn unanswered(&mut self, host: usize, hosts: usize, cause: &Cause) {
        let dead = {
            let inner = &mut *self.breakers.lock();
            let unanswered = &mut inner.unanswered[self.interface() as usize];
            !unanswered.is_refuted(self.call) && unanswered.count(host, hosts, self.breakers.unanswered_max)
        };
        if dead {
            self.opens(Some(self.interface()), Hold::Unanswered, cause);
        }
    }

    /// A token fetch brought nothing readable; it is counted once, however many calls have waited for it.
    pub fn fetch_unanswered(&mut self, fetch: u64, host: usize, hosts: usize, cause: &Cause) {
        let dead = {
            let inner = &mut *self.breakers.lock();
            let first = fetch > inner.unanswered_fetch;
            inner.unanswered_fetch = inner.unanswered_fetch.max(fetch);
            first && inner.unanswered_fetches.count(host, hosts, self.breakers.unanswered_max)
        };
        if dead {
            self.hold_app(Hold::Unanswered, cause);
        }
    }

    /// The token that `fetch` brought is rejected, after another one was: or it is the rejected one again.
    pub fn token_rejected_again(&mut self, fetch: u64, cause: &Cause) -> Fault {
        let in_a_row = {
            let inner = &mut *self.breakers.lock();
            let is_news =
                !inner.is_own[self.interface() as usize] && !inner.alone.is(self.subject, Hold::TokenRejected);
            let (sent, rejections) = (inner.sent, &mut inner.rejections);
            if is_news && fetch > rejections.latest_fetch {
                rejections.latest_fetch = fetch;
                rejections.in_a_row += 1;
                rejections.counted_after = sent;
            }
            rejections.in_a_row
        };
        let stops = in_a_row >= TOKEN_REJECTIONS_MAX;
        self.accuses(if stops { Hold::Stopped(StopReason::TokensRejected) } else { Hold::TokenRejected }, cause)
    }

    /// The call ends, and what it probes is as unknown as before.
    pub fn undecided(&mut self) {
        self.end_probes(|breakers, breaker| {
            let hold = breaker.reason().map(|reason| reason.hold);
            Instant::now() + hold.map_or(DROPPED_PROBE_AGAIN, |hold| breakers.settings.pause_again(hold))
        });
    }

    fn end_probes(&mut self, at: impl Fn(&Breakers, &Breaker) -> Instant) {
        if !self.is_probe() {
            return;
        }
        {
            let inner = &mut *self.breakers.lock();
            let interface = self.interface() as usize;
            if self.probes_app {
                inner.against_app.tells_nothing(self.interface());
            }
            if self.probes_interface {
                inner.against[interface].tells_nothing(self.interface());
            }
            let app = self.probes_app.then_some(&mut inner.app);
            let interface = self.probes_interface.then_some(&mut inner.interfaces[interface]);
            for breaker in app.into_iter().chain(interface) {
                let at = at(self.breakers, breaker);
                breaker.probe_again(at);
            }
        }
        (self.probes_app, self.probes_interface) = (false, false);
        self.breakers.changed.send_replace(());
    }

    fn opens(&mut self, interface: Option<Interface>, hold: Hold, cause: &Cause) {
        let now = Instant::now();
        let until = now + self.breakers.settings.pause(hold);
        let reason = Reason { hold, cause: cause.clone(), since: now };
        let is_told = {
            let inner = &mut *self.breakers.lock();
            let (breaker, probes) = match interface {
                None => (&mut inner.app, &mut self.probes_app),
                Some(interface) => (&mut inner.interfaces[interface as usize], &mut self.probes_interface),
            };
            let is_news = std::mem::take(probes) || breaker.opened_before(self.call);
            breaker.open(is_news, inner.sent, until, reason)
        };
        if is_told {
            self.breakers.log_opened(interface, hold, cause);
        }
        self.breakers.changed.send_replace(());
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.end_probes(|_, _| Instant::now() + DROPPED_PROBE_AGAIN);
    }
}
