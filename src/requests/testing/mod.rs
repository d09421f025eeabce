//! Doubles for tests, in debug builds and where the feature `testing` asks for them, never in a release.

pub mod memory_topic;
