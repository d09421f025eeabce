//! `run`: the connector.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{Failure, signals};
use crate::app;
use crate::config::Config;
use crate::telemetry::log;

/// Runs until SIGTERM or SIGINT, and then until what was polled is durable.
///
/// # Errors
/// [`Failure`], by whether the configuration is at fault or something else has failed.
pub fn run(path: &Path) -> Result<(), Failure> {
    let runtime = super::runtime()?;
    let stop = CancellationToken::new();
    // First of all: a signal counts from here on.
    runtime.block_on(async { signals::cancel_on_signal(stop.clone()).and_then(|()| signals::outlive_hangup()) })?;
    let config = prepare(path)?;
    let result = runtime.block_on(app::run(config, stop));
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

/// Reads the configuration at `path` with the environment of this process, and starts logging as it says.
fn prepare(path: &Path) -> Result<Config, Failure> {
    let config = Config::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    Ok(config)
}
