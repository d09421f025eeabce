//! The admin port: what the process tells of itself to probes, to Prometheus and to people. It reads what the pipelines have
//! noted, waits for none of them, and changes nothing. Only of single promoters it asks schedulers and the session, which answer between
//! two steps of theirs, or not at all.
//!
//! ```text
//!  pipelines, clients ──note──> totals, health, reports, breakers <──look── observed ──> probes, metrics
//! ```

use std::net::SocketAddr;

pub mod observed;
pub mod routes;
pub mod server;

mod ages;
mod causes;
pub mod client;
pub mod explanation;
mod host;
mod metrics;
mod open_breakers;
mod page;
mod probes;
mod promoters;
mod status;

#[cfg(test)]
mod runbook;
#[cfg(test)]
mod tests;

/// Where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Absent where it is closed.
    pub listen: Option<SocketAddr>,
}
