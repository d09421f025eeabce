//! `run`: the connector.

use std::path::Path;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Failure, signals};
use crate::app::{self, ReloadSource, RunMode};
use crate::config::{Config, ConfigFile, ConfigReading};
use crate::telemetry::log;
use crate::telemetry::traces::{self, TraceOrigin};
use crate::text::with_causes;

#[derive(Clone, Copy, Debug, Args)]
pub struct RunOptions {
    /// Take over what a connector of another name has left in these topics, once none of its instances runs any more. Where there is
    /// nothing of that kind it does nothing.
    #[arg(long)]
    pub adopt: bool,
}

/// Runs until SIGTERM or SIGINT, and then until what was polled is durable.
///
/// # Errors
/// [`Failure`], by whether the configuration is at fault or something else has failed.
pub fn run(path: &Path, options: RunOptions) -> Result<(), Failure> {
    let runtime = super::runtime()?;
    let stop = CancellationToken::new();
    // First of all: a signal counts from here on.
    let hangups =
        runtime.block_on(async { signals::cancel_on_signal(stop.clone()).and_then(|()| signals::hangups()) })?;
    // With the environment of this process.
    let file = ConfigFile::new(path, |name| std::env::var(name).ok());
    let ConfigReading { files, outcome } = file.read();
    let (config, marks) = outcome?;
    log::start(&config.log)?;
    if let Some(collector) = &config.log.otlp {
        traces::start(collector, &origin(&config))?;
    }
    let reload = ReloadSource { file, files, marks, secrets: config.filed_secrets(), hangups };
    let mode = RunMode { reload: Some(reload), adopt: options.adopt };
    let result = runtime.block_on(app::run(config, mode, stop));
    // Blocking calls into librdkafka may still be under way; nothing waits for them any more.
    runtime.shutdown_background();
    traces::flush();
    result.map_err(failure)
}

fn origin(Config { kafka, .. }: &Config) -> TraceOrigin {
    TraceOrigin { service: kafka.name.clone(), instance_id: kafka.instance_id.clone() }
}

fn failure(error: anyhow::Error) -> Failure {
    match error.downcast::<app::Unfit>() {
        Ok(unfit) => Failure::Refused(with_causes(&unfit)),
        Err(error) => Failure::Running(error),
    }
}
