//! `[retry]`: how the connector goes on after the upstream's refusals.

use std::time::Duration;

use super::reader::problem::Mistake;
use super::reader::quantity::duration;
use super::reader::section::Section;
use super::reader::value::number;
use crate::retry::{JITTER, RetrySettings};
use crate::upstream::breaker::BreakerSettings;

/// What the section says, the same for every app.
#[derive(Clone, Copy)]
pub struct RetrySection {
    pub retry: RetrySettings,
    pub breakers: BreakerSettings,
    /// How long a promoter with a permanent error is left alone.
    pub parked_for: Duration,
}

impl RetrySection {
    pub fn read(mut section: Section) -> RetrySection {
        let retry = RetrySettings {
            initial: section.or("initial", Duration::from_millis(200), duration("1ms", "1h")),
            max: section.or("max", Duration::from_secs(30), duration("1ms", "1h")),
            attempts: section.or("attempts", 8, number(1..=20)),
            jitter: JITTER,
        };
        let too_fast = section.or("too_fast", Duration::from_secs(60), duration("1s", "1d"));
        let parked_for = section.or("parked", Duration::from_secs(15 * 60), duration("1s", "30d"));
        let stopped = section.or("stopped", Duration::from_secs(5 * 60), duration("1s", "1d"));
        if retry.max < retry.initial {
            let remedy = "write one that is at least as long";
            section.problem("max", Mistake::new("is shorter than initial, which it bounds", remedy));
        }
        section.end();
        RetrySection { retry, breakers: BreakerSettings { too_fast, stopped, unanswered: retry.max }, parked_for }
    }
}
