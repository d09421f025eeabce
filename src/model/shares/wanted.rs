//! Who should have how much of a budget, by what each partition needs.

use serde::{Deserialize, Serialize};

use super::{WHOLE, equal, least};
use crate::model::duration::MINUTES_OF_A_DAY;

/// The calls a day of a feed that has a past to read, which takes one page after the other.
const CALLS_OF_A_PAST: u64 = 86_400;
/// Usual turns keep at least this part of a budget, whatever has a past to read beside them.
const USUAL_PART: f64 = 0.5;

/// What the feeds of a partition would call of one budget, were there no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareNeed {
    /// Calls a day, with each feed polled at its `every`.
    #[serde(rename = "u", default)]
    pub usual: u64,
    /// Feeds with a past to read.
    #[serde(rename = "p", default)]
    pub pasts: u64,
}

/// How many calls there are, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetSize {
    /// 0 for no limit.
    pub per_minute: u32,
    /// 0 for no limit.
    pub per_day: u32,
}

impl BudgetSize {
    fn a_day(self) -> Option<f64> {
        let known = |calls: u32, times: f64| (calls != 0).then(|| f64::from(calls) * times);
        known(self.per_minute, MINUTES_OF_A_DAY).into_iter().chain(known(self.per_day, 1.0)).min_by(f64::total_cmp)
    }

    /// What each of so many partitions keeps, whatever the others need.
    ///
    /// A call a minute, where there are as many: who has less makes one in several minutes, which is one too many in the minute in which
    /// it comes ([`crate::upstream::budget`]).
    fn kept(self, partitions: usize) -> u16 {
        let equal = equal(partitions);
        let a_call = match self.per_minute {
            0 => 0,
            calls => u16::try_from(u32::from(WHOLE).div_ceil(calls)).unwrap_or(WHOLE),
        };
        least(partitions).max(a_call).min(equal)
    }
}

impl ShareNeed {
    /// Whether it has changed so much since it was told last that it is told again.
    pub fn differs_from(self, told: ShareNeed) -> bool {
        let differs = |now: u64, told: u64| now.abs_diff(told) > told / 20;
        differs(self.usual, told.usual) || differs(self.pasts, told.pasts)
    }

    fn past_calls(self) -> f64 {
        (self.pasts * CALLS_OF_A_PAST) as f64
    }
}

/// The parts that each partition should have; all the same where nobody needs anything. They never come to more than [`WHOLE`].
///
/// In proportion to what each needs: so what is missing is missing to each promoter alike, wherever he is, and what is left over is where
/// more than usual may be called. Where it is not enough for all, those that have a past to read leave the usual turns what they need, or at
/// least half, as they do within one instance.
pub fn wanted(needs: &[ShareNeed], size: BudgetSize) -> Vec<u16> {
    let usual: f64 = needs.iter().map(|need| need.usual as f64).sum();
    let past: f64 = needs.iter().map(|need| need.past_calls()).sum();
    let all = usual + past;
    if all <= 0.0 {
        return vec![equal(needs.len()); needs.len()];
    }
    let budget = size.a_day().unwrap_or(all).max(1.0);
    let for_usual = match all <= budget {
        true => usual / all,
        false => usual.min((budget - past).max(budget * USUAL_PART)) / budget,
    };
    let for_usual = if past > 0.0 { for_usual } else { 1.0 };
    let part = |amount: f64, of: f64| if of > 0.0 { amount / of } else { 0.0 };
    let kept = size.kept(needs.len());
    let divided = f64::from(WHOLE) - f64::from(kept) * needs.len() as f64;
    let of_need = |need: &ShareNeed| {
        let share = for_usual * part(need.usual as f64, usual) + (1.0 - for_usual) * part(need.past_calls(), past);
        // Rounded down: together they are no more than what is divided.
        kept + (divided * share * (1.0 - f64::EPSILON * 4.0)).max(0.0) as u16
    };
    needs.iter().map(of_need).collect()
}
