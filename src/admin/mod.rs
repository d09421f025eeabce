//! The admin port: what the process tells of itself to probes, to Prometheus and to people. It reads what the pipelines have
//! noted, and waits for none of them. Only of single promoters it asks schedulers and the session, which answer between two steps of
//! theirs, or not at all. It changes nothing by itself: whoever has the token may have [`crate::changes`] write to the registry, as the
//! command line does. What has changed between two looks is told to the log, too, also where the port is closed.
//!
//! ```text
//!  pipelines, clients ──note──> totals, health, reports, breakers <──look── observed ──> probes, metrics, transitions
//! ```

use std::net::SocketAddr;

use permission::AdminToken;

pub mod observed;
pub mod recent;
pub mod routes;
pub mod server;
pub mod service_manager;
pub mod transitions;

mod ages;
mod answer;
mod causes;
mod changes;
pub mod client;
mod counters;
pub mod explanation;
mod host;
mod metrics;
mod open_breakers;
mod page;
pub mod permission;
mod probes;
mod promoters;
mod status;

#[cfg(test)]
mod runbook;
#[cfg(test)]
mod tests;

/// Where it listens, and who may change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Absent where it is closed.
    pub listen: Option<SocketAddr>,
    /// Absent where nothing may be changed.
    pub token: Option<AdminToken>,
}
