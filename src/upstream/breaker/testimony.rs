//! On whose word a breaker is open, and who has been shown to speak for himself alone.
//!
//! An answer that stops an app, or holds an interface, was given to one question about one promoter on one interface. What
//! it says of all the others is a testimony, which good answers to others refute.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::hold::Hold;
use crate::model::feed::Interface;
use crate::upstream::error::StopReason;

/// So many checks that agree are believed until the breaker's pause is over.
const CHECKS: usize = 3;
/// Beyond it nobody more is remembered as refused. As many as may be in flight fit.
const SAID_MAX: usize = 1000;
/// Pace and quota are an interface's, whoever learns of them; so it takes more to make them one promoter's: that he is
/// refused so often in a row, and others are answered each time.
const PACE_REFUTED_TIMES: u32 = 3;
/// Beyond it all are forgotten: each costs a check again.
const ALONE_MAX: usize = 10_000;

/// The promoter that a call asks about; two that are taken for one are one in 10¹⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Whom(u64);

impl From<&str> for Whom {
    fn from(promoter_id: &str) -> Whom {
        let mut hasher = DefaultHasher::new();
        promoter_id.hash(&mut hasher);
        Whom(hasher.finish())
    }
}

/// What a call was about.
pub(super) type Subject = (Interface, Whom);

/// Whose calls have been refused since a breaker opened, and with what: the one that opened it, those in flight then, checks and probes.
#[derive(Debug, Default)]
pub(super) struct Testimony {
    said: HashMap<Subject, Hold>,
    /// Of those sent after the opening, how many were refused, and how many told nothing.
    agreed: [usize; Interface::ALL.len()],
    mute: [usize; Interface::ALL.len()],
    /// Known of everybody: without a token nobody is answered.
    is_general: bool,
}

impl Testimony {
    /// `agrees` where the call was sent when others had said so.
    pub fn says(&mut self, subject: Subject, hold: Hold, agrees: bool) {
        self.agreed[subject.0 as usize] += usize::from(agrees);
        if self.said.len() < SAID_MAX {
            self.said.insert(subject, hold);
        }
    }

    pub fn tells_nothing(&mut self, interface: Interface) {
        self.mute[interface as usize] += 1;
    }

    pub fn becomes_general(&mut self) {
        self.is_general = true;
    }

    pub fn names(&self, subject: Subject) -> bool {
        self.said.contains_key(&subject)
    }

    /// Whether a call of this interface would tell more, so that it need not wait for the breaker's time: the first one of
    /// each interface, and others until enough have agreed.
    ///
    /// So what is rightly open lets [`CHECKS`] calls through besides its probes, and one for each further interface, however
    /// long it is open; and as many for each interface that tell nothing.
    pub fn may_check(&self, interface: Interface) -> bool {
        let (agreed, all) = (self.agreed[interface as usize], self.agreed.iter().sum::<usize>());
        let is_open_question = !self.is_general && !self.said.is_empty() && (agreed == 0 || all < CHECKS);
        is_open_question && self.mute[interface as usize] < CHECKS
    }

    /// What is refuted, or over, as it concerned everybody.
    pub fn take(&mut self) -> HashMap<Subject, Hold> {
        let Testimony { said, is_general, .. } = std::mem::take(self);
        if is_general { HashMap::new() } else { said }
    }
}

/// Who was refused while others on the same interface were answered: with which hold's name, and how often in a row since
/// he was answered himself.
#[derive(Debug, Default)]
pub(super) struct Alone(HashMap<Subject, (&'static str, u32)>);

impl Alone {
    pub fn refuted(&mut self, subject: Subject, hold: Hold) {
        if self.0.len() >= ALONE_MAX {
            self.0.clear();
        }
        let (name, times) = self.0.entry(subject).or_default();
        *times = if *name == own(hold).name() { *times + 1 } else { 1 };
        *name = own(hold).name();
    }

    pub fn answered(&mut self, subject: Subject) {
        self.0.remove(&subject);
    }

    /// Whether this hold, if his word were believed, would only be his.
    pub fn is(&self, subject: Subject, hold: Hold) -> bool {
        let times = match hold {
            Hold::TooFast { .. } | Hold::QuotaSpent { .. } => PACE_REFUTED_TIMES,
            _ => 1,
        };
        self.0.get(&subject).is_some_and(|(name, refuted)| *name == own(hold).name() && *refuted >= times)
    }
}

/// What stops an app, as it holds one of its interfaces or promoters. A token that is well elsewhere must not be thrown away
/// for this one every few seconds.
pub(super) fn own(hold: Hold) -> Hold {
    match hold {
        Hold::TokenRejected => Hold::Stopped(StopReason::TokensRejected),
        hold => hold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Interface::{GetOrder, GetRelation, GetShareMaterial};

    /// The first one has opened the breaker.
    fn said(by: &[(Interface, &str)]) -> Testimony {
        let mut testimony = Testimony::default();
        for (number, (interface, whom)) in by.iter().enumerate() {
            testimony.says((*interface, Whom::from(*whom)), Hold::TokenRejected, number > 0);
        }
        testimony
    }

    fn may_check(testimony: &Testimony) -> [bool; 3] {
        [GetRelation, GetOrder, GetShareMaterial].map(|interface| testimony.may_check(interface))
    }

    #[test]
    fn the_word_of_one_is_checked_by_others_until_enough_agree() {
        assert_eq!(may_check(&said(&[])), [false; 3], "there is nothing to check");
        assert_eq!(may_check(&said(&[(GetOrder, "a"), (GetOrder, "b"), (GetOrder, "c")])), [true; 3]);
        let all_of_one = [(GetOrder, "a"), (GetOrder, "b"), (GetOrder, "c"), (GetOrder, "d")];
        assert_eq!(may_check(&said(&all_of_one)), [true, false, true]);
        let of_two = [(GetOrder, "a"), (GetOrder, "b"), (GetOrder, "c"), (GetRelation, "d")];
        assert_eq!(may_check(&said(&of_two)), [false, false, true]);
    }

    #[test]
    fn checks_that_tell_nothing_end_too_and_what_concerns_everybody_is_not_checked() {
        let mut testimony = said(&[(GetOrder, "a")]);
        (0..3).for_each(|_| testimony.tells_nothing(GetShareMaterial));
        assert_eq!(may_check(&testimony), [true, true, false]);
        testimony.becomes_general();
        assert_eq!(may_check(&testimony), [false; 3]);
        assert!(testimony.take().is_empty());
    }

    #[test]
    fn a_pace_becomes_one_promoters_only_after_it_was_refuted_again_and_again() {
        let (mut alone, subject) = (Alone::default(), (GetOrder, Whom::from("a")));
        let pace = Hold::TooFast { asked: None };
        alone.refuted(subject, Hold::TokenRejected);
        assert!(alone.is(subject, Hold::Stopped(StopReason::TokensRejected)) && !alone.is(subject, pace));
        (0..2).for_each(|_| alone.refuted(subject, pace));
        assert!(!alone.is(subject, pace));
        alone.refuted(subject, pace);
        assert!(alone.is(subject, pace) && !alone.is(subject, Hold::TokenRejected));
        assert!(!alone.is((GetRelation, Whom::from("a")), pace));
        alone.answered(subject);
        assert!(!alone.is(subject, pace));
    }
}
