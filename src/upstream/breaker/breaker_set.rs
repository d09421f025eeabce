//! The breakers of an app together: what lets a call pass, and what an answer means for the others. A plain rule; time is
//! an argument.
//!
//! # Why nobody starves another
//!
//! Only an app's breaker lets one who is refused hold up those who would be answered, or one interface's those of one
//! interface. Let an interface be well: whoever asks it is answered.
//!
//! 1. *An app's probe comes round.* Of the interfaces that want it, the one whose latest probe is the oldest goes first
//!    ([`BreakerSet::probe_delay`]), so the well one probes after at most as many pauses as there are others, whatever these
//!    probes end with, and whether polls or requests send them.
//! 2. *Its probe closes the app's breaker*: one good answer does. And those on whose word alone it was open pay for it. An
//!    interface that was refused while this one never was is stopped by itself ([`BreakerSet::app_served`]); whatever stops the app
//!    on its word stops that interface alone until it is answered itself. So each other interface opens the app's breaker
//!    at most once until it has been answered well; and as often as a promoter of this one is shown to speak for himself.
//! 3. *Within an interface* a promoter who was refused while another is answered is [`PromoterOnly`] from then on: what he is
//!    told concerns him until he is answered himself. So he opens a breaker at most once until then, or a few times where
//!    it is a pace. Who was refused stands behind all others who are due, so others come to probe.
//! 4. *None of this waits for a pause where the word of one can be checked at once* ([`RefusedCalls::may_check`]): then a well
//!    interface, and a well promoter, are held up for as long as one answer takes. What is not checked (a rejected token, a
//!    pace, a quota) waits for its own pause.
//!
//! What concerns the app indeed stays: then every check and every probe is refused, checks come to their end, and one
//! probe a pause goes on.

use std::time::Duration;

use tokio::time::Instant;

use super::refusals::{CallTarget, PromoterHash, PromoterOnly, RefusedCalls, narrowed};
use super::state::{Breaker, CallNumber, OpenDetails, Readiness, Unanswered};
use crate::model::feed::{Interface, PerInterface};
use crate::upstream::error::CallError;

/// So long the probe is left to each of those who come before. They wait for the same moment, so it is only for them
/// to be woken.
pub(super) const PROBE_SLOT: Duration = Duration::from_millis(200);

/// The breakers of one app, and what is remembered of its calls to classify the next ones by.
#[derive(Default)]
pub(super) struct BreakerSet {
    /// How many calls were sent so far.
    pub sent: CallNumber,
    pub app: Breaker,
    pub interfaces: PerInterface<Breaker>,
    pub app_refusals: RefusedCalls,
    pub interface_refusals: PerInterface<RefusedCalls>,
    /// Interfaces that are told what stops an app, while others show that it is not stopped. Over when they are answered.
    pub interface_only: PerInterface<bool>,
    pub promoter_only: PromoterOnly,
    pub unanswered: PerInterface<Unanswered>,
    pub unanswered_fetches: Unanswered,
    /// The latest token fetch that was counted as unanswered.
    pub unanswered_fetch: u64,
    pub rejections: Rejections,
    /// Whom anybody has wanted to call: nobody waits for the others.
    wanted: PerInterface<bool>,
    /// How many probes of the app were sent so far, and which of them was an interface's latest.
    probes: u64,
    latest_probe: PerInterface<u64>,
}

/// Tokens that were rejected, counted by the fetch that brought them: however many calls learn of one, it is one event.
#[derive(Default)]
pub(super) struct Rejections {
    pub in_a_row: u32,
    pub latest_fetch: u64,
    /// The last call that was sent when the latest was counted.
    pub counted_after: CallNumber,
}

/// The app's breaker has closed.
pub(super) struct AppClosed {
    pub details: OpenDetails,
    /// What is stopped in its place.
    pub interfaces: Vec<Interface>,
}

impl BreakerSet {
    /// Whether a call may be made: of this promoter, where he is known.
    pub fn readiness(&mut self, interface: Interface, promoter: Option<PromoterHash>, now: Instant) -> Readiness {
        self.wanted[interface] = true;
        // He was refused: others who wait for the same come first.
        let was_refused = promoter.is_some_and(|promoter| self.was_refused((interface, promoter)));
        let patience = if was_refused { PROBE_SLOT } else { Duration::ZERO };
        let checks = |refusals: &RefusedCalls| refusals.may_check(interface) && !was_refused;
        let of = |breaker: &Breaker, after, refusals, is_suspicion: bool| match breaker.readiness(now, after) {
            Readiness::At(_) if is_suspicion && breaker.is_stopped() && checks(refusals) => Readiness::Check,
            readiness => readiness,
        };
        let (breaker, refusals) = (&self.interfaces[interface], &self.interface_refusals[interface]);
        let app_after = self.probe_delay(interface) + patience;
        both(
            of(&self.app, app_after, &self.app_refusals, true),
            of(breaker, patience, refusals, self.interface_only[interface]),
        )
    }

