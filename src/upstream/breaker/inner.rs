//! The breakers of an app together: what lets a call pass, and what an answer means for the others. A plain rule; time is
//! an argument.
//!
//! # Why nobody starves another
//!
//! Only an app's breaker lets one who is refused hold up those who would be answered, or one interface's those of one
//! interface. Let an interface be well: whoever asks it is answered.
//!
//! 1. *An app's probe comes round.* Of the interfaces that want it, the one whose latest probe is the oldest goes first
//!    ([`Inner::its_turn`]), so the well one has a turn after at most as many pauses as there are others, whatever these
//!    probes end with, and whether polls or requests send them.
//! 2. *Its turn closes the app's breaker*: one good answer does. And those on whose word alone it was open pay for it. An
//!    interface that was refused while this one never was is held by itself ([`Inner::app_served`]); whatever stops the app
//!    on its word stops that interface alone until it is answered itself. So each other interface opens the app's breaker
//!    at most once until it has been answered well; and as often as a promoter of this one is shown to speak for himself.
//! 3. *Within an interface* a promoter who was refused while another is answered is [`Alone`] from then on: what he is
//!    told concerns him until he is answered himself. So he opens a breaker at most once until then, or a few times where
//!    it is a pace. Who was refused stands behind all others who are due, so others' turns come.
//! 4. *None of this waits for a pause where the word of one can be checked at once* ([`Testimony::may_check`]): then a well
//!    interface, and a well promoter, are held up for as long as one answer takes. What is not checked (a rejected token, a
//!    pace, a quota) waits for its own pause.
//!
//! What concerns the app indeed stays: then every check and every probe is refused, checks come to their end, and one
//! probe a pause goes on.

use std::time::Duration;

use tokio::time::Instant;

use super::state::{Breaker, CallNumber, Readiness, Reason, Unanswered};
use super::testimony::{Alone, Subject, Testimony, Whom, own};
use crate::model::feed::Interface;
use crate::upstream::error::CallError;

/// So long a probe is left to each of those whose turn comes before. They wait for the same moment, so it is only for them
/// to be woken.
pub(super) const TURN: Duration = Duration::from_millis(200);

const INTERFACES: usize = Interface::ALL.len();

#[derive(Default)]
pub(super) struct Inner {
    /// How many calls were sent so far.
    pub sent: CallNumber,
    pub app: Breaker,
    pub interfaces: [Breaker; INTERFACES],
    pub against_app: Testimony,
    pub against: [Testimony; INTERFACES],
    /// Interfaces that are told what stops an app, while others show that it is not stopped. Over when they are answered.
    pub is_own: [bool; INTERFACES],
    pub alone: Alone,
    pub unanswered: [Unanswered; INTERFACES],
    pub unanswered_fetches: Unanswered,
    /// The latest token fetch that was counted as unanswered.
    pub unanswered_fetch: u64,
    pub rejections: Rejections,
    /// Whom anybody has wanted to call: nobody waits for the others.
    wanted: [bool; INTERFACES],
    /// How many probes of the app were sent so far, and which of them was an interface's latest.
    probes: u64,
    latest_probe: [u64; INTERFACES],
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
    pub reason: Reason,
    /// What is held in its place.
    pub interfaces: Vec<Interface>,
}

impl Inner {
    /// Whether a call may be made: of this promoter, where he is known.
    pub fn readiness(&mut self, interface: Interface, whom: Option<Whom>, now: Instant) -> Readiness {
        self.wanted[interface as usize] = true;
        // He was refused: others who wait for the same come first.
        let was_refused = whom.is_some_and(|whom| self.was_refused((interface, whom)));
        let patience = if was_refused { TURN } else { Duration::ZERO };
        let checks = |testimony: &Testimony| testimony.may_check(interface) && !was_refused;
        let of = |breaker: &Breaker, after, testimony, is_suspicion: bool| match breaker.readiness(now, after) {
            Readiness::At(_) if is_suspicion && breaker.is_stopped() && checks(testimony) => Readiness::Check,
            readiness => readiness,
        };
        let (breaker, testimony) = (&self.interfaces[interface as usize], &self.against[interface as usize]);
        let app_after = self.its_turn(interface) + patience;
        both(
            of(&self.app, app_after, &self.against_app, true),
            of(breaker, patience, testimony, self.is_own[interface as usize]),
        )
    }

