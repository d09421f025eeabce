//! `[http]`: the bounds of calls to the upstream.

use std::time::Duration;

use super::quantity::{duration, size};
use super::section::Section;
use super::value::number;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Of one call, from connecting to the last byte.
    pub timeout: Duration,
    /// Calls at once: 1 to 1024.
    pub in_flight: usize,
    /// Bytes of one answer.
    pub response_max: usize,
}

impl Http {
    pub fn read(mut section: Section) -> Http {
        let http = Http {
            timeout: section.or("timeout", Duration::from_secs(15), duration("1ms", "10m")),
            in_flight: section.or("in_flight", 64, number(1..=1024)),
            response_max: section.or("response_max", 16 << 20, size("64KiB", "256MiB")),
        };
        section.end();
        http
    }
}
