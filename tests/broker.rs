//! What only a real broker can prove. Each case is a sentence; the harness gives it a broker and topics of its own.
//!
//! On a machine without Java and Maven the cases are shown as ignored, with the reason; with `CI=true` they fail.
//! `PROMOTER_TEST_BOOTSTRAP=host:port` runs those that leave the broker alone against one that is there already.

#![allow(dead_code, reason = "each test binary uses its part of the harness")]

mod broker {
    pub mod barrier;
    pub mod crashes;
    pub mod fencing;
    pub mod isolation;
    pub mod lifetime;
    mod producer;
    mod world;
}
mod harness;

use std::process::ExitCode;

use broker::{barrier, crashes, fencing, isolation, lifetime};
use harness::case;

fn main() -> ExitCode {
    case::main([isolation::CASES, fencing::CASES, barrier::CASES, lifetime::CASES, crashes::CASES].into_iter().flatten().copied())
}
