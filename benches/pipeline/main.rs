//! How fast the connector is without Kafka's own cost.
//!
//! ```text
//! cargo bench --features testing --bench pipeline               # all parts
//! cargo bench --features testing --bench pipeline -- reading    # step by step, in one thread, as ratios to serde_json
//! cargo bench --features testing --bench pipeline -- drain      # the whole connector against the simulator in a process of its own
//! cargo bench --features testing --bench pipeline -- pauses     # how long a loop keeps others waiting, beside 100,000 promoters and a million
//! ```
//!
//! Figures are medians of several rounds. Rows a second depend on the machine and on what else runs on it; ratios
//! within one run, and CPU-seconds, much less.

#![allow(clippy::unwrap_used, reason = "a measurement that can't go on fails")]

#[cfg(not(any(debug_assertions, feature = "testing")))]
compile_error!("the log in memory is missing: add --features testing");

mod drain;
#[path = "../idle/mod.rs"]
mod idle;
#[path = "../log/mod.rs"]
mod log;
mod pauses;
mod process_time;
mod reading;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| part == name);
    if is_wanted("reading") {
        reading::measure();
    }
    if is_wanted("drain") {
        drain::measure();
    }
    if is_wanted("pauses") {
        pauses::measure();
    }
}

/// The middle one. Of an even number the upper of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
