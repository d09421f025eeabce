//! `status`: how far the facts of everybody are published, as it stands in Kafka. No instance is asked, so it tells the whole
//! fleet's progress also where all of it is dead.

use std::path::Path;

use clap::Args;

use self::fleet::FleetStatus;
use self::probe::Probe;
use super::promoters::TimeBound;
use super::{Failure, stdout};
use crate::changes::registry_view::RegistryView;
use crate::clock;
use crate::config::RegistryClientConfig;
use crate::telemetry::log;

mod cursors;
mod fleet;
mod probe;

#[derive(Clone, Debug, Args)]
pub struct StatusOptions {
    /// How many of those who are behind most are named.
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub worst: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub bound: TimeBound,
    /// Ask the instance on this host instead, as a probe of its admin port would: 0 where it is so, else 1.
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["worst", "json", "timeout"])]
    pub probe: Option<Probe>,
}

/// # Errors
/// [`Failure`] where the registry or the state can't be read to its end in time; of a probe as [`probe::run`].
pub fn run(path: &Path, options: &StatusOptions) -> Result<(), Failure> {
    if let Some(probe) = options.probe {
        return probe::run(path, probe);
    }
    let config = RegistryClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    let view = RegistryView::read(config.changes, options.bound.until())?;
    let cursors = cursors::read(&view)?;
    let status = FleetStatus::of(&view, &cursors, clock::now().as_seconds(), options.worst);
    stdout::print(&if options.json {
        serde_json::to_string(&status).map_err(anyhow::Error::from)? + "\n"
    } else {
        status.text()
    })?;
    view.tell_unreadable();
    Ok(())
}
