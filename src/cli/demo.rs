//! `demo`: everything in one process.

use std::time::Duration;

use clap::Args;

use crate::config::parse_duration;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The seed of the simulated world; the same seed gives the same world.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How long to run, such as 30s; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "not a duration such as 30s or 5m".to_owned())
}
