//! What the process tells about itself.

pub mod last_words;
pub mod log;
pub mod sums;

mod lines;

#[cfg(test)]
pub mod captured;

#[cfg(test)]
mod messages;
