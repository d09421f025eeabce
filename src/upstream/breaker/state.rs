//! One breaker: closed, open until a time, or half-open with one probe under way. A plain rule; time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::error::{Cause, OpenReason};

/// Calls are numbered as they are sent, over all interfaces of an app. So "sent after" is exact, also within one instant.
pub(super) type CallNumber = u64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum BreakerState {
    #[default]
    Closed,
    /// Nothing passes before `until`; then one call does, as a probe.
    Open { until: Instant },
    /// The probe's answer decides.
    HalfOpen,
}

/// Why a breaker is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenDetails {
    pub reason: OpenReason,
    pub cause: Cause,
    pub since: Instant,
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Any number of calls.
    Closed,
    /// One call, as a probe.
    Probe,
    /// One call, as a probe, of somebody who was not refused since the breaker opened.
    Check,
    /// None before that time.
    At(Instant),
    /// None before the probe under way has ended.
    AfterProbe,
}

/// A breaker of an app or of one of its interfaces.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: BreakerState,
    /// The last call that was sent when the breaker opened: only later ones can close it.
    opened_after: CallNumber,
    details: Option<OpenDetails>,
}

impl Breaker {
    /// `after` its time others come first.
    pub fn readiness(&self, now: Instant, after: Duration) -> Readiness {
        match self.state {
            BreakerState::Closed => Readiness::Closed,
            BreakerState::Open { until } if until + after > now => Readiness::At(until + after),
            BreakerState::Open { .. } => Readiness::Probe,
            BreakerState::HalfOpen => Readiness::AfterProbe,
        }
    }

    /// Its operator would have to do something.
    pub fn is_stopped(&self) -> bool {
        self.details.as_ref().is_some_and(|details| matches!(details.reason, OpenReason::Stopped(_)))
    }

    /// Nothing while closed.
    pub fn details(&self) -> Option<&OpenDetails> {
        self.details.as_ref()
    }

    /// When the next probe goes, where it is open.
    pub fn next_probe(&self) -> Option<Instant> {
        match self.state {
            BreakerState::Open { until } => Some(until),
            BreakerState::Closed | BreakerState::HalfOpen => None,
        }
    }

    /// A call is about to be made, which [`Breaker::readiness`] allows. True where it is the probe.
    pub fn enter(&mut self) -> bool {
        let probes = matches!(self.state, BreakerState::Open { .. });
        if probes {
            self.state = BreakerState::HalfOpen;
        }
        probes
    }

    pub fn opened_before(&self, call: CallNumber) -> bool {
        call > self.opened_after
    }

    /// An answer opens the breaker, or keeps it open, until `until`; `sent` is the last call sent so far. True when it was
    /// closed, or open for another reason: that is to be told.
    ///
    /// While a probe is under way only its own answer counts, or that of a call sent after the opening (`is_news`): an older
    /// call's answer tells what is known already, and must not end the probe.
    pub fn open(&mut self, is_news: bool, sent: CallNumber, until: Instant, details: OpenDetails) -> bool {
        match self.state {
            BreakerState::Closed => {
                (self.state, self.opened_after, self.details) = (BreakerState::Open { until }, sent, Some(details));
                true
            }
            BreakerState::Open { until: before } if until > before => self.go_on(until, sent, details),
            BreakerState::HalfOpen if is_news => self.go_on(until, sent, details),
            BreakerState::Open { .. } | BreakerState::HalfOpen => false,
        }
    }

    /// It was never closed since it first opened, though perhaps for another reason.
    fn go_on(&mut self, until: Instant, sent: CallNumber, details: OpenDetails) -> bool {
        let before = self.details.as_ref();
        let since = before.map_or(details.since, |before| before.since);
        let is_another = before.is_none_or(|before| before.reason.name() != details.reason.name());
        (self.state, self.opened_after, self.details) =
            (BreakerState::Open { until }, sent, Some(OpenDetails { since, ..details }));
        is_another
    }

    /// `call` was answered well. Gives the reason that is over, where that closes the breaker.
    pub fn served(&mut self, call: CallNumber) -> Option<OpenDetails> {
        if self.state == BreakerState::Closed || !self.opened_before(call) {
            return None;
        }
        self.state = BreakerState::Closed;
        self.details.take()
    }

    pub fn lacks_quota(&self) -> bool {
        self.details.as_ref().is_some_and(|details| matches!(details.reason, OpenReason::QuotaSpent { .. }))
    }

    /// Where the quota is what it is open for, the next probe goes when `at` tells, by what time it is and when it was to go. True
    /// where that changes anything: it is not so while one is under way, nor of one that may go already.
    pub fn probe_for_quota(&mut self, now: Instant, at: impl FnOnce(Instant, Instant) -> Instant) -> bool {
        let BreakerState::Open { until } = self.state else { return false };
        let at = at(now, until);
        let changes = self.lacks_quota() && until > now && until != at;
        if changes {
            self.state = BreakerState::Open { until: at };
        }
        changes
    }

    /// The probe has ended without telling anything: the next one goes at `at`.
    pub fn probe_again(&mut self, at: Instant) {
        if self.state == BreakerState::HalfOpen {
            self.state = BreakerState::Open { until: at };
        }
    }
}

