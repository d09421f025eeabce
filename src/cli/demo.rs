//! `demo`: everything in one process, but for a broker that is named.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Failure, duration, signals, stdout};
use crate::admin::client::port_name;
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

    /// A real broker in place of the one in this process. What the demo makes there begins with "promoter-demo-" and a number of this
    /// run; nothing else is touched, and the topics stay.
    #[arg(long, value_name = "HOST:PORT", value_parser = port_name)]
    pub bootstrap: Option<String>,
}

/// Runs for as long as `options` say, or until SIGTERM or SIGINT. Where nobody looks on any more it ends at once.
///
/// # Errors
/// [`Failure`] unless everything shown was published once, and everything asked for was answered once.
pub fn run(options: &DemoOptions) -> Result<(), Failure> {
    // Only what needs attention: the events are what should be read.
    let level = "warn".parse().context("warn is a level")?;
    log::start(&LogSettings { level, format: LogFormat::Text, otlp: None })?;
    let plan = DemoPlan {
        seed: options.seed.unwrap_or_else(|| rand::random::<u16>().into()),
        bootstrap_servers: options.bootstrap.as_deref().map(Into::into),
        duration: options.duration,
    };
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
