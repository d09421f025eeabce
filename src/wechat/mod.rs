//! Talking to the upstream. The only user of reqwest towards WeChat.
//!
//! ```text
//! Question ─> client ─(budget, token, host)─> transport ─bytes─> wire, material ─> Page of rows, GivenMaterial
//!               ^                                  │
//!               └── retry <── error: Reaction <────┘
//! ```
//!
//! The modules stand in the order in which a call passes them.

pub mod question;

pub mod material;

pub mod budget;
mod hosts;
pub mod token;

pub mod buffer;
pub mod http;
pub mod packing;
pub mod transport;
pub mod upstream_clock;

mod fields;
pub mod oddities;
mod parts;
mod repair;
mod split;
mod value;
pub mod wire;

pub mod error;

pub mod client;