    /// After the moment in which an app may be probed: so that the one whose latest probe is the oldest goes first.
    fn probe_delay(&self, interface: Interface) -> Duration {
        let latest = self.latest_probe[interface];
        let comes_before = |other: Interface| self.wanted[other] && self.latest_probe[other] < latest;
        let before = Interface::ALL.into_iter().filter(|other| comes_before(*other)).count();
        PROBE_SLOT * u32::try_from(before).unwrap_or(u32::MAX)
    }

    /// A call passes that may: whether it probes the app, and the interface.
    pub fn enter(&mut self, interface: Interface) -> (bool, bool) {
        let probes_app = self.app.enter();
        if probes_app {
            self.probes += 1;
            self.latest_probe[interface] = self.probes;
        }
        (probes_app, self.interfaces[interface].enter())
    }

    /// Whether this promoter was refused since the app's or the interface's breaker opened.
    pub fn was_refused(&self, target: CallTarget) -> bool {
        self.app_refusals.contains(target) || self.interface_refusals[target.0].contains(target)
    }

    /// Why nothing may be asked: the app's reason before the interface's.
    pub fn open_error(&self, interface: Interface) -> CallError {
        let details = self.app.details().or(self.interfaces[interface].details());
        let OpenDetails { reason, cause, .. } = details.expect("a breaker that is not closed has its details").clone();
        CallError::BreakerOpen { reason, cause, by_response: false }
    }

    /// The app has answered this call. Where that closes its breaker, those who were refused are refuted. If one was on
    /// this interface, so was somebody who is well, or it has been mended: then nothing is known of the interfaces.
    pub fn app_served(
        &mut self,
        call: CallNumber,
        (interface, promoter): CallTarget,
        now: Instant,
    ) -> Option<AppClosed> {
        self.unanswered_fetches.answered(call);
        // A call that was sent before the latest rejection says nothing of the tokens since.
        if call > self.rejections.counted_after {
            self.rejections.in_a_row = 0;
        }
        let details = self.app.served(call)?;
        let refused = self.app_refusals.take();
        let was_refused_here = refused.keys().any(|(one, _)| *one == interface);
        let mut closed = AppClosed { details, interfaces: Vec::new() };
        for ((one, other), reason) in refused {
            if one == interface && other != promoter {
                self.promoter_only.add((one, other), reason);
            } else if !was_refused_here {
                self.interface_refusals[one].add((one, other), reason, false);
                self.open_on_its_own(one, now, &mut closed);
            }
        }
        Some(closed)
    }

    /// It is probed at once: perhaps it has been mended meanwhile.
    fn open_on_its_own(&mut self, interface: Interface, now: Instant, closed: &mut AppClosed) {
        if std::mem::replace(&mut self.interface_only[interface], true) {
            return;
        }
        let reason = narrowed(closed.details.reason);
        let details = OpenDetails { reason, cause: closed.details.cause.clone(), since: now };
        self.interfaces[interface].open(false, self.sent, now, details);
        closed.interfaces.push(interface);
    }

    /// The interface has answered this call.
    pub fn interface_served(&mut self, call: CallNumber, target: CallTarget) -> Option<OpenDetails> {
        let interface = target.0;
        self.promoter_only.forget(target);
        self.unanswered[interface].answered(call);
        let details = self.interfaces[interface].served(call)?;
        self.interface_only[interface] = false;
        self.interface_refusals[interface]
            .take()
            .into_iter()
            .filter(|(other, _)| *other != target)
            .for_each(|(other, reason)| self.promoter_only.add(other, reason));
        Some(details)
    }
}

/// The stricter of the app's and the interface's.
fn both(app: Readiness, interface: Readiness) -> Readiness {
    match [app, interface] {
        [Readiness::AfterProbe, _] | [_, Readiness::AfterProbe] => Readiness::AfterProbe,
        [Readiness::At(app), Readiness::At(interface)] => Readiness::At(app.max(interface)),
        [Readiness::At(until), _] | [_, Readiness::At(until)] => Readiness::At(until),
        [Readiness::Check, _] | [_, Readiness::Check] => Readiness::Check,
        [Readiness::Probe, _] | [_, Readiness::Probe] => Readiness::Probe,
        [Readiness::Closed, Readiness::Closed] => Readiness::Closed,
    }
}