/// How many calls in a row, to each host, have brought nothing readable.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    by_host: Vec<u32>,
    last_answered: CallNumber,
}

impl Unanswered {
    pub fn answered(&mut self, call: CallNumber) {
        self.by_host.clear();
        self.last_answered = self.last_answered.max(call);
    }

    /// Whether a call that was sent later than this one was answered: then it is this call's request that is not.
    pub fn is_refuted(&self, call: CallNumber) -> bool {
        call < self.last_answered
    }

    /// True where that was the last of `calls_max` calls, spread over all `hosts`: while one host may still answer, the
    /// upstream is not dead.
    pub fn count(&mut self, host: usize, hosts: usize, calls_max: u32) -> bool {
        self.by_host.resize(hosts.max(host + 1), 0);
        self.by_host[host] = self.by_host[host].saturating_add(1);
        let each = calls_max.div_ceil(u32::try_from(hosts).unwrap_or(u32::MAX).max(1));
        self.by_host.iter().all(|calls| *calls >= each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn details(reason: OpenReason, since: Instant) -> OpenDetails {
        OpenDetails { reason, cause: Cause { errcode: None, text: "as scripted".into() }, since }
    }

    fn opened(now: Instant, sent: CallNumber) -> Breaker {
        let mut breaker = Breaker::default();
        assert!(breaker.open(true, sent, now + MINUTE, details(OpenReason::Unanswered, now)));
        breaker
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through_after_its_time() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        assert_eq!(breaker.readiness(now, Duration::ZERO), Readiness::Closed);
        assert!(!breaker.enter());
        let mut breaker = opened(now, 5);
        assert_eq!(breaker.readiness(now, Duration::ZERO), Readiness::At(now + MINUTE));
        assert_eq!(breaker.readiness(now + MINUTE, Duration::ZERO), Readiness::Probe);
        assert!(breaker.enter());
        assert_eq!(breaker.readiness(now + 9 * MINUTE, Duration::ZERO), Readiness::AfterProbe);
        assert!(breaker.served(6).is_some());
        assert_eq!(breaker.readiness(now, Duration::ZERO), Readiness::Closed);
    }

    #[test]
    fn a_call_that_was_sent_before_the_opening_closes_nothing() {
        let now = Instant::now();
        let mut breaker = opened(now, 5);
        assert_eq!(breaker.served(5), None);
        assert_eq!(breaker.readiness(now, Duration::ZERO), Readiness::At(now + MINUTE));
        breaker.enter();
        assert_eq!(breaker.served(5), None);
        assert_eq!(breaker.readiness(now, Duration::ZERO), Readiness::AfterProbe);
    }

    #[test]
    fn a_refusal_of_a_call_from_before_the_opening_prolongs_it_but_ends_no_probe() {
        let now = Instant::now();
        let mut breaker = opened(now, 5);
        assert!(!breaker.open(false, 5, now + 2 * MINUTE, details(OpenReason::Unanswered, now)));
        assert_eq!(breaker.readiness(now, Duration::ZERO), Readiness::At(now + 2 * MINUTE));
        breaker.enter();
        breaker.open(false, 6, now + 9 * MINUTE, details(OpenReason::Unanswered, now));
        assert_eq!(breaker.readiness(now, Duration::ZERO), Readiness::AfterProbe);
    }

    #[test]
    fn a_probe_that_is_refused_opens_it_again_for_a_reason_that_may_be_another() {
        let now = Instant::now();
        let mut breaker = opened(now, 5);
        breaker.enter();
        assert!(
            breaker.open(true, 6, now + 3 * MINUTE, details(OpenReason::TokenRejected, now + MINUTE)),
            "that is to be told"
        );
        assert_eq!(breaker.readiness(now + MINUTE, Duration::ZERO), Readiness::At(now + 3 * MINUTE));
        assert_eq!(breaker.details(), Some(&details(OpenReason::TokenRejected, now)));
    }

    #[test]
    fn a_probe_that_tells_nothing_is_followed_by_another() {
        let now = Instant::now();
        let mut breaker = opened(now, 5);
        breaker.enter();
        breaker.probe_again(now + 2 * MINUTE);
        assert_eq!(breaker.readiness(now + MINUTE, Duration::ZERO), Readiness::At(now + 2 * MINUTE));
        assert_eq!(breaker.readiness(now + 2 * MINUTE, Duration::ZERO), Readiness::Probe);
    }

    #[test]
    fn an_upstream_is_dead_when_all_its_hosts_are() {
        let mut unanswered = Unanswered::default();
        assert!((0..100).all(|_| !unanswered.count(0, 2, 4)));
        assert!(!unanswered.count(1, 2, 4));
        assert!(unanswered.count(1, 2, 4));
        unanswered.answered(7);
        assert!(unanswered.is_refuted(6) && !unanswered.is_refuted(8));
        assert!((0..3).all(|_| !unanswered.count(0, 1, 4)));
        assert!(unanswered.count(0, 1, 4));
    }
}
