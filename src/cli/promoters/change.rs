//! `promoters add|remove|pause|resume`: changes of promoters that are named one by one.

use serde::Serialize;

use super::names::{self, GivenStart};
use super::write::write;
use super::{AddOptions, ChangeOptions, ChangeOutput};
use crate::changes::change_plan::{ChangeOutcome, ChangePlan, Counts};
use crate::changes::pause;
use crate::changes::registry_view::RegistryView;
use crate::changes::settings::ChangeSettings;
use crate::cli::{Failure, stdout};
use crate::model::promoter::Promoter;
use crate::registry::record::PromoterPatch;
use crate::registry::tags::Tags;

/// Why a promoter that was removed is polled all the same.
const STILL_CONFIGURED: &str =
    "goes on being polled: the configuration names it, in promoters or promoters_file of its app; remove it there";
/// What is to be known of a promoter that discovery alone would not poll.
pub(super) const NOT_AUTHORISED: &str =
    "has not authorised the app, says discovery; it is polled all the same from now on, for it is registered";

/// # Errors
/// [`Failure`] where a name is wrong, or the topic can't be read or does not take all of them.
pub fn add(settings: ChangeSettings, options: &AddOptions) -> Result<(), Failure> {
    let tags = Tags::new(options.tags.iter().map(|(name, text)| (name, text)))
        .map_err(|error| Failure::Refused(format!("the tags {error}")))?;
    let patch = PromoterPatch {
        feeds: options.feeds,
        start_from: options.start_from.map(|GivenStart(start)| start),
        paused: options.paused.then_some(true),
        tags: (!tags.is_empty()).then_some(tags),
    };
    let promoters = names::promoters(&options.change.promoters, &settings.apps)?;
    let change = Change::prepare(settings, promoters, &options.change)?;
    change.carry_out(ChangeOutcome::word, |plan, view, promoter| {
        plan.register(view, promoter.clone(), patch.clone(), crate::clock::now())
    })
}

/// Also of an app that the registry names and the configuration does not, or nobody could take away what an app has left that is gone.
///
/// # Errors
/// As [`add`]; and where neither the configuration nor the registry names the app of one of them.
pub fn remove(settings: ChangeSettings, options: &ChangeOptions) -> Result<(), Failure> {
    let promoters = names::promoters_of_any_app(&options.promoters, &settings.apps)?;
    let change = Change::prepare(settings, promoters, options)?;
    for promoter in &change.promoters {
        if !change.view.names_app_of(promoter) {
            return Err(Failure::Refused(names::unknown_app(promoter.app_id(), &change.view.settings.apps)));
        }
    }
    change.carry_out(ChangeOutcome::word, |plan, view, promoter| plan.deregister(view, promoter.clone()))
}

/// Sets whether the promoters are `paused`, each of which some source has to know.
///
/// # Errors
/// As [`add`]; and where no source knows one of them.
pub fn pause(settings: ChangeSettings, options: &ChangeOptions, paused: bool) -> Result<(), Failure> {
    let promoters = names::promoters(&options.promoters, &settings.apps)?;
    let change = Change::prepare(settings, promoters, options)?;
    for promoter in &change.promoters {
        pause::refuse_unknown(&change.view, promoter)?;
    }
    let now = crate::clock::now();
    change.carry_out(
        |outcome| pause::word(paused, outcome),
        |plan, view, promoter| pause::plan(plan, view, promoter, paused, now),
    )
}

/// A command with what it rests on.
struct Change {
    view: RegistryView,
    promoters: Vec<Promoter>,
    output: ChangeOutput,
}

impl Change {
    /// # Errors
    /// Where the registry is not read to its end in time.
    fn prepare(settings: ChangeSettings, promoters: Vec<Promoter>, options: &ChangeOptions) -> Result<Change, Failure> {
        let view = RegistryView::read(settings, options.bound.until())?;
        Ok(Change { view, promoters, output: options.output })
    }

    /// Plans for each promoter, writes, and says what was done, in the words for each outcome.
    ///
    /// # Errors
    /// Where the registry has not taken all of it, of which the same command writes what is missing; or stdout takes nothing.
    fn carry_out(
        self,
        word: impl Fn(ChangeOutcome) -> &'static str,
        plan_for: impl Fn(&mut ChangePlan, &RegistryView, &Promoter) -> ChangeOutcome,
    ) -> Result<(), Failure> {
        let (mut plan, mut told) = (ChangePlan::default(), String::new());
        let mut still_configured = Vec::new();
        for promoter in &self.promoters {
            let not_authorised = plan.counts.not_authorised;
            let outcome = plan_for(&mut plan, &self.view, promoter);
            let is_removal = matches!(outcome, ChangeOutcome::Removed | ChangeOutcome::NotRegistered);
            let is_configured = self.view.table.get(promoter).is_some_and(|merged| merged.is_configured);
            told += &format!("{promoter} {}\n", word(outcome));
            if plan.counts.not_authorised > not_authorised {
                told += &format!("{promoter} {NOT_AUTHORISED}\n");
            }
            if is_removal && is_configured {
                told += &format!("{promoter} {STILL_CONFIGURED}\n");
                still_configured.push(promoter.key());
            }
        }
        if !self.output.dry_run {
            write(&self.view, &plan)?;
        }
        let report = ChangeReport { dry_run: self.output.dry_run, counts: plan.counts, still_configured };
        Ok(stdout::print(&if self.output.json { report.json()? } else { told + report.note() })?)
    }
}

/// What was done, for programs.
#[derive(Serialize)]
struct ChangeReport<'a> {
    dry_run: bool,
    #[serde(flatten)]
    counts: Counts,
    /// Those that were removed and are polled all the same.
    still_configured: Vec<&'a str>,
}

impl ChangeReport<'_> {
    fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    fn note(&self) -> &'static str {
        if self.dry_run { "dry run: nothing was written\n" } else { "" }
    }
}
