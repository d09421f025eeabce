//! `[http]`: the bounds of calls to the upstream.

use std::time::Duration;

use super::reader::problem::Mistake;
use super::reader::quantity::{duration, size};
use super::reader::section::Section;
use super::reader::value::number;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Of one call, from connecting to the last byte.
    pub timeout: Duration,
    /// Calls at once: 1 to 1024.
    pub in_flight: usize,
    /// Bytes of one answer.
    pub response_max: usize,
    /// Bytes of all answers that are held at once; at least one fits.
    pub buffered_max: usize,
}

impl Http {
    pub fn read(mut section: Section) -> Http {
        let http = Http {
            timeout: section.or("timeout", Duration::from_secs(15), duration("1ms", "10m")),
            in_flight: section.or("in_flight", 64, number(1..=1024)),
            response_max: section.or("response_max", 16 << 20, size("64KiB", "256MiB")),
            buffered_max: section.or("buffered_max", 128 << 20, size("1MiB", "1024GiB")),
        };
        if http.buffered_max < http.response_max {
            let remedy = "make it as large at least, or http.response_max smaller";
            section
                .problem("buffered_max", Mistake::new("is less than one answer may have (http.response_max)", remedy));
        }
        section.end();
        http
    }
}
