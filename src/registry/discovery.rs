//! What discovery writes to the registry, made of the upstream's list and of what is registered. A plain rule.
//!
//! | in the list | found before | written |
//! |---|---|---|
//! | authorised | - | AUTHORIZED; REMOVED where an operator has removed it |
//! | not authorised, or not told | - | nothing: nobody has to be polled |
//! | authorised | UNAUTHORIZED | AUTHORIZED: it is polled again, from where it was |
//! | not authorised | AUTHORIZED | UNAUTHORIZED: it is parked, not forgotten |
//! | any | any, and an operator has removed it | REMOVED |
//! | any | REMOVED | nothing |
//! | authorised, or not | REMOVED, and it is registered again | AUTHORIZED or UNAUTHORIZED, as of any other, with its tags |
//! | no | any | a tombstone, where the list is believed; else REMOVED where an operator has removed it |
//!
//! # Why an operator's word is never overwritten, and a removal outlives everything
//!
//! What is written here stands under keys of its own ([`super::discovered`]), so no record of an operator is lost, whoever
//! writes at once. Two discoveries at once (two instances for the moment in which a shard moves, a command beside them) write the
//! same of the same list; of different lists the next discovery makes the latest. A removal is a tombstone under the
//! operator's key. Kafka keeps it for a day (`delete.retention.ms`, unless the topic says otherwise), counted from when it is compacted first,
//! and discoveries are twelve hours apart at most: so one of them meets it, and writes REMOVED under its own key, which stays until the
//! upstream lists the promoter no longer. `promoters remove` writes both at once, for topics that nobody works on, and for discoveries that
//! fail for a day. Only a removal of somebody who was never found, by hand of another writer, lives as long as its tombstone.
//!
//! # Who is removed
//!
//! Nobody by a list that is empty, or in which a row names nobody: that may be anyone; or that ends before all are listed. (A list whose
//! pages can't all be read is none.) And by any other no more than [`RemovalLimit`] says, or nobody at all: then an operator has to say so.

use std::collections::HashMap;

use super::discovered::{DiscoveredPromoter, DiscoveryStatus};
use super::table::PromoterTable;
use super::tags::Tags;
use crate::model::promoter::Promoter;

/// What discovery writes of a promoter; nothing where it is to be forgotten that it was ever found.
pub type DiscoveryWrite = (Promoter, Option<DiscoveredPromoter>);

/// An app's list, each promoter once.
#[derive(Clone, Debug, Default)]
pub struct DiscoveryList {
    pub listed: HashMap<Promoter, Listed>,
    /// Rows that name nobody.
    pub unreadable: usize,
    /// It ends before all are listed.
    pub is_cut: bool,
}

/// What the list says of one promoter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Nothing where it is not told.
    pub is_authorised: Option<bool>,
    pub tags: Tags,
}

/// How many may be removed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalLimit {
    /// Of those that discovery has found of the app, in percent; at least one, unless it is 0.
    Percent(u8),
    /// An operator has said so.
    Unlimited,
}

impl RemovalLimit {
    fn of(self, found: usize) -> usize {
        match self {
            RemovalLimit::Percent(0) => 0,
            RemovalLimit::Percent(percent) => (found * usize::from(percent) / 100).max(1),
            RemovalLimit::Unlimited => usize::MAX,
        }
    }
}

/// How many promoters met with what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DiscoveryCounts {
    /// In the list.
    pub listed: usize,
    /// Rows of it that name nobody.
    pub unreadable: usize,
    /// In the list, never authorised or not known to be, and not found before.
    pub not_authorised: usize,
    pub found: usize,
    /// Have lost their authorisation: they are paused, where nobody else names them.
    #[serde(rename = "paused")]
    pub parked: usize,
    pub resumed: usize,
    /// Have other tags than before.
    pub changed: usize,
    pub unchanged: usize,
    /// An operator has removed them, and nobody has named them again: they are not polled, though they are listed.
    pub kept_removed: usize,
    /// Are listed no longer.
    pub removed: usize,
    /// Are listed no longer, and stay: see [`DiscoveryPlan::held_back_by`].
    pub held_back: usize,
}

/// Why nobody is removed who is listed no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBack {
    /// There are more of them than may go at once.
    Limit,
    /// The list is empty.
    Empty,
    /// A row of the list names nobody.
    Unreadable,
    /// The list ends before all are listed.
    Cut,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct DiscoveryPlan {
    /// In the order of the promoters.
    pub writes: Vec<DiscoveryWrite>,
    pub counts: DiscoveryCounts,
    /// Only where somebody stays for it.
    pub held_back_by: Option<HeldBack>,
    /// Who is listed no longer, in their order: they are removed, or held back.
    pub missing: Vec<Promoter>,
}

