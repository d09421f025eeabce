//! Logs go to stderr, so that stdout is left to reports and data.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::lines::Lines;

/// What waits for the log's reader: several thousand lines.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// How long the end of the process waits for the log's reader.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The way to stderr, once logging has been started.
static LINES: OnceLock<Lines> = OnceLock::new();

/// What is logged: a level, or directives for parts of the program such as `info,librdkafka=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither a level nor a list of directives")]
pub struct InvalidLevel;

impl Default for Level {
    fn default() -> Level {
        Level("info".to_owned())
    }
}

impl FromStr for Level {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Level, InvalidLevel> {
        // To the filter a lone word is a part of the program, logged in full: a misspelt level would be one too.
        let misspelt = |directive: &str| {
            let directive = directive.trim();
            directive.is_empty() || (!directive.contains('=') && directive.parse::<LevelFilter>().is_err())
        };
        if text.split(',').any(misspelt) || text.parse::<Targets>().is_err() {
            return Err(InvalidLevel);
        }
        Ok(Level(text.to_owned()))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    Text,
    Json,
}

impl Format {
    fn is_json(self, terminal: bool) -> bool {
        match self {
            Format::Auto => !terminal,
            Format::Text => false,
            Format::Json => true,
        }
    }
}

/// Sets logging up for the whole process; an error where that has been done before.
pub fn start(level: &Level, format: Format) -> anyhow::Result<()> {
    let terminal = io::stderr().is_terminal();
    let targets: Targets = level.0.parse().expect("a Level has been read as a filter before");
    // What the formatter could not write it would print, and nothing else may wait for stderr.
    let builder =
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).log_internal_errors(false).with_writer(lines()?);
    let started = if format.is_json(terminal) {
        builder.json().flatten_event(true).with_current_span(false).finish().with(targets).try_init()
    } else if terminal {
        // The default colours respect NO_COLOR.
        builder.finish().with(targets).try_init()
    } else {
        builder.with_ansi(false).finish().with(targets).try_init()
    };
    started.context("logging can't be started")
}

/// Whether there is a log to write to.
pub fn is_started() -> bool {
    LINES.get().is_some()
}

/// Gives the log's reader a moment to take what waits for it.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(FLUSH_MAX);
    }
}

/// Standard error by a descriptor of its own: the standard library's handle is locked while a write is blocked, and whoever
/// else prints there would wait for that lock.
fn lines() -> anyhow::Result<&'static Lines> {
    let stderr = io::stderr().as_fd().try_clone_to_owned().context("standard error can't be written to")?;
    let say = |lines| tracing::warn!(lines, "log lines were dropped");
    let started = Lines::start(File::from(stderr), QUEUE_BYTES_MAX, say).context("there is no thread for the log")?;
    Ok(LINES.get_or_init(|| started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_accepted() {
        for text in ["info", "WARN", "off", "info,librdkafka=debug", "warn,promoter_connector::poll=trace"] {
            assert!(text.parse::<Level>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        for text in ["", "inof", "info,", "info,librdkafka=loud", "librdkafka"] {
            assert_eq!(text.parse::<Level>(), Err(InvalidLevel), "{text}");
        }
    }

    #[test]
    fn the_form_follows_the_terminal_unless_it_is_given() {
        assert!(!Format::Auto.is_json(true) && Format::Auto.is_json(false));
        assert!(Format::Json.is_json(true) && !Format::Text.is_json(false));
    }
}
