//! From intakes to durable batches: one queue, one writer, one log.

pub mod queue;

pub mod committer;

mod pace;

mod planned;

pub mod totals;

pub mod log;

pub mod script;

pub mod memory_log;

pub mod crash_point;