impl DiscoveryPlan {
    /// What is to be written for an app with this list, of which `table` knows what is registered.
    pub fn new(list: &DiscoveryList, table: &PromoterTable, limit: RemovalLimit) -> DiscoveryPlan {
        let mut plan = DiscoveryPlan::default();
        (plan.counts.listed, plan.counts.unreadable) = (list.listed.len(), list.unreadable);
        for (promoter, listed) in &list.listed {
            plan.meet(promoter, listed, table);
        }
        plan.miss(list, table, limit);
        plan.writes.sort_by(|(one, _), (other, _)| one.cmp(other));
        plan
    }

    /// A promoter that is listed.
    fn meet(&mut self, promoter: &Promoter, listed: &Listed, table: &PromoterTable) {
        use DiscoveryStatus::{Authorized, Removed, Unauthorized};

        let before = table.discovered(promoter);
        let status = before.as_ref().map(|before| before.status);
        // Whoever registers again whom an operator has removed takes that back: else no tags of the list would ever come again.
        let is_taken_back = status == Some(Removed) && table.is_registered(promoter);
        let after = match (status, listed.is_authorised) {
            (None, None | Some(false)) => return self.counts.not_authorised += 1,
            (Some(Removed), Some(true)) if is_taken_back => Authorized,
            (Some(Removed), Some(false)) if is_taken_back => Unauthorized,
            (Some(Removed), _) => Removed,
            _ if table.is_deregistered(promoter) => Removed,
            (_, Some(true)) => Authorized,
            (Some(_), Some(false)) => Unauthorized,
            // It is not told: as it was.
            (Some(status), None) => status,
        };
        // Without tags one who is removed always reads the same, so no later list writes anything of him.
        let tags = if after == Removed { Tags::default() } else { listed.tags.clone() };
        let after = DiscoveredPromoter { status: after, tags };
        let is_same = before.as_ref() == Some(&after);
        *match (status, after.status) {
            // Who is polled after all, as another source says.
            (_, Removed) if table.get(promoter).is_some() => match is_same {
                true => &mut self.counts.unchanged,
                false => &mut self.counts.changed,
            },
            (_, Removed) => &mut self.counts.kept_removed,
            (None, _) | (Some(Removed), Authorized) => &mut self.counts.found,
            (Some(Authorized), Unauthorized) => &mut self.counts.parked,
            (Some(Unauthorized), Authorized) => &mut self.counts.resumed,
            _ if is_same => &mut self.counts.unchanged,
            _ => &mut self.counts.changed,
        } += 1;
        if !is_same {
            self.writes.push((promoter.clone(), Some(after)));
        }
    }

    /// Those that are not listed.
    fn miss(&mut self, list: &DiscoveryList, table: &PromoterTable, limit: RemovalLimit) {
        let mut missing = Missing::of(list, table);
        missing.polled.sort();
        let held_back_by = if list.listed.is_empty() {
            Some(HeldBack::Empty)
        } else if list.unreadable > 0 {
            Some(HeldBack::Unreadable)
        } else if list.is_cut {
            Some(HeldBack::Cut)
        } else {
            (missing.polled.len() > limit.of(missing.found)).then_some(HeldBack::Limit)
        };
        for (promoter, status) in missing.removed_before {
            // That somebody was removed is forgotten by a list that is believed and by no other: where it lacks so many that nobody goes,
            // it may lack him, too, and name him the next time.
            match held_back_by {
                None => self.writes.push((promoter, None)),
                Some(_) if status != DiscoveryStatus::Removed => self.writes.push((promoter, Some(removed()))),
                Some(_) => {}
            }
        }
        match held_back_by {
            None => {
                self.counts.removed = missing.polled.len();
                self.writes.extend(missing.polled.iter().map(|promoter| (promoter.clone(), None)));
            }
            Some(why) => {
                self.counts.held_back = missing.polled.len();
                self.held_back_by = (self.counts.held_back > 0).then_some(why);
            }
        }
        self.missing = missing.polled;
    }
}

/// Whom discovery has found before, as far as the list does not name them.
struct Missing {
    polled: Vec<Promoter>,
    /// Those that an operator has removed.
    removed_before: Vec<(Promoter, DiscoveryStatus)>,
    /// How many have been found and not removed, listed or not.
    found: usize,
}

impl Missing {
    fn of(list: &DiscoveryList, table: &PromoterTable) -> Missing {
        let mut missing = Missing { polled: Vec::new(), removed_before: Vec::new(), found: 0 };
        for (promoter, DiscoveredPromoter { status, .. }) in table.all_discovered() {
            let is_removed = status == DiscoveryStatus::Removed || table.is_deregistered(promoter);
            missing.found += usize::from(!is_removed);
            match list.listed.contains_key(promoter) {
                true => {}
                false if is_removed => missing.removed_before.push((promoter.clone(), status)),
                false => missing.polled.push(promoter.clone()),
            }
        }
        missing
    }
}

fn removed() -> DiscoveredPromoter {
    DiscoveredPromoter { status: DiscoveryStatus::Removed, tags: Tags::default() }
}

#[cfg(test)]
mod tests;
