//! From writes to durable batches: one queue, one writer, one log.

pub mod queue;

pub mod committer;

mod pace;

mod planned;

pub mod totals;

pub mod log;

pub mod failpoint;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
