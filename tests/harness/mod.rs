//! What the tests against real processes stand on: brokers, clients, the connector's binary, the simulated
//! upstream, and the judge that compares what was shown with what was published.
//!
//! Nothing here is async and nothing sleeps for luck: each wait is for a condition, with a bound.

pub mod admin_port;
pub mod apicurio;
pub mod availability;
pub mod case;
pub mod client;
pub mod collector;
pub mod connector;
pub mod consumer;
pub mod context;
pub mod directory;
pub mod distribution;
pub mod facts;
pub mod http;
pub mod http_exchange;
pub mod judge;
pub mod kafka;
#[cfg(feature = "gssapi")]
pub mod kerberos;
pub mod listener;
#[cfg(feature = "msk-iam")]
pub mod msk_iam;
pub mod old_kafka;
pub mod process;
pub mod proxy;
pub mod python;
pub mod read_only_registry;
pub mod requests;
pub mod rights;
pub mod security;
pub mod service_manager;
pub mod simulator;
pub mod token_endpoint;
pub mod topics;
pub mod wait;
pub mod way_in;
