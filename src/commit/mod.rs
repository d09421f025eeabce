//! From writes to durable batches: one queue, one writer, one log.

pub(crate) mod under_way;

pub(crate) mod queue;

pub mod committer;

pub(crate) mod log_state;

pub(crate) mod attempts;

mod pace;

mod planned;

pub mod totals;

pub mod log;

pub mod failpoint;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
