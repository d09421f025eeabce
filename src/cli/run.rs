//! `run`: the connector.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{Failure, signals};
use crate::app;
use crate::config::Config;
use crate::telemetry::log;

/// Runs until SIGTERM or SIGINT, and then until what was polled is durable.
pub fn run(path: &Path) -> Result<(), Failure> {
    let config = prepare(path)?;
    app::kafka_settings(&config).check().map_err(Failure::Refused)?;
    let runtime = super::runtime()?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        signals::cancel_on_signal(stop.clone())?;
        app::run(&config, stop).await
    });
    // Blocking calls into librdkafka may still be under way; nothing waits for them any more.
    runtime.shutdown_background();
    Ok(result?)
}

/// Reads the configuration at `path` with the environment of this process, and starts logging as it says.
pub fn prepare(path: &Path) -> Result<Config, Failure> {
    let config = Config::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log.level, config.log.format).map_err(anyhow::Error::from)?;
    Ok(config)
}
