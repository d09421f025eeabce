//! What the process tells about itself.

pub(crate) mod buckets;
pub(crate) mod event_counts;
pub(crate) mod health;
pub mod last_words;
pub mod log;
pub(crate) mod pipeline;
pub(crate) mod sums;
pub mod traces;

mod lines;

#[cfg(test)]
pub(crate) mod captured;

#[cfg(test)]
mod messages;
