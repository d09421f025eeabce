//! `[http]`: the bounds of calls to the upstream.

use std::time::Duration;

use super::reader::problem::Mistake;
use super::reader::quantity::{duration, size};
use super::reader::section::Section;
use super::reader::value::number;
use crate::upstream::http::HttpSettings;

pub fn read(mut section: Section) -> HttpSettings {
    let http = HttpSettings {
        timeout: section.or("timeout", Duration::from_secs(15), duration("1ms", "10m")),
        in_flight: section.or("in_flight", 64, number(1..=1024)),
        response_max: section.or("response_max", 16 << 20, size("64KiB", "256MiB")),
        buffered_max: section.or("buffered_max", 128 << 20, size("1MiB", "1024GiB")),
    };
    if http.buffered_max < http.response_max {
        let remedy = "make it as large at least, or http.response_max smaller";
        section.problem("buffered_max", Mistake::new("is less than one answer may have (http.response_max)", remedy));
    }
    section.end();
    http
}
