//! From writes to durable batches: one queue, one writer, one log.

pub(crate) mod under_way;

pub(crate) mod queue;

pub(crate) mod committer;

pub(crate) mod log_state;

pub(crate) mod attempts;

pub(crate) mod adaptive_bound;

pub mod pace;

mod feed_rows;

mod planned;

mod batch_trace;

pub mod totals;

pub(crate) mod figures;

pub mod log;

pub(crate) mod registry_topic;

pub mod failpoint;

#[cfg(any(test, debug_assertions, feature = "testing"))]
pub mod testing;
