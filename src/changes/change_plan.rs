//! What a command is going to write, made of what is registered before anything is written; and what it says of that.

use serde::Serialize;

use super::registry_view::RegistryView;
use crate::model::promoter::Promoter;
use crate::model::time::UnixMillis;
use crate::registry::discovered::{DiscoveredPromoter, DiscoveryStatus};
use crate::registry::record::{PromoterPatch, RegistryContent};
use crate::registry::tags::Tags;

/// What becomes of one promoter's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    Added,
    Changed,
    /// It says what it should already: nothing is written.
    Unchanged,
    Removed,
    /// There is none to remove: nothing is written.
    NotRegistered,
}

impl ChangeOutcome {
    /// For whoever adds or removes.
    pub fn word(self) -> &'static str {
        match self {
            ChangeOutcome::Added => "added",
            ChangeOutcome::Changed => "changed",
            ChangeOutcome::Unchanged => "unchanged: it is registered like that already",
            ChangeOutcome::Removed => "removed",
            ChangeOutcome::NotRegistered => "not registered: there is nothing to remove",
        }
    }
}

/// How many promoters met with each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub added: usize,
    pub changed: usize,
    pub unchanged: usize,
    pub removed: usize,
    pub not_registered: usize,
    /// Of those that were named to be polled: discovery says that they have not authorised the app, and they are polled all the same.
    pub not_authorised: usize,
}

impl Counts {
    fn count(&mut self, outcome: ChangeOutcome) {
        *match outcome {
            ChangeOutcome::Added => &mut self.added,
            ChangeOutcome::Changed => &mut self.changed,
            ChangeOutcome::Unchanged => &mut self.unchanged,
            ChangeOutcome::Removed => &mut self.removed,
            ChangeOutcome::NotRegistered => &mut self.not_registered,
        } += 1;
    }
}

/// A record, or the tombstone of one.
pub type PlannedWrite = (Promoter, RegistryContent);

#[derive(Default)]
pub struct ChangePlan {
    pub writes: Vec<PlannedWrite>,
    pub counts: Counts,
    /// The first of those that are polled though they have not authorised the app.
    pub not_authorised: Vec<Promoter>,
}

/// How many of those are kept by name.
const NAMED_MAX: usize = 10;

impl ChangePlan {
    /// Changes the promoter's record by `patch`, or makes one.
    pub fn register(
        &mut self,
        view: &RegistryView,
        promoter: Promoter,
        patch: PromoterPatch,
        now: UnixMillis,
    ) -> ChangeOutcome {
        let before = view.table.registered(&promoter);
        let after = patch.applied_to(before.as_ref(), now);
        let outcome = match before {
            None => ChangeOutcome::Added,
            // What stands on top of it can't be read, and is to go.
            Some(_) if view.is_unreadable(&promoter) => ChangeOutcome::Changed,
            Some(before) if before.says_as(&after) => ChangeOutcome::Unchanged,
            Some(_) => ChangeOutcome::Changed,
        };
        // Alone, discovery's word would have paused it; a record of the registry counts more.
        if !after.paused && view.table.is_unauthorised(&promoter) {
            self.counts.not_authorised += 1;
            if self.not_authorised.len() < NAMED_MAX {
                self.not_authorised.push(promoter.clone());
            }
        }
        if outcome != ChangeOutcome::Unchanged {
            self.writes.push((promoter, RegistryContent::Record(Some(after))));
        }
        self.counts.count(outcome);
        outcome
    }

    /// Nothing has to change for a promoter.
    pub fn leave(&mut self) -> ChangeOutcome {
        self.counts.count(ChangeOutcome::Unchanged);
        ChangeOutcome::Unchanged
    }

    /// Takes the promoter's record away, also one that can't be read, and what discovery has found: a tombstone says so at
    /// once, and the word in discovery's own record when Kafka has compacted that away.
    pub fn deregister(&mut self, view: &RegistryView, promoter: Promoter) -> ChangeOutcome {
        let found = view.table.discovered(&promoter);
        let is_found = found.is_some_and(|found| found.status != DiscoveryStatus::Removed);
        let is_there = view.table.registered(&promoter).is_some() || view.is_unreadable(&promoter) || is_found;
        let outcome = if is_there { ChangeOutcome::Removed } else { ChangeOutcome::NotRegistered };
        if is_there {
            self.writes.push((promoter.clone(), RegistryContent::Record(None)));
        }
        if is_found {
            let removed = DiscoveredPromoter { status: DiscoveryStatus::Removed, tags: Tags::default() };
            self.writes.push((promoter, RegistryContent::Discovery(Some(removed))));
        }
        self.counts.count(outcome);
        outcome
    }
}
