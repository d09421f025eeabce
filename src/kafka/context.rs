//! How librdkafka's own words come into our log, bounded.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// An error of the same kind within this time is not logged again.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// The context of clients that need nothing but a log.
#[derive(Default)]
pub struct LogContext {
    /// When each kind of error was logged last. Kinds are few: they are librdkafka's codes.
    logged: Mutex<HashMap<Option<i32>, Instant>>,
}

impl LogContext {
    fn is_news(&self, kind: Option<RDKafkaErrorCode>) -> bool {
        let kind = kind.map(|code| code as i32);
        let Ok(mut logged) = self.logged.lock() else { return true };
        let repeated = logged.get(&kind).is_some_and(|at| at.elapsed() < REPEAT_AFTER);
        if !repeated {
            logged.insert(kind, Instant::now());
        }
        !repeated
    }

    /// A client's error. librdkafka recovers by itself from those that it reports this way; what a call returns
    /// is judged where it is called.
    pub fn error(&self, error: &KafkaError, reason: &str) {
        let kind = error.rdkafka_error_code();
        if kind != Some(RDKafkaErrorCode::PartitionEOF) && self.is_news(kind) {
            tracing::warn!(%error, reason, "kafka client reports a problem");
        }
    }
}

/// librdkafka says at level "error" what it goes on to repair itself.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, message);
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::debug!(target: "librdkafka", facility, message),
        _ => tracing::trace!(target: "librdkafka", facility, message),
    }
}

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        LogContext::error(self, &error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for LogContext {}
