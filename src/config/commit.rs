//! `[commit]`: how much shares one Kafka transaction.

use std::time::Duration;

use super::reader::quantity::{duration, size};
use super::reader::section::Section;
use super::reader::value::number;
use crate::commit::pace::BatchBounds;

pub fn read(mut section: Section) -> BatchBounds {
    let bounds = BatchBounds {
        // Far below the broker's limit for an open transaction.
        linger: section.or("linger", Duration::from_millis(50), duration("0ms", "10s")),
        events_max: section.or("events_max", 10_000, number(1..=1_000_000)),
        bytes_max: section.or("bytes_max", 8 << 20, size("64KiB", "256MiB")),
    };
    section.end();
    bounds
}
