//! Kafka: the only user of rdkafka. Implements [`crate::commit::log::CommitLog`] with transactions.
//!
//! ```text
//!  group::member                transaction::partition_session
//!  ┌───────────┐ Assignment- ┌───────────────────┐ init, fence, read to it    ┌────────────────────────┐
//!  │  member   │────────────>│ facts_log         │<───────────────────────────│ facts_log::state_reader│
//!  │ (thread)  │ Change      │   open / commit   │                            └────────────────────────┘
//!  └───────────┘             └─────────┬─────────┘
//!                                      │ Batch      ┌─────────────┐ begin, records, flush,
//!                                      └───────────>│ transaction │ offsets, commit
//!                                                   └─────────────┘
//! ```
//!
//! `requests_log` stands on the same `group` and `transaction`, with the request topic in place of the registry and replies in
//! place of events. `registry_topic` follows who is registered in the shards that `facts_log` has, and writes registrations of the
//! commands and of discovery: no group, no transaction. `inspection` looks at what a start would meet with, with `all_topics`,
//! and leaves no trace. All of them make their clients by `client`, and know topics by `topics`.

pub mod client;

pub mod topics;

pub mod group;

pub mod transaction;

pub mod facts_log;

pub mod requests_log;

pub mod registry_topic;

pub(crate) mod all_topics;

pub(crate) mod inspection;
