//! `[retry]`: how the connector goes on after the upstream's refusals.

use std::time::Duration;

use super::reader::problem::Mistake;
use super::reader::quantity::duration;
use super::reader::section::Section;
use super::reader::value::number;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Before the second attempt; grows up to `max`.
    pub initial: Duration,
    /// Never shorter than `initial`.
    pub max: Duration,
    /// Calls in all, the first included: 1 to 20.
    pub attempts: u32,
    /// How long an interface of an app rests after 45011.
    pub too_fast: Duration,
    /// How long a promoter with a permanent error is left alone.
    pub parked: Duration,
    /// How long an app with wrong credentials, or an interface without quota, is left alone.
    pub stopped: Duration,
}

impl Retry {
    pub fn read(mut section: Section) -> Retry {
        let retry = Retry {
            initial: section.or("initial", Duration::from_millis(200), duration("1ms", "1h")),
            max: section.or("max", Duration::from_secs(30), duration("1ms", "1h")),
            attempts: section.or("attempts", 8, number(1..=20)),
            too_fast: section.or("too_fast", Duration::from_secs(60), duration("1s", "1d")),
            parked: section.or("parked", Duration::from_secs(15 * 60), duration("1s", "30d")),
            stopped: section.or("stopped", Duration::from_secs(5 * 60), duration("1s", "1d")),
        };
        if retry.max < retry.initial {
            let remedy = "write one that is at least as long";
            section.problem("max", Mistake::new("is shorter than initial, which it bounds", remedy));
        }
        section.end();
        retry
    }
}
