//! What stands of shares in the note of a partition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wanted::ShareNeed;
use crate::model::shard::AssignedShard;

/// What shares take of the bytes that brokers keep with an offset, which are 4,096 by default for all of a note.
const BYTES_MAX: usize = 3000;
/// Of a budget in a note, beside its name, which stands there twice, and its parts.
const BUDGET_BYTES: usize = 64;

/// What the owner of a partition tells the others. A version to come writes what this one can read: whose note has none of it is taken for
/// one that calls with equal parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareNote {
    /// Of the group, in which it is written.
    pub generation: i32,
    /// The division that it goes by; nothing where it has read none yet.
    #[serde(rename = "by", default, skip_serializing_if = "Option::is_none")]
    pub goes_by: Option<DivisionNumber>,
    /// Its owner may have more than equal parts of what it owns. Noted before it has.
    #[serde(rename = "lifted", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_lifted: bool,
    /// By budget; nothing before that is known.
    #[serde(rename = "needs", default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<BTreeMap<String, ShareNeed>>,
    /// The latest division; in the divider's note alone, and there only once it knows that.
    #[serde(rename = "division", default, skip_serializing_if = "Option::is_none")]
    pub division: Option<Division>,
}

/// Which division of which ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DivisionNumber {
    /// Its name, unlike any other's.
    pub ledger: u64,
    /// Counts them; in the first one all have equal parts.
    #[serde(rename = "n")]
    pub division: u64,
}

/// Who has how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Division {
    pub number: DivisionNumber,
    pub partitions: usize,
    /// The parts of each partition, four hexadecimal digits each; of budgets that are not here all have equal parts.
    parts: BTreeMap<String, String>,
}

/// What a reading has brought of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionNote {
    /// Nobody has written any.
    Absent,
    /// Of somebody who knows of no shares.
    Unfollowed,
    Shares(ShareNote),
}

impl ShareNote {
    /// # Errors
    /// None that can be met.
    pub fn encode(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Nothing where the text is none, as of another version.
    pub fn decode(text: &str) -> Option<ShareNote> {
        serde_json::from_str(text).ok()
    }

    /// Without what makes it long: its owner tells no needs, and divides nothing.
    pub fn shortened(self) -> ShareNote {
        ShareNote { needs: None, division: None, ..self }
    }
}

impl Division {
    /// Of a ledger's.
    pub fn new(number: DivisionNumber, partitions: usize, granted: &BTreeMap<String, Vec<u16>>) -> Division {
        let digits = |parts: &Vec<u16>| parts.iter().map(|parts| format!("{parts:04x}")).collect();
        let parts = granted.iter().map(|(name, parts)| (name.clone(), digits(parts))).collect();
        Division { number, partitions, parts }
    }

    /// The parts of one partition, by budget; nothing where that can't be read.
    pub fn of(&self, partition: usize) -> Option<BTreeMap<String, u16>> {
        let of_budget = |(name, digits): (&String, &String)| {
            let digits = digits.get(partition * 4..partition * 4 + 4)?;
            Some((name.clone(), u16::from_str_radix(digits, 16).ok()?))
        };
        self.parts.iter().map(of_budget).collect()
    }
}

/// What is noted of the shares of an instance.
pub trait NotedShares: Send + Sync {
    /// What is to be noted of a shard.
    fn note(&self, assigned: AssignedShard) -> ShareNote;

    /// Brokers do not take notes that long: from here on they are short. Tells whether they were long before.
    fn shorten(&self) -> bool;
}

/// Of budgets in the order of their names the first ones, as many as a note has room for where there are so many partitions. Partitions
/// have equal parts of the others.
pub fn divided<'a>(budgets: impl Iterator<Item = &'a str>, partitions: usize) -> Vec<&'a str> {
    let mut left = BYTES_MAX;
    let has_room = |name: &&str| {
        let room = left.checked_sub(2 * name.len() + BUDGET_BYTES + 4 * partitions);
        left = room.unwrap_or(left);
        room.is_some()
    };
    budgets.take_while(has_room).collect()
}
