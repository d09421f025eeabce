//! How librdkafka's own words come into our log, bounded.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// The same error again within this time is not logged again.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// The context of clients that need nothing but a log.
#[derive(Default)]
pub struct LogContext {
    last_error: Mutex<Option<(String, Instant)>>,
}

impl LogContext {
    fn is_news(&self, text: &str) -> bool {
        let Ok(mut last) = self.last_error.lock() else { return true };
        let repeated = matches!(&*last, Some((said, at)) if said == text && at.elapsed() < REPEAT_AFTER);
        if !repeated {
            *last = Some((text.to_owned(), Instant::now()));
        }
        !repeated
    }

    /// A client's error. librdkafka recovers by itself from those that it reports this way; what a call returns
    /// is judged where it is called.
    pub fn error(&self, error: &KafkaError, reason: &str) {
        let text = error.to_string();
        if self.is_news(&text) {
            tracing::warn!(error = text, reason, "kafka client reports a problem");
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
