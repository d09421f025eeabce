//! What every use of Kafka has in common: how clients are made and log in, what topics there are, what may not be done.

use std::time::Duration;

/// How long a request to the brokers may take, for whoever need not be done sooner.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

pub mod settings;

pub(super) mod profiles;

pub(super) mod supplied;

pub(super) mod ended_aside;

pub(super) mod admin_client;

pub(crate) mod tokens;

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

pub(super) mod topic_lookup;

pub(super) mod topics;

pub(super) mod watermarks;

pub(super) mod topic_counts;

pub(super) mod topic_creation;

pub mod topic_settings;

pub(super) mod headers;

pub(crate) mod topic_reader;

pub(crate) mod whole_topic;

pub mod mock_cluster;

/// The version of librdkafka that is built in.
pub(crate) fn library_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}
