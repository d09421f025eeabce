//! What every use of Kafka has in common: how clients are made and log in, what they tell, and what they may not do.

use std::time::Duration;

/// How long a request to the brokers may take, for whoever need not be done sooner.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

pub mod settings;

pub(super) mod profiles;

pub(super) mod supplied;

pub(super) mod ended_aside;

pub(super) mod stuck_client;

pub(crate) mod credentials;

mod native;

mod tokens;

mod passwords;

pub(crate) mod kerberos;

pub(crate) mod properties;

pub(super) mod error;

pub(super) mod context;

pub(super) mod waiting;

pub(super) mod state_poll;

pub(super) mod event_queue;

pub(super) mod rights;

pub(super) mod granted_rights;

pub(crate) mod acknowledged_producer;

pub(crate) mod broker_probe;

mod silence;

pub(super) mod headers;

pub mod mock_cluster;

/// The version of librdkafka that is built in.
pub(crate) fn library_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}
