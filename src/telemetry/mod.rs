//! What the process tells about itself.

pub mod buckets;
pub mod event_counts;
pub mod health;
pub mod last_words;
pub mod log;
pub(crate) mod sums;

mod lines;

#[cfg(test)]
pub(crate) mod captured;

#[cfg(test)]
mod messages;
