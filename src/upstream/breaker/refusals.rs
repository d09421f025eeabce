//! On whose word a breaker is open, and who has been shown to speak for himself alone.
//!
//! An answer that opens the breaker of an app, or of an interface, was given to one request about one promoter on one interface. What
//! it says of all the others is a testimony, which good answers to others refute.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::feed::{Interface, PerInterface};
use crate::upstream::error::{OpenReason, StopReason};

/// So many checks that agree are believed until the breaker's pause is over.
const CHECKS: usize = 3;
/// Beyond it nobody more is remembered as refused. As many as may be in flight fit.
const REFUSED_MAX: usize = 1000;
/// Pace and quota are an interface's, whoever learns of them; so it takes more to make them one promoter's: that he is
/// refused so often in a row, and others are answered each time.
const PACE_REFUTED_TIMES: u32 = 3;
/// Beyond it all are forgotten: each costs a check again.
const PROMOTERS_MAX: usize = 10_000;

/// The promoter that a call asks about; two that are taken for one are one in 10¹⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PromoterHash(u64);

impl From<&str> for PromoterHash {
    fn from(promoter_id: &str) -> PromoterHash {
        let mut hasher = DefaultHasher::new();
        promoter_id.hash(&mut hasher);
        PromoterHash(hasher.finish())
    }
}

/// What a call was about.
pub(super) type CallTarget = (Interface, PromoterHash);

/// Whose calls have been refused since a breaker opened, and with what: the one that opened it, those in flight then,
/// checks and probes.
#[derive(Debug, Default)]
pub(super) struct RefusedCalls {
    refused: HashMap<CallTarget, OpenReason>,
    /// Of those sent after the opening, how many were refused, and how many told nothing.
    confirmed: PerInterface<usize>,
    inconclusive: PerInterface<usize>,
    /// Known of everybody: without a token nobody is answered.
    concerns_everyone: bool,
}

impl RefusedCalls {
    /// `agrees` where the call was sent when others had said so.
    pub fn add(&mut self, target: CallTarget, reason: OpenReason, agrees: bool) {
        self.confirmed[target.0] += usize::from(agrees);
        if self.refused.len() < REFUSED_MAX {
            self.refused.insert(target, reason);
        }
    }

    pub fn add_inconclusive(&mut self, interface: Interface) {
        self.inconclusive[interface] += 1;
    }

    pub fn concern_everyone(&mut self) {
        self.concerns_everyone = true;
    }

    pub fn contains(&self, target: CallTarget) -> bool {
        self.refused.contains_key(&target)
    }

    /// Whether a call of this interface would tell more, so that it need not wait for the breaker's time: the first one of
    /// each interface, and others until enough have agreed.
    ///
    /// So what is rightly open lets [`CHECKS`] calls through besides its probes, and one for each further interface, however
    /// long it is open; and as many for each interface that tell nothing.
    pub fn may_check(&self, interface: Interface) -> bool {
        let (confirmed, all) = (self.confirmed[interface], self.confirmed.values().sum::<usize>());
        let is_open_question = !self.concerns_everyone && !self.refused.is_empty() && (confirmed == 0 || all < CHECKS);
        is_open_question && self.inconclusive[interface] < CHECKS
    }

    /// What is refuted, or over, as it concerned everybody.
    pub fn take(&mut self) -> HashMap<CallTarget, OpenReason> {
        let RefusedCalls { refused, concerns_everyone, .. } = std::mem::take(self);
        if concerns_everyone { HashMap::new() } else { refused }
    }
}

