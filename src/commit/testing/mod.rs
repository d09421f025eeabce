//! Doubles for tests, in debug builds and where the feature `testing` asks for them, never in a release: a log in memory that fails as
//! a script says.

pub mod durable_topics;

pub mod fault_script;

pub mod memory_group;

pub mod memory_log;
