//! `[log]`: how much is logged, and in which form.

use super::reader::document::Value;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::{text, word};
use crate::telemetry::log::{Format, Level};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    pub level: Level,
    pub format: Format,
}

impl Log {
    pub fn read(mut section: Section) -> Log {
        let formats = [("auto", Format::Auto), ("text", Format::Text), ("json", Format::Json)];
        let log = Log {
            level: section.or("level", Level::default(), level),
            format: section.or("format", Format::default(), word(&formats)),
        };
        section.end();
        log
    }
}

fn level(value: &Value) -> Result<Level, Mistake> {
    let remedy = "write off, error, warn, info, debug or trace, or directives such as \"info,librdkafka=debug\"";
    text(value)?.parse().map_err(|_| Mistake::new("is no level", remedy))
}