/// Who was refused while others on the same interface were answered: with which reason's name, and how often in a row since
/// he was answered himself.
#[derive(Debug, Default)]
pub(super) struct PromoterOnly(HashMap<CallTarget, (&'static str, u32)>);

impl PromoterOnly {
    pub fn add(&mut self, target: CallTarget, reason: OpenReason) {
        if self.0.len() >= PROMOTERS_MAX {
            self.0.clear();
        }
        let (name, times) = self.0.entry(target).or_default();
        *times = if *name == narrowed(reason).name() { *times + 1 } else { 1 };
        *name = narrowed(reason).name();
    }

    pub fn forget(&mut self, target: CallTarget) {
        self.0.remove(&target);
    }

    /// Whether this breaker, if his word were believed, would open for him alone.
    pub fn concerns(&self, target: CallTarget, reason: OpenReason) -> bool {
        let times = match reason {
            OpenReason::TooFast { .. } | OpenReason::QuotaSpent { .. } => PACE_REFUTED_TIMES,
            _ => 1,
        };
        self.0.get(&target).is_some_and(|(name, refuted)| *name == narrowed(reason).name() && *refuted >= times)
    }
}

/// The reason of an app's breaker, as it is that of one of its interfaces or promoters. A token that is well elsewhere must not be thrown away
/// for this one every few seconds.
pub(super) fn narrowed(reason: OpenReason) -> OpenReason {
    match reason {
        OpenReason::TokenRejected => OpenReason::Stopped(StopReason::TokensRejected),
        reason => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Interface::{GetOrder, GetRelation, GetShareMaterial};

    /// The first one has opened the breaker.
    fn refused(by: &[(Interface, &str)]) -> RefusedCalls {
        let mut refusals = RefusedCalls::default();
        for (number, (interface, promoter)) in by.iter().enumerate() {
            refusals.add((*interface, PromoterHash::from(*promoter)), OpenReason::TokenRejected, number > 0);
        }
        refusals
    }

    fn may_check(refusals: &RefusedCalls) -> [bool; 3] {
        [GetRelation, GetOrder, GetShareMaterial].map(|interface| refusals.may_check(interface))
    }

    #[test]
    fn the_word_of_one_is_checked_by_others_until_enough_agree() {
        assert_eq!(may_check(&refused(&[])), [false; 3], "there is nothing to check");
        assert_eq!(may_check(&refused(&[(GetOrder, "a"), (GetOrder, "b"), (GetOrder, "c")])), [true; 3]);
        let all_of_one = [(GetOrder, "a"), (GetOrder, "b"), (GetOrder, "c"), (GetOrder, "d")];
        assert_eq!(may_check(&refused(&all_of_one)), [true, false, true]);
        let of_two = [(GetOrder, "a"), (GetOrder, "b"), (GetOrder, "c"), (GetRelation, "d")];
        assert_eq!(may_check(&refused(&of_two)), [false, false, true]);
    }

    #[test]
    fn checks_that_tell_nothing_end_too_and_what_concerns_everybody_is_not_checked() {
        let mut refusals = refused(&[(GetOrder, "a")]);
        (0..3).for_each(|_| refusals.add_inconclusive(GetShareMaterial));
        assert_eq!(may_check(&refusals), [true, true, false]);
        refusals.concern_everyone();
        assert_eq!(may_check(&refusals), [false; 3]);
        assert!(refusals.take().is_empty());
    }

    #[test]
    fn a_pace_becomes_one_promoters_only_after_it_was_refuted_again_and_again() {
        let (mut promoter_only, target) = (PromoterOnly::default(), (GetOrder, PromoterHash::from("a")));
        let pace = OpenReason::TooFast { retry_after: None };
        promoter_only.add(target, OpenReason::TokenRejected);
        assert!(
            promoter_only.concerns(target, OpenReason::Stopped(StopReason::TokensRejected))
                && !promoter_only.concerns(target, pace)
        );
        (0..2).for_each(|_| promoter_only.add(target, pace));
        assert!(!promoter_only.concerns(target, pace));
        promoter_only.add(target, pace);
        assert!(promoter_only.concerns(target, pace) && !promoter_only.concerns(target, OpenReason::TokenRejected));
        assert!(!promoter_only.concerns((GetRelation, PromoterHash::from("a")), pace));
        promoter_only.forget(target);
        assert!(!promoter_only.concerns(target, pace));
    }
}
