//! From writes to durable batches: one queue, one writer, one log.

pub mod queue;

pub mod committer;

mod pace;

mod planned;

pub mod totals;

pub mod log;

pub mod fault_script;

pub mod memory_log;

pub mod failpoint;
