//! What the owner of the divider's shard makes of the notes of all.

use std::collections::BTreeMap;

use super::ledger::ShareLedger;
use super::note::{Division, PartitionNote, ShareNote, divided};
use super::wanted::{BudgetSize, ShareNeed, wanted};

/// Has the ledger, from when its shard is restored until it is lost. What it makes of it counts once that is durable.
#[derive(Clone, Debug)]
pub struct Divider {
    ledger: ShareLedger,
}

impl Divider {
    /// With the ledger that was found in the shard's state, if there was one, of so many partitions. One that can't be read is none.
    pub fn new(found: Option<&[u8]>, partitions: usize) -> Divider {
        let ledger = found.and_then(|found| ShareLedger::decode(found, partitions));
        Divider { ledger: ledger.unwrap_or_else(|| ShareLedger::new(partitions)) }
    }

    pub fn ledger(&self) -> &ShareLedger {
        &self.ledger
    }

    /// What its note tells.
    pub fn division(&self) -> Division {
        Division::new(self.ledger.division, self.ledger.partitions, &self.ledger.granted())
    }

    /// The next divider, where parts are to move by the notes of all partitions. Its ledger has to be durable before anything of it is told.
    pub fn next(&mut self, notes: &[PartitionNote], budgets: &BTreeMap<String, BudgetSize>) -> Option<Divider> {
        if notes.len() != self.ledger.partitions {
            return None;
        }
        let division = self.ledger.division;
        self.ledger.in_force(|partition| match &notes[partition] {
            PartitionNote::Shares(note) => note.goes_by == Some(division),
            PartitionNote::Absent | PartitionNote::Unfollowed => false,
        });
        let wanted = match notes.contains(&PartitionNote::Unfollowed) {
            // Equal parts are what somebody calls by who knows of no others.
            true => BTreeMap::new(),
            false => self.wanted(&all_needs(notes)?, budgets),
        };
        self.ledger.towards(&wanted).map(|ledger| Divider { ledger })
    }

    fn wanted(
        &self,
        needs: &[&BTreeMap<String, ShareNeed>],
        budgets: &BTreeMap<String, BudgetSize>,
    ) -> BTreeMap<String, Vec<u16>> {
        let names = divided(budgets.keys().map(String::as_str), self.ledger.partitions);
        let of_budget = |name: &str| {
            // One that somebody does not know, by his configuration, is divided equally.
            let needs: Option<Vec<ShareNeed>> = needs.iter().map(|needs| needs.get(name).copied()).collect();
            Some((name.to_owned(), wanted(&needs?, *budgets.get(name)?)))
        };
        names.into_iter().filter_map(of_budget).collect()
    }
}

/// Of each partition; nothing while somebody does not know them yet: what is moved by half of them is moved back soon.
fn all_needs(notes: &[PartitionNote]) -> Option<Vec<&BTreeMap<String, ShareNeed>>> {
    let needs = |note| match note {
        &PartitionNote::Shares(ShareNote { needs: Some(ref needs), .. }) => Some(needs),
        PartitionNote::Shares(_) | PartitionNote::Absent | PartitionNote::Unfollowed => None,
    };
    notes.iter().map(needs).collect()
}
