//! What every use of Kafka has in common: how clients are made and log in, what topics there are, what may not be done.

pub mod settings;

mod profiles;

pub(super) mod supplied;

pub(crate) mod tokens;

pub(crate) mod properties;

pub(super) mod error;

pub(super) mod context;

pub(super) mod rights;

pub mod acknowledged_producer;

pub mod pulse;

pub(super) mod topic_lookup;

pub(super) mod topics;

mod topic_counts;

mod topic_creation;

pub mod topic_settings;

pub(super) mod headers;

pub(crate) mod topic_reader;

pub mod mock_cluster;