    /// After the moment in which an app may be probed: so that the one whose latest probe is the oldest goes first.
    fn its_turn(&self, interface: Interface) -> Duration {
        let latest = self.latest_probe[interface as usize];
        let comes_before = |other: Interface| self.wanted[other as usize] && self.latest_probe[other as usize] < latest;
        let before = Interface::ALL.into_iter().filter(|other| comes_before(*other)).count();
        TURN * u32::try_from(before).unwrap_or(u32::MAX)
    }

    /// A call passes that may: whether it probes the app, and the interface.
    pub fn enter(&mut self, interface: Interface) -> (bool, bool) {
        let probes_app = self.app.enter();
        if probes_app {
            self.probes += 1;
            self.latest_probe[interface as usize] = self.probes;
        }
        (probes_app, self.interfaces[interface as usize].enter())
    }

    /// Whether this promoter was refused since the app's or the interface's breaker opened.
    pub fn was_refused(&self, subject: Subject) -> bool {
        self.against_app.names(subject) || self.against[subject.0 as usize].names(subject)
    }

    /// Why nothing may be asked: the app's reason before the interface's.
    pub fn refusal(&self, interface: Interface) -> CallError {
        let reason = self.app.reason().or(self.interfaces[interface as usize].reason());
        let Reason { hold, cause, .. } = reason.expect("a breaker that is not closed has its reason").clone();
        CallError::Held { hold, cause, answered: false }
    }

    /// The app has answered this call. Where that closes its breaker, those who were refused are refuted. If one was on
    /// this interface, so was somebody who is well, or it has been mended: then nothing is known of the interfaces.
    pub fn app_served(&mut self, call: CallNumber, (interface, whom): Subject, now: Instant) -> Option<AppClosed> {
        self.unanswered_fetches.answered(call);
        if call > self.rejections.counted_after {
            self.rejections.in_a_row = 0;
        }
        let reason = self.app.served(call)?;
        let said = self.against_app.take();
        let was_refused_here = said.keys().any(|(one, _)| *one == interface);
        let mut closed = AppClosed { reason, interfaces: Vec::new() };
        for ((one, other), hold) in said {
            if one == interface && other != whom {
                self.alone.refuted((one, other), hold);
            } else if !was_refused_here {
                self.against[one as usize].says((one, other), hold, false);
                self.holds_itself(one, now, &mut closed);
            }
        }
        Some(closed)
    }

    /// It is probed at once: perhaps it has been mended meanwhile.
    fn holds_itself(&mut self, interface: Interface, now: Instant, closed: &mut AppClosed) {
        if std::mem::replace(&mut self.is_own[interface as usize], true) {
            return;
        }
        let hold = own(closed.reason.hold);
        let reason = Reason { hold, cause: closed.reason.cause.clone(), since: now };
        self.interfaces[interface as usize].open(false, self.sent, now, reason);
        closed.interfaces.push(interface);
    }

    /// The interface has answered this call.
    pub fn interface_served(&mut self, call: CallNumber, subject: Subject) -> Option<Reason> {
        let at = subject.0 as usize;
        self.alone.answered(subject);
        self.unanswered[at].answered(call);
        let reason = self.interfaces[at].served(call)?;
        self.is_own[at] = false;
        self.against[at]
            .take()
            .into_iter()
            .filter(|(other, _)| *other != subject)
            .for_each(|(other, hold)| self.alone.refuted(other, hold));
        Some(reason)
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
