//! Kafka: the only user of rdkafka. Implements [`crate::commit::log::CommitLog`] with transactions.
//!
//! ```text
//!  group::member                transaction::partition_session
//!  ┌───────────┐ Assignment  ┌───────────────────┐ init, fence, read to it    ┌────────────────────────┐
//!  │  member   │────────────>│ facts_log         │<───────────────────────────│ facts_log::state_reader│
//!  │ (thread)  │ revoked     │   open / commit   │                            └────────────────────────┘
//!  └───────────┘             └─────────┬─────────┘
//!                                      │ Batch      ┌─────────────┐ begin, records, flush,
//!                                      └───────────>│ transaction │ offsets, commit
//!                                                   └─────────────┘
//! ```
//!
//! `requests_log` stands on the same `group` and `transaction`, with the request topic in place of the registry and replies in
//! place of events. `inspection` looks at what both would meet with, and leaves no trace. `registry_topic` is what the commands use that register promoters: no group, no transaction.

pub mod client;

pub mod group;

pub mod transaction;

pub mod facts_log;

pub mod requests_log;

pub mod registry_topic;

pub mod all_topics;

pub mod inspection;
