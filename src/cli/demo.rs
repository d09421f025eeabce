//! `demo`: everything in one process.

use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Failure, signals};
use crate::config::parse_duration;
use crate::demo::{self, Plan};
use crate::telemetry::log;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The seed of the simulated world; the same seed gives the same world. Without it, by chance.
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

/// Runs for as long as `options` say, or until SIGTERM or SIGINT. An error unless everything shown was published
/// once and everything asked for was answered once.
pub fn run(options: &Options) -> Result<(), Failure> {
    // Only what needs attention: the events are what should be read.
    let level = "warn".parse().expect("warn is a level");
    log::start(&level, log::Format::Text).map_err(anyhow::Error::from)?;
    let plan = Plan { seed: options.seed.unwrap_or_else(|| rand::random::<u16>().into()), duration: options.duration };
    let runtime = super::runtime()?;
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        signals::cancel_on_signal(stop.clone())?;
        demo::run(plan, stop).await
    });
    // Blocking calls into librdkafka may still be under way; nothing waits for them any more.
    runtime.shutdown_background();
    match outcome? {
        outcome if outcome.is_exact() => Ok(()),
        _ => Err(Failure::Running(anyhow::anyhow!("what was published is not exactly what was shown and asked for"))),
    }
}
