//! Talking to the upstream. The only user of reqwest towards WeChat.
//!
//! ```text
//! RowsRequest ─> client ─(breakers, budget, permit, token, host)─> transport ─bytes─> wire, material ─> RowPage, ShareMaterial
//!               ^                                  │
//!               └── retry <── error: Reaction <────┘
//! ```
//!
//! The modules stand in the order in which a call passes them.

pub(crate) mod rows_request;

pub(crate) mod material;

pub(crate) mod promoter_list;

pub mod breaker;
pub mod budget;
pub(crate) mod budget_shares;
mod concurrency_limit;
mod hosts;
pub mod token;

pub mod buffer;
pub(crate) mod call_counts;
pub mod http;
pub(crate) mod packing;
pub mod transport;
pub(crate) mod upstream_clock;

mod fields;
mod loose_value;
mod oddities;
pub(crate) mod quota_answer;
mod raw_page;
mod repair;
mod split;
pub mod wire;

pub(crate) mod error;

pub mod client;
