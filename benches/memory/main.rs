//! How much memory facts and promoters take, counted by the allocator, and how a start reads what is remembered.
//!
//! ```text
//! cargo bench --features testing --bench memory                # all parts
//! cargo bench --features testing --bench memory -- facts       # bytes a remembered fact
//! cargo bench --features testing --bench memory -- promoters   # bytes an idle promoter with three feeds, by part
//! cargo bench --features testing --bench memory -- restore     # facts and records a second, and whether it is linear
//! ```
//!
//! Bytes are what the program asked for; they do not depend on the machine or on what else runs on it. Records a second do; the
//! ratios of one run much less.

#![allow(unsafe_code, reason = "an allocator that counts is made of unsafe methods")]
#![allow(clippy::unwrap_used, reason = "a measurement that can't go on fails")]

#[cfg(not(any(debug_assertions, feature = "testing")))]
compile_error!("the log in memory is missing: add --features testing");

mod counting;
mod facts;
#[path = "../idle/mod.rs"]
mod idle;
#[path = "../log/mod.rs"]
mod log;
mod promoters;
mod restore;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let parts: [(&str, fn()); 3] =
        [("facts", facts::measure), ("promoters", promoters::measure), ("restore", restore::measure)];
    for (name, measure) in parts {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            measure();
        }
    }
}
