//! `demo`: everything in one process.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Failure, duration, signals, stdout};
use crate::demo::{self, DemoPlan};
use crate::telemetry::log::{self, LogFormat, LogSettings};

#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// The seed of the simulated world; the same seed gives the same world. Without it, by chance.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How long to run, such as 30s; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
}

/// Runs for as long as `options` say, or until SIGTERM or SIGINT. Where nobody looks on any more it ends at once.
///
/// # Errors
/// [`Failure`] unless everything shown was published once, and everything asked for was answered once.
pub fn run(options: &DemoOptions) -> Result<(), Failure> {
    // Only what needs attention: the events are what should be read.
    let level = "warn".parse().context("warn is a level")?;
    log::start(&LogSettings { level, format: LogFormat::Text })?;
    let plan =
        DemoPlan { seed: options.seed.unwrap_or_else(|| rand::random::<u16>().into()), duration: options.duration };
    let runtime = super::runtime()?;
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        signals::cancel_on_signal(stop.clone())?;
        demo::run(plan, stop).await
    });
    // Blocking calls into librdkafka may still be under way; nothing waits for them any more.
    runtime.shutdown_background();
    match outcome {
        Err(error) if stdout::is_closed(&error) => Ok(()),
        Ok(outcome) if outcome.is_exact() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => {
            Err(Failure::Running(anyhow::anyhow!("what was published is not exactly what was shown and asked for")))
        }
    }
}
