//! Polling promoters no more, or again.

use super::ChangeError;
use super::change_plan::{ChangeOutcome, ChangePlan};
use super::registry_view::RegistryView;
use crate::model::promoter::Promoter;
use crate::model::time::UnixMillis;
use crate::registry::record::PromoterPatch;

/// # Errors
/// [`ChangeError::Unknown`] where no source knows the promoter.
pub fn refuse_unknown(view: &RegistryView, promoter: &Promoter) -> Result<(), ChangeError> {
    if view.table.get(promoter).is_some() {
        return Ok(());
    }
    let advice = "nothing is written; promoters add registers it, and with --paused does not poll it";
    Err(ChangeError::Unknown(format!("{promoter} is neither registered nor configured: {advice}")))
}

/// Sets whether the promoter is `paused`, whom some source knows.
pub fn plan(
    plan: &mut ChangePlan,
    view: &RegistryView,
    promoter: &Promoter,
    paused: bool,
    now: UnixMillis,
) -> ChangeOutcome {
    // A promoter that only others name is polled without a record, unless discovery has parked it.
    let is_parked = view.table.get(promoter).is_some_and(|merged| merged.is_paused.value);
    let is_idle = !paused && !is_parked && view.table.registered(promoter).is_none();
    if is_idle {
        return plan.leave();
    }
    let patch = PromoterPatch { paused: Some(paused), ..PromoterPatch::default() };
    plan.register(view, promoter.clone(), patch, now)
}

/// What became of it, in a word.
pub fn word(paused: bool, outcome: ChangeOutcome) -> &'static str {
    match (paused, outcome) {
        (true, ChangeOutcome::Unchanged) => "paused already",
        (true, _) => "paused",
        (false, ChangeOutcome::Unchanged) => "not paused: there is nothing to resume",
        (false, _) => "resumed",
    }
}
