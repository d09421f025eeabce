//! A real Kafka to try things on, without Docker: one broker in a directory of its own, gone when this ends.
//! Needs Java 17 or later and Maven, which fetches Kafka on the first time.
//!
//! ```text
//! $ cargo run --example broker
//! bootstrap.servers = 127.0.0.1:19092
//! ```
//!
//! It runs until its standard input ends (Ctrl-D) or it is stopped (Ctrl-C).

#![allow(dead_code, reason = "the harness is written for the tests, and this is a part of it")]

#[path = "../tests/harness"]
mod harness {
    pub mod availability;
    mod client;
    mod directory;
    mod distribution;
    pub mod kafka;
    mod old_kafka;
    mod process;
    mod proxy;
    mod security;
    mod wait;
    mod way_in;
}

use harness::availability::Brokers;
use harness::kafka::Broker;

fn main() -> anyhow::Result<()> {
    let broker = Broker::start(&Brokers::find()?, &[])?;
    println!("bootstrap.servers = {}", broker.bootstrap());
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    Ok(())
}
