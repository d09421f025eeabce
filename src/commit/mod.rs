//! From writes to durable batches: one queue, one writer, one log.

pub mod queue;

pub mod committer;

pub mod log_state;

pub mod attempts;

mod pace;

mod planned;

pub mod totals;

pub mod log;

pub mod failpoint;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
