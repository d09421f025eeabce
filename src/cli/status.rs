//! `status`: how far the facts of everybody are published, as it stands in Kafka. No instance is asked, so it tells the whole
//! fleet's progress also where all of it is dead.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use self::day_report::DayReport;
use self::fleet::FleetStatus;
use self::probe::Probe;
use super::promoters::TimeBound;
use super::{Failure, stdout};
use crate::changes::registry_view::RegistryView;
use crate::clock;
use crate::config::RegistryClientConfig;
use crate::model::time::Day;
use crate::telemetry::log;

mod cursors;
mod day;
mod day_report;
mod fleet;
mod probe;

#[derive(Clone, Debug, Args)]
pub struct StatusOptions {
    /// How many of those who are behind most are named.
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub worst: usize,
    /// Tell whether this day in Beijing, such as 2026-11-24, is complete, by the ledger, and what is missing: 0 where all of it is
    /// published, else 1.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = beijing_day)]
    pub day: Option<Day>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub bound: TimeBound,
    /// Ask the instance on this host instead, as a probe of its admin port would: 0 where it is so, else 1.
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["worst", "json", "timeout", "day"])]
    pub probe: Option<Probe>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a day such as 2026-11-24")]
pub(crate) struct InvalidDay;

fn beijing_day(text: &str) -> Result<Day, InvalidDay> {
    Day::from_date(text).ok_or(InvalidDay)
}

/// # Errors
/// [`Failure`] where the registry or the state can't be read to its end in time; of a day that is not complete [`Failure::Found`]
/// with 1; of a probe as [`probe::run`].
pub fn run(path: &Path, options: &StatusOptions) -> Result<(), Failure> {
    if let Some(probe) = options.probe {
        return probe::run(path, probe);
    }
    let config = RegistryClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    let view = RegistryView::read(config.changes, options.bound.until())?;
    if let Some(day) = options.day {
        let report = day::report(&view, day, options.worst)?;
        print(&report, options.json, DayReport::text)?;
        view.tell_unreadable();
        return if report.is_complete() { Ok(()) } else { Err(Failure::Found { exit_code: 1 }) };
    }
    let cursors = cursors::read(&view)?;
    let status = FleetStatus::of(&view, &cursors, clock::now().as_seconds(), options.worst);
    print(&status, options.json, FleetStatus::text)?;
    view.tell_unreadable();
    Ok(())
}

/// # Errors
/// Where it can't be written.
fn print<R: Serialize>(report: &R, as_json: bool, text: impl Fn(&R) -> String) -> anyhow::Result<()> {
    stdout::print(&if as_json { serde_json::to_string(report)? + "\n" } else { text(report) })
}
