//! What the owner of the divider's shard makes of the notes of all.

use std::collections::BTreeMap;

use super::ledger::ShareLedger;
use super::note::{Division, PartitionNote, ShareNote, divided};
use super::wanted::{BudgetSize, ShareNeed, wanted};

/// From when its shard is restored until it is lost. What it makes of its ledger counts once that is durable.
#[derive(Clone, Debug)]
pub struct Divider {
    partitions: usize,
    /// Absent where none was found that can be read.
    ledger: Option<ShareLedger>,
}

impl Divider {
    /// With the ledger that was found in the shard's state, if there was one, of so many partitions.
    pub fn new(found: Option<&[u8]>, partitions: usize) -> Divider {
        Divider { partitions, ledger: found.and_then(|found| ShareLedger::decode(found, partitions)) }
    }

    /// Whether there is a ledger. Before that nothing is divided.
    pub fn has_ledger(&self) -> bool {
        self.ledger.is_some()
    }

    /// The value of its ledger's record.
    pub fn encoded(&self) -> Option<Vec<u8>> {
        self.ledger.as_ref()?.encode().ok()
    }

    /// What its note tells.
    pub fn division(&self) -> Option<Division> {
        let ledger = self.ledger.as_ref()?;
        Some(Division::new(ledger.number, self.partitions, &ledger.granted()))
    }

    /// The next divider, where parts are to move by the notes of all partitions. Its ledger has to be durable before anything of it is told.
    /// `new_ledger` is the name of one that may begin by the same notes ([`HeldShares::may_begin`](super::held::HeldShares::may_begin)), unlike that
    /// of any other.
    pub fn next(
        &mut self,
        notes: &[PartitionNote],
        budgets: &BTreeMap<String, BudgetSize>,
        new_ledger: Option<u64>,
    ) -> Option<Divider> {
        if notes.len() != self.partitions {
            return None;
        }
        let partitions = self.partitions;
        let ledger = match &mut self.ledger {
            Some(ledger) => {
                let number = Some(ledger.number);
                ledger.in_force(|partition| match &notes[partition] {
                    PartitionNote::Shares(note) => note.goes_by == number,
                    PartitionNote::Absent | PartitionNote::Unfollowed => false,
                });
                ledger.towards(&all_wanted(notes, budgets)?)
            }
            None => new_ledger.map(|name| ShareLedger::begin(name, partitions)),
        };
        ledger.map(|ledger| Divider { partitions, ledger: Some(ledger) })
    }
}

/// By budget, of those that are not divided equally. Nothing while somebody does not know yet what he needs: what is moved by half of
/// them is moved back soon.
fn all_wanted(notes: &[PartitionNote], budgets: &BTreeMap<String, BudgetSize>) -> Option<BTreeMap<String, Vec<u16>>> {
    // Equal parts are what somebody calls with who knows of no others.
    if notes.contains(&PartitionNote::Unfollowed) {
        return Some(BTreeMap::new());
    }
    let needs = all_needs(notes)?;
    let of_budget = |name: &str| {
        // One that somebody does not know, by his configuration, is divided equally.
        let needs: Option<Vec<ShareNeed>> = needs.iter().map(|needs| needs.get(name).copied()).collect();
        Some((name.to_owned(), wanted(&needs?, *budgets.get(name)?)))
    };
    let names = divided(budgets.keys().map(String::as_str), notes.len());
    Some(names.into_iter().filter_map(of_budget).collect())
}

/// Of each partition.
fn all_needs(notes: &[PartitionNote]) -> Option<Vec<&BTreeMap<String, ShareNeed>>> {
    let needs = |note| match note {
        &PartitionNote::Shares(ShareNote { needs: Some(ref needs), .. }) => Some(needs),
        PartitionNote::Shares(_) | PartitionNote::Absent | PartitionNote::Unfollowed => None,
    };
    notes.iter().map(needs).collect()
}
