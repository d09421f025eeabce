//! The calls that polls of one interface may make: at which pace they begin, and how many are left for usual turns.

use std::time::Duration;

use crate::model::pacing::call_pace::CallPace;
use crate::model::pacing::intervals::BudgetUse;
use crate::upstream::budget::CallRates;

/// How often intervals follow what was learnt.
const SPREAD_EVERY: Duration = Duration::from_secs(1);
/// How much the latest second tells of the calls that are made beside usual turns.
const BESIDE_WEIGHT: f64 = 1.0 / 32.0;
/// Usual turns keep at least this part of a budget, whatever is made beside them.
const USUAL_PART: f64 = 0.5;
/// Calls of a minute that may come together, in seconds of its rate: so much late a loop may be without losing calls, and no
/// second differs from another by more.
const MINUTE_TOGETHER: f64 = 0.1;
/// Calls of a day that may come together, where so many are kept: of a small fleet all, but no large part of the day's.
const DAY_TOGETHER: f64 = 60.0;
const DAY_PARTS: f64 = 20.0;
const DAY_SECONDS: f64 = 86_400.0;
/// Of what is kept of the day, so many times as many as may come together are left to usual turns and further pages.
const LEFT_TOGETHER: f64 = 2.0;

/// Clocks are durations since some fixed moment.
#[derive(Debug, Default)]
pub struct CallBudget {
    rates: CallRates,
    minute: CallPace,
    day: CallPace,
    /// Calls that are kept of the day beyond what usual turns need: they may be made at once.
    spare: f64,
    /// Calls a second beside usual turns,
    beside: f64,
    /// and how many have been made since intervals were spread last.
    made_beside: u32,
    spread_again: Duration,
}

/// What a call is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFor {
    UsualTurn,
    /// A backfill, another day than today, a further page, or once more what has failed.
    Other,
}

impl CallBudget {
    /// True where intervals are to be spread again: the budget is another, or they have not been for a while.
    pub fn set(&mut self, rates: CallRates, clock: Duration) -> bool {
        let is_same = differ_little(rates.least(), self.rates.least());
        if self.rates.minute != rates.minute {
            self.minute.set(rates.minute, rates.minute.map_or(1.0, |rate| rate * MINUTE_TOGETHER), clock);
        }
        if self.rates.day != rates.day {
            self.day.set(rates.day, rates.day.map_or(1.0, day_together), clock);
        }
        if rates.day.is_some() {
            self.day.hold_down_to(rates.day_at_once, clock);
        }
        self.spare = rates.day.map_or(0.0, |rate| rates.day_at_once - day_together(rate) * LEFT_TOGETHER);
        self.rates = rates;
        !is_same || clock >= self.spread_again
    }

    /// A minute's limit says how fast calls may come, and not how many there are: only a day's does.
    pub fn intended_use(&self) -> BudgetUse {
        if self.rates.day.is_some() { BudgetUse::Spend } else { BudgetUse::Bound }
    }

    /// When the next poll may begin. Usual turns are spread over the day, since they come for ever; what ends, such as a backfill,
    /// takes at once what is kept beyond that.
    pub fn ready(&self, made_for: CallFor) -> Duration {
        if self.is_spare(made_for) { self.minute.ready() } else { self.minute.ready().max(self.day.ready()) }
    }

    pub fn spend(&mut self, calls: u32, made_for: CallFor, clock: Duration) {
        self.minute.spend(calls, clock);
        if self.is_spare(made_for) {
            self.spare -= f64::from(calls);
        } else {
            self.day.spend(calls, clock);
        }
        if made_for == CallFor::Other {
            self.made_beside = self.made_beside.saturating_add(calls);
        }
    }

    /// The poll that has begun makes no call.
    pub fn give_back(&mut self) {
        self.minute.give_back();
        self.day.give_back();
    }

    fn is_spare(&self, made_for: CallFor) -> bool {
        made_for == CallFor::Other && self.spare >= 1.0
    }

