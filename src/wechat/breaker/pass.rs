//! The way of one call past the breakers, and what its answers tell them.

use tokio::time::Instant;

use super::hold::{Hold, News};
use super::state::{Breaker, CallNumber, Reason};
use super::{Breakers, DROPPED_PROBE_AGAIN, Inner, TOKEN_REJECTIONS_MAX};
use crate::domain::feed::Interface;
use crate::wechat::error::{CallError, Cause, StopReason};

/// A call that the breakers have let pass, with its retries. Dropping it ends a probe's turn.
pub struct Pass<'a> {
    breakers: &'a Breakers,
    interface: Interface,
    /// Of what it has sent last.
    call: CallNumber,
    probes_app: bool,
    probes_interface: bool,
}

impl<'a> Pass<'a> {
    pub(super) fn new(breakers: &'a Breakers, interface: Interface, probes_app: bool, probes_interface: bool) -> Self {
        Pass { breakers, interface, call: 0, probes_app, probes_interface }
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
        let interface_lets = self.probes_interface || inner.interfaces[self.interface as usize].reason().is_none();
        if app_lets && interface_lets { Ok(()) } else { Err(inner.refusal(self.interface)) }
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
    pub fn note(&mut self, news: News, cause: &Cause) {
        match news {
            News::Served => self.served(),
            News::Nothing => {}
            News::App(hold) => self.opens(None, hold, cause),
            News::Interface(hold) => {
                self.served_by_app();
                self.opens(Some(self.interface), hold, cause);
            }
        }
    }

    /// App and interface have answered.
    pub fn served(&mut self) {
        self.served_by_app();
        let closed = {
            let inner = &mut *self.breakers.lock();
            inner.unanswered[self.interface as usize].answered(self.call);
            inner.interfaces[self.interface as usize].served(self.call)
        };
        self.probes_interface = false;
        self.tell_closed(Some(self.interface), closed);
    }

    fn served_by_app(&mut self) {
        let closed = {
            let inner = &mut *self.breakers.lock();
            inner.unanswered_fetches.answered(self.call);
            if self.call > inner.rejections.counted_after {
                inner.rejections.in_a_row = 0;
            }
            inner.app.served(self.call)
        };
        self.probes_app = false;
        self.tell_closed(None, closed);
    }

    /// Holds the interface without an answer of its own: `Retry-After` alone, or the configured calls of the day.
    pub fn hold_interface(&mut self, hold: Hold, cause: &Cause) {
        self.opens(Some(self.interface), hold, cause);
    }

    /// As [`Pass::hold_interface`], where the token's source has asked for it.
    pub fn hold_app(&mut self, hold: Hold, cause: &Cause) {
        self.opens(None, hold, cause);
    }

    /// Nothing readable came back from the host of that number, which is one of so many.
    pub fn unanswered(&mut self, host: usize, hosts: usize, cause: &Cause) {
        let dead = {
            let inner = &mut *self.breakers.lock();
            let unanswered = &mut inner.unanswered[self.interface as usize];
            !unanswered.is_refuted(self.call) && unanswered.count(host, hosts, self.breakers.unanswered_max)
        };
        if dead {
            self.opens(Some(self.interface), Hold::Unanswered, cause);
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
            self.opens(None, Hold::Unanswered, cause);
        }
    }

    /// The token that `fetch` brought is rejected, after another one was: or it is the rejected one again.
    pub fn token_rejected_again(&mut self, fetch: u64, cause: &Cause) -> Hold {
        let in_a_row = {
            let inner = &mut *self.breakers.lock();
            let (sent, rejections) = (inner.sent, &mut inner.rejections);
            if fetch > rejections.latest_fetch {
                rejections.latest_fetch = fetch;
                rejections.in_a_row += 1;
                rejections.counted_after = sent;
            }
            rejections.in_a_row
        };
        let stops = in_a_row >= TOKEN_REJECTIONS_MAX;
        let hold = if stops { Hold::Stopped(StopReason::TokensRejected) } else { Hold::TokenRejected };
        self.opens(None, hold, cause);
        hold
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
            let app = self.probes_app.then_some(&mut inner.app);
            let interface = self.probes_interface.then_some(&mut inner.interfaces[self.interface as usize]);
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

    fn tell_closed(&self, interface: Option<Interface>, closed: Option<Reason>) {
        if let Some(reason) = closed {
            self.breakers.log_closed(interface, &reason);
            self.breakers.changed.send_replace(());
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.end_probes(|_, _| Instant::now() + DROPPED_PROBE_AGAIN);
    }
}
