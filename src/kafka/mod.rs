//! Kafka: the only user of rdkafka. Implements [`crate::commit::log::CommitLog`] with transactions.
//!
//! ```text
//!  group of promoter.registry             transactional.id = <name>:<instance>
//!  ┌───────────┐ Assignment  ┌───────────────────┐ init, fence, read to it    ┌─────────────┐
//!  │ ownership │────────────>│  transaction_log  │<───────────────────────────│ state_topic │
//!  │ (thread)  │ recalled    │  open / commit    │                            └─────────────┘
//!  └───────────┘             └─────────┬─────────┘
//!                                      │ Batch      ┌─────────────┐ begin, records, flush,
//!                                      └───────────>│ transaction │ offsets, commit
//!                                                   └─────────────┘
//! ```

pub mod settings;

mod clients;

pub mod supplied;

pub mod tokens;

pub mod properties;

pub mod context;

mod lookup;

pub mod topics;

mod topic_settings;

pub mod partition;

pub mod member;

pub mod ownership;

mod rival;

mod claim;

mod tenure;

pub mod state_topic;

mod peers;

mod limits;

mod rights;

pub mod records;

mod producer;

mod generation;

pub mod transaction;

pub mod transaction_log;

pub mod command_records;

mod headers;

mod command_progress;

mod command_again;

mod command_reader;

pub mod command_topic;

pub mod request_topic;

pub mod asker;

pub mod reader;

pub mod stand_in;