    /// The calls a second for usual turns; nothing where no budget is known.
    pub fn for_usual_turns(&mut self, clock: Duration) -> Option<f64> {
        let passed = clock.saturating_sub(self.spread_again) + SPREAD_EVERY;
        let made = f64::from(std::mem::take(&mut self.made_beside)) / passed.as_secs_f64();
        self.beside += (made - self.beside) * (BESIDE_WEIGHT * passed.as_secs_f64()).min(1.0);
        self.spread_again = clock + SPREAD_EVERY;
        self.rates.least().map(|rate| (rate - self.beside).max(rate * USUAL_PART))
    }
}

fn day_together(rate: f64) -> f64 {
    (rate * DAY_SECONDS / DAY_PARTS).min(DAY_TOGETHER)
}

fn differ_little(one: Option<f64>, other: Option<f64>) -> bool {
    // What is left of a day over the time that is left of it changes all the time: intervals need not follow every trifle.
    match (one, other) {
        (Some(one), Some(other)) => (one / other - 1.0).abs() < 0.01,
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn polls_begin_at_the_pace_of_the_minute_or_the_day_whichever_is_less() {
        let mut budget = CallBudget::default();
        budget.set(CallRates { minute: Some(100.0), ..CallRates::default() }, at(0));
        assert_eq!(budget.intended_use(), BudgetUse::Bound);
        budget.set(CallRates { minute: Some(100.0), day: Some(1.0), day_at_once: 1000.0 }, at(0));
        assert_eq!(budget.intended_use(), BudgetUse::Spend);
        budget.spend(DAY_TOGETHER as u32 + 5, CallFor::UsualTurn, at(0));
        assert_eq!(
            budget.ready(CallFor::UsualTurn),
            at(6),
            "those of the day that may come together, and six that may not"
        );
        budget.give_back();
        assert_eq!(budget.ready(CallFor::UsualTurn), at(5));
        budget.set(CallRates { minute: Some(100.0), day: Some(1.0), day_at_once: -9.0 }, at(0));
        assert_eq!(budget.ready(CallFor::UsualTurn), at(10), "so many are owed");
        assert_eq!(budget.ready(CallFor::Other), at(10), "by all");
    }

    #[test]
    fn what_ends_takes_at_once_what_is_kept_of_the_day_beyond_what_usual_turns_need() {
        let mut budget = CallBudget::default();
        budget.set(CallRates { minute: None, day: Some(1.0), day_at_once: 1000.0 }, at(0));
        budget.spend(DAY_TOGETHER as u32, CallFor::UsualTurn, at(0));
        let left = (DAY_TOGETHER * LEFT_TOGETHER) as u32;
        budget.spend(999 - left, CallFor::Other, at(0));
        assert_eq!((budget.ready(CallFor::UsualTurn), budget.ready(CallFor::Other)), (at(1), at(0)));
        budget.spend(1, CallFor::Other, at(0));
        assert_eq!((budget.ready(CallFor::UsualTurn), budget.ready(CallFor::Other)), (at(1), at(1)));
        budget.set(CallRates { minute: None, day: Some(1.0), day_at_once: f64::from(left) }, at(0));
        assert_eq!(budget.ready(CallFor::Other), at(1));
    }

    #[test]
    fn what_is_called_beside_usual_turns_leaves_them_less_but_half_at_least() {
        let mut budget = CallBudget::default();
        budget.set(CallRates { minute: Some(10.0), ..CallRates::default() }, at(0));
        assert_eq!(budget.for_usual_turns(at(0)), Some(10.0));
        let mut spend = |calls, seconds: std::ops::Range<u64>| {
            let left = seconds.map(|second| {
                budget.spend(calls, CallFor::Other, at(second));
                budget.for_usual_turns(at(second)).unwrap()
            });
            left.last().unwrap()
        };
        assert!((6.5..7.5).contains(&spend(3, 1..200)));
        assert_eq!(spend(9, 200..400), 5.0);
        assert!(spend(0, 400..600) > 9.9);
    }
}
