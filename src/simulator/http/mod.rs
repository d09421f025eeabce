//! The world over HTTP, on the wall clock.

mod listener;
pub(in crate::simulator) mod server;
