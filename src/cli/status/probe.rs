//! `status --probe`: what a probe of the instance on this host answers, for whoever can run a command and speaks no HTTP, such as
//! the health check of a container without a shell.

use std::path::Path;

use axum::http::StatusCode;
use clap::ValueEnum;

use crate::admin::client::{self, local_port};
use crate::cli::{Failure, runtime, stdout};
use crate::config::RegistryClientConfig;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    /// Whether the loops of the process turn.
    Live,
    /// Whether it does its work.
    Ready,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Probe::Live => "/live",
            Probe::Ready => "/ready",
        }
    }
}

/// Prints the answer.
///
/// # Errors
/// [`Failure::Refused`] where the admin port is closed; [`Failure::Found`] with 1 where the answer is that it is not so; else where
/// nobody answers.
pub fn run(path: &Path, probe: Probe) -> Result<(), Failure> {
    let config = RegistryClientConfig::load(path, &|name| std::env::var(name).ok())?;
    let closed = || Failure::Refused("admin.listen is \"off\", so no probe is answered".to_owned());
    let port = local_port(config.admin.listen.ok_or_else(closed)?);
    let (status, answer) = runtime()?.block_on(client::get(&port, probe.path()))?;
    stdout::print(&String::from_utf8_lossy(&answer))?;
    match status {
        StatusCode::OK => Ok(()),
        _ => Err(Failure::Found { exit_code: 1 }),
    }
}
