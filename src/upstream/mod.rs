//! Talking to the upstream. The only user of reqwest towards WeChat.
//!
//! ```text
//! Question ─> client ─(breakers, budget, place, token, host)─> transport ─bytes─> wire, material ─> Page, GivenMaterial
//!               ^                                  │
//!               └── retry <── error: Reaction <────┘
//! ```
//!
//! The modules stand in the order in which a call passes them.

pub mod question;

pub mod material;

pub mod breaker;
pub mod budget;
mod hosts;
mod places;
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
