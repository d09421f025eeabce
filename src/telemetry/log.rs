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
use url::Url;

use super::event_counts::EventCounter;
use super::lines::LogQueue;

/// What waits for the log's reader: several thousand lines.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// How long the end of the process waits for the log's reader.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The way to stderr, once logging has been started.
static LINES: OnceLock<LogQueue> = OnceLock::new();

/// How much is logged, and in which form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSettings {
    pub level: LogFilter,
    pub format: LogFormat,
    /// The collector that `run` sends [`traces`](super::traces) to.
    pub otlp: Option<Url>,
}

/// What is logged: a level, or directives for parts of the program such as `info,librdkafka=debug`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter(Targets);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither a level nor a list of directives")]
pub struct InvalidLogFilter;

impl Default for LogFilter {
    fn default() -> LogFilter {
        LogFilter(Targets::new().with_default(LevelFilter::INFO))
    }
}

impl FromStr for LogFilter {
    type Err = InvalidLogFilter;

    fn from_str(text: &str) -> Result<LogFilter, InvalidLogFilter> {
        // To the filter a lone word is a part of the program, logged in full: a misspelt level would be one too.
        let misspelt = |directive: &str| {
            let directive = directive.trim();
            directive.is_empty() || (!directive.contains('=') && directive.parse::<LevelFilter>().is_err())
        };
        if text.split(',').any(misspelt) {
            return Err(InvalidLogFilter);
        }
        text.parse().map(LogFilter).map_err(|_| InvalidLogFilter)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    Text,
    Json,
}

impl LogFormat {
    fn is_json(self, terminal: bool) -> bool {
        match self {
            LogFormat::Auto => !terminal,
            LogFormat::Text => false,
            LogFormat::Json => true,
        }
    }
}

/// Sets logging up for the whole process.
///
/// # Errors
/// Where that has been done before, or stderr or a thread can't be had.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let terminal = io::stderr().is_terminal();
    let LogFilter(targets) = settings.level.clone();
    // What the formatter could not write it would print, and nothing else may wait for stderr.
    let builder =
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).log_internal_errors(false).with_writer(lines()?);
    let started = if settings.format.is_json(terminal) {
        builder.json().flatten_event(true).with_current_span(false).finish().with(EventCounter).with(targets).try_init()
    } else if terminal {
        // The default colours respect NO_COLOR.
        builder.finish().with(EventCounter).with(targets).try_init()
    } else {
        builder.with_ansi(false).finish().with(EventCounter).with(targets).try_init()
    };
    started.context("logging can't be started")
}

/// Whether there is a log to write to.
pub(crate) fn is_started() -> bool {
    LINES.get().is_some()
}

/// How many lines were dropped since the process began.
pub fn dropped() -> u64 {
    LINES.get().map_or(0, LogQueue::dropped_in_all)
}

/// Gives the log's reader a moment to take what waits for it.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(FLUSH_MAX);
    }
}

/// Standard error by a descriptor of its own: the standard library's handle is locked while a write is blocked, and whoever
/// else prints there would wait for that lock.
///
/// # Errors
/// Where that descriptor, or a thread that writes to it, can't be had.
fn lines() -> anyhow::Result<&'static LogQueue> {
    let stderr = io::stderr().as_fd().try_clone_to_owned().context("standard error can't be written to")?;
    let say = |lines| tracing::warn!(lines, "log lines were dropped");
    let started =
        LogQueue::start(File::from(stderr), QUEUE_BYTES_MAX, say).context("there is no thread for the log")?;
    Ok(LINES.get_or_init(|| started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_accepted() {
        for text in ["info", "WARN", "off", "info,librdkafka=debug", "warn,promoter_connector::poll=trace"] {
            assert!(text.parse::<LogFilter>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        for text in ["", "inof", "info,", "info,librdkafka=loud", "librdkafka"] {
            assert_eq!(text.parse::<LogFilter>(), Err(InvalidLogFilter), "{text}");
        }
    }

    #[test]
    fn the_form_follows_the_terminal_unless_it_is_given() {
        assert!(!LogFormat::Auto.is_json(true) && LogFormat::Auto.is_json(false));
        assert!(LogFormat::Json.is_json(true) && !LogFormat::Text.is_json(false));
    }
}
