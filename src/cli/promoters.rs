//! `promoters`: who is registered, and changes of that.
//!
//! Every command reads the registry to its end first, so that what it writes rests on what is there, and counts exactly.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};

use super::{Failure, duration};
use crate::changes::settings::ChangeSettings;
use crate::config::RegistryClientConfig;
use crate::model::feed_set::FeedSet;
use crate::telemetry::log;

mod change;
mod discover;
mod export;
mod import;
mod import_file;
mod list;
pub(super) mod names;
mod progress;
mod write;

#[derive(Clone, Debug, Subcommand)]
pub enum PromotersCommand {
    /// Show who is polled, and what says so.
    List(ListOptions),
    /// Register promoters, or change what is registered of them; what is not named stays as it is.
    Add(AddOptions),
    /// Deregister promoters. Those that the configuration names go on being polled.
    Remove(ChangeOptions),
    /// Poll promoters no more; their progress is kept.
    Pause(ChangeOptions),
    /// Poll paused promoters again, from where they were.
    Resume(ChangeOptions),
    /// Register the promoters of a file. With one faulty line in it nothing is written.
    Import(ImportOptions),
    /// Write what is registered to stdout, for import.
    Export(ExportOptions),
    /// Read the upstream's lists of promoters once, and register what they say.
    Discover(DiscoverOptions),
}

#[derive(Clone, Debug, Args)]
pub struct ListOptions {
    /// Only the promoters of this app.
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Show so many at most.
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    /// Go on behind this promoter, in the order of the list: APP_ID/ID, or the id alone where one app is configured or named.
    #[arg(long, value_name = "PROMOTER")]
    pub after: Option<String>,
    /// Print a JSON object a line.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub bound: TimeBound,
}

#[derive(Clone, Debug, Args)]
pub struct AddOptions {
    /// What is polled, such as touches,orders; "default" for what the configuration says.
    #[arg(long, value_name = "FEEDS", value_parser = names::feeds)]
    pub feeds: Option<FeedSet>,
    /// Since when facts are published: now, earliest, or a time in RFC 3339; "default" for what the configuration says. It acts on
    /// feeds that were never polled; those that were are asked again by rewind.
    #[arg(long, value_name = "START", value_parser = names::start_from)]
    pub start_from: Option<names::GivenStart>,
    /// A note on the promoters; those that are given take the place of all they had.
    #[arg(long = "tag", value_name = "NAME=TEXT", value_parser = names::tag)]
    pub tags: Vec<(String, String)>,
    /// Register them without polling them.
    #[arg(long)]
    pub paused: bool,
    #[command(flatten)]
    pub change: ChangeOptions,
}

#[derive(Clone, Debug, Args)]
pub struct ChangeOptions {
    /// Whom it is about: APP_ID/ID, or the id alone where one app is configured.
    #[arg(required = true, value_name = "PROMOTER")]
    pub promoters: Vec<String>,
    #[command(flatten)]
    pub output: ChangeOutput,
    #[command(flatten)]
    pub bound: TimeBound,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct ChangeOutput {
    /// Say what would be written, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print what was done as one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct ImportOptions {
    /// CSV with the header promoter,feeds,start_from and, as one likes, app,paused,tags; or a JSON object a line, as records of
    /// the registry are. "-" is stdin. What a file does not name of a promoter stays as it is.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How the file is written; without it, what its name or its first character says.
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,
    /// The app of the rows of a CSV that name none.
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Leave faulty lines out and register the others.
    #[arg(long)]
    pub skip_faulty: bool,
    #[command(flatten)]
    pub output: ChangeOutput,
    #[command(flatten)]
    pub bound: TimeBound,
}

#[derive(Clone, Debug, Args)]
pub struct ExportOptions {
    /// For import and people a table, for programs an object a line: there is no --json beside that.
    #[arg(long, value_enum, default_value = "csv")]
    pub format: FileFormat,
    /// Only the promoters of this app.
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    #[command(flatten)]
    pub bound: TimeBound,
}

#[derive(Clone, Debug, Args)]
pub struct DiscoverOptions {
    /// Only the promoters of this app; without it those of all that are configured.
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<String>,
    /// Remove whoever is missing from the list, however many there are.
    #[arg(long)]
    pub remove: bool,
    #[command(flatten)]
    pub output: ChangeOutput,
    #[command(flatten)]
    pub bound: TimeBound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    Csv,
    /// JSON lines.
    Jsonl,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct TimeBound {
    /// How long it may take in all.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m")]
    pub timeout: Duration,
}

impl TimeBound {
    pub(super) fn until(self) -> Instant {
        Instant::now() + self.timeout
    }
}

/// # Errors
/// A file that can't be taken, and promoters of apps that are not configured, are usage; everything else has failed.
pub fn run(path: &Path, command: &PromotersCommand) -> Result<(), Failure> {
    match command {
        PromotersCommand::List(options) => list::run(prepare(path)?, options),
        PromotersCommand::Add(options) => change::add(prepare(path)?, options),
        PromotersCommand::Remove(options) => change::remove(prepare(path)?, options),
        PromotersCommand::Pause(options) => change::pause(prepare(path)?, options, true),
        PromotersCommand::Resume(options) => change::pause(prepare(path)?, options, false),
        PromotersCommand::Import(options) => import::run(prepare(path)?, options),
        PromotersCommand::Export(options) => export::run(prepare(path)?, options),
        PromotersCommand::Discover(options) => discover::run(path, options),
    }
}

/// Reads what these commands need of the configuration, and starts logging as it says.
///
/// # Errors
/// [`Failure::Config`] where the configuration is wrong, and [`Failure::Running`] where logging can't be started.
fn prepare(path: &Path) -> Result<ChangeSettings, Failure> {
    let config = RegistryClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    Ok(config.changes)
}
