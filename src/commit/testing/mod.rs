//! Doubles for tests, in no build of the product: a log in memory that fails as a script says.

pub mod fault_script;

pub mod memory_group;

pub mod memory_log;
