//! What only a real broker can prove. Each case is a sentence; the harness gives it a broker and topics of its own.
//!
//! On a machine without Java and Maven the cases are shown as ignored, with the reason; with `CI=true` they fail.
//! `PROMOTER_TEST_BOOTSTRAP=host:port` runs those that leave the broker alone against one that is there already.

#![allow(dead_code, reason = "each test binary uses its part of the harness")]

#[path = "broker/barrier.rs"]
mod barrier;
#[path = "broker/fencing.rs"]
mod fencing;
mod harness;
#[path = "broker/isolation.rs"]
mod isolation;
#[path = "broker/lifetime.rs"]
mod lifetime;
#[path = "broker/producer.rs"]
mod producer;

use std::process::ExitCode;

use harness::case;

fn main() -> ExitCode {
    case::main([isolation::CASES, fencing::CASES, barrier::CASES, lifetime::CASES].into_iter().flatten().copied())
}
