//! The registry topic: as the commands and discovery use it, read to its end and written outside transactions; and as a running
//! instance follows it, shard by shard.
//!
//! ```text
//!                        RegistryFollower::follow ──> what stands there
//!                             │
//!  registry topic ──────> following ─────────────────> FollowedEvents: what comes later
//!   (registry_consumer,       │   │
//!    one thread)              │   └─ followed_shard: to which of both a record belongs, and whether there is room
//!                             ├───── event_reader: bytes → RegistryEvent, or the schema that it takes
//!                             └───── hold_ups: at which of them somebody's open transaction is waited for
//! ```

use std::sync::Arc;

use crate::avro::framing::Framing;
use crate::avro::schema_lookup::SchemaSource;

pub(crate) mod reader;

pub(crate) mod writer;

pub(crate) mod discovery_topic;

mod event_reader;

mod registry_consumer;

mod followed_shard;

mod following;

mod hold_ups;

pub mod follower;

/// How the records of the registry are read.
#[derive(Clone)]
pub(crate) struct Registrations {
    /// Who tells the schemas of others.
    pub schemas: Option<Arc<dyn SchemaSource>>,
    /// What this connector's own commands write them with.
    pub framing: Framing,
}
