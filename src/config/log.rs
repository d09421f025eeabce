//! `[log]`: how much is logged, and in which form.

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::{text, word};
use crate::telemetry::log::{LogFilter, LogFormat, LogSettings};

pub fn read(mut section: Section) -> LogSettings {
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let log = LogSettings {
        level: section.or("level", LogFilter::default(), level),
        format: section.or("format", LogFormat::default(), word(&formats)),
    };
    section.end();
    log
}

fn level(value: &TomlValue) -> Result<LogFilter, Mistake> {
    let remedy = "write off, error, warn, info, debug or trace, or directives such as \"info,librdkafka=debug\"";
    text(value)?.parse().map_err(|_| Mistake::new("is no level", remedy))
}
