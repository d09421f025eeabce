//! What the divider knows: which division is the latest, and what may be in force beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::note::DivisionNumber;
use super::{WHOLE, equal};

/// Parts that move only where so many are moved at once: what is needed is never quite the same.
const MOVED_LEAST: u32 = WHOLE as u32 / 200;
/// Under which it stands in the divider's partition of the state.
pub(crate) const LEDGER_KEY: &str = "shares";
/// Under which something stands in any partition that tells nothing: a transaction has a record at least, also where there is only a note to be written.
pub(crate) const NOTED_KEY: &str = "noted";

/// The latest division, with what others before it have left in force. [`super`] argues for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareLedger {
    pub number: DivisionNumber,
    pub partitions: usize,
    /// By name. Partitions have equal parts of those that are not here.
    budgets: BTreeMap<String, DividedBudget>,
}

/// The parts of each partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DividedBudget {
    granted: Vec<u16>,
    outstanding: Vec<u16>,
}

impl ShareLedger {
    /// Of so many partitions, all with equal parts: nobody has more when it begins.
    pub fn begin(name: u64, partitions: usize) -> ShareLedger {
        ShareLedger { number: DivisionNumber { ledger: name, division: 0 }, partitions, budgets: BTreeMap::new() }
    }

    /// Reads the value of its record; nothing where that is none of this many partitions, or could have been written by no divider.
    pub fn decode(value: &[u8], partitions: usize) -> Option<ShareLedger> {
        let ledger: ShareLedger = serde_json::from_slice(value).ok()?;
        let is_whole = ledger.budgets.values().all(|budget| budget.is_of(partitions));
        (ledger.partitions == partitions && is_whole).then_some(ledger)
    }

    /// # Errors
    /// None that can be met: all of it are numbers and texts.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// What the latest division gives to each partition, by budget.
    pub fn granted(&self) -> BTreeMap<String, Vec<u16>> {
        self.budgets.iter().map(|(name, budget)| (name.clone(), budget.granted.clone())).collect()
    }

    /// The owners of these partitions are known to go by the latest division.
    pub fn in_force(&mut self, is_in_force: impl Fn(usize) -> bool) {
        let equal = equal(self.partitions);
        for budget in self.budgets.values_mut() {
            let granted = budget.granted.iter().zip(&mut budget.outstanding).enumerate();
            granted.filter(|(partition, _)| is_in_force(*partition)).for_each(|(_, (granted, outstanding))| {
                *outstanding = *granted;
            });
        }
        let is_equal =
            |budget: &DividedBudget| budget.granted.iter().chain(&budget.outstanding).all(|parts| *parts == equal);
        self.budgets.retain(|_, budget| !is_equal(budget));
    }

    /// The next division on the way to what is `wanted`, by budget; nothing where too little would move. Those that are not among them
    /// go back to equal parts.
    pub fn towards(&self, wanted: &BTreeMap<String, Vec<u16>>) -> Option<ShareLedger> {
        let equal = vec![equal(self.partitions); self.partitions];
        let mut next = self.clone();
        let mut moves = false;
        let names = self.budgets.keys().chain(wanted.keys());
        for name in names {
            let wanted = wanted.get(name).filter(|wanted| wanted.len() == self.partitions).unwrap_or(&equal);
            let initial = || DividedBudget { granted: equal.clone(), outstanding: equal.clone() };
            let budget = self.budgets.get(name).cloned().unwrap_or_else(initial);
            let divided = budget.towards(wanted);
            if divided.moved_from(&budget) > MOVED_LEAST {
                moves = true;
                next.budgets.insert(name.clone(), divided);
            }
        }
        next.number.division += 1;
        moves.then_some(next)
    }
}

impl DividedBudget {
    fn is_of(&self, partitions: usize) -> bool {
        let pairs = || self.granted.iter().zip(&self.outstanding);
        let is_long = self.granted.len() == partitions && self.outstanding.len() == partitions;
        is_long
            && pairs().all(|(granted, outstanding)| granted <= outstanding)
            && sum(&self.outstanding) <= WHOLE.into()
    }

    /// Who is to have less gets it at once, and who is to have more what is free then: of several each the same part of what is missing.
    fn towards(&self, wanted: &[u16]) -> DividedBudget {
        let free = u64::from(u32::from(WHOLE).saturating_sub(sum(&self.outstanding)));
        let each = || wanted.iter().zip(&self.outstanding);
        let missing = |(wanted, outstanding): (&u16, &u16)| u64::from(wanted.saturating_sub(*outstanding));
        let missing_in_all: u64 = each().map(missing).sum();
        let granted = each().map(|(wanted, outstanding)| {
            let more = missing((wanted, outstanding)) * free.min(missing_in_all) / missing_in_all.max(1);
            // Nobody gets more than what is outstanding of him already, and his part of what is free.
            (*wanted).min(outstanding.saturating_add(u16::try_from(more).unwrap_or(0)))
        });
        let granted: Vec<u16> = granted.collect();
        let outstanding = granted.iter().zip(&self.outstanding).map(|(granted, outstanding)| *granted.max(outstanding));
        let outstanding = outstanding.collect();
        DividedBudget { granted, outstanding }
    }

    fn moved_from(&self, before: &DividedBudget) -> u32 {
        self.granted.iter().zip(&before.granted).map(|(now, before)| u32::from(now.abs_diff(*before))).sum()
    }
}

fn sum(parts: &[u16]) -> u32 {
    parts.iter().map(|parts| u32::from(*parts)).sum()
}
