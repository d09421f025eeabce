//! `run`: the connector.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{Failure, signals};
use crate::app::{self, ReloadSource};
use crate::config::{ConfigFile, ConfigReading};
use crate::telemetry::log;

/// Runs until SIGTERM or SIGINT, and then until what was polled is durable.
///
/// # Errors
/// [`Failure`], by whether the configuration is at fault or something else has failed.
pub fn run(path: &Path) -> Result<(), Failure> {
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
    let reload = ReloadSource { file, files, marks, hangups };
    let result = runtime.block_on(app::run(config, Some(reload), stop));
    // Blocking calls into librdkafka may still be under way; nothing waits for them any more.
    runtime.shutdown_background();
    result.map_err(failure)
}

fn failure(error: anyhow::Error) -> Failure {
    match error.downcast::<app::Unfit>() {
        Ok(unfit) => Failure::Refused(unfit.to_string()),
        Err(error) => Failure::Running(error),
    }
}
