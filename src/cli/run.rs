//! `run`: the connector.

use std::path::Path;

use super::Failure;
use crate::config::Config;
use crate::telemetry::log;

/// Reads the configuration at `path` with the environment of this process, and starts logging as it says.
pub fn prepare(path: &Path) -> Result<Config, Failure> {
    let config = Config::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log.level, config.log.format).map_err(anyhow::Error::from)?;
    Ok(config)
}
