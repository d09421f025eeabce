//! How librdkafka's own words come into our log and into our errors, bounded.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::error::KafkaCallError;

/// An error of the same kind within this time is not logged again.
const REPEAT_AFTER: Duration = Duration::from_secs(30);
/// What librdkafka said longer ago than this is not the cause of what fails now.
const CAUSE_MAX: Duration = Duration::from_secs(60);
/// The facilities of librdkafka's log that tell causes.
const CAUSES: [&str; 2] = ["FAIL", "ADDPARTS"];
/// What is said of the partitions that were asked for together with one that is refused: no cause, but what follows.
const NOT_ATTEMPTED: &str = "Operation not attempted";
/// Of librdkafka's words, in characters.
const CAUSE_CHARACTERS_MAX: usize = 400;
/// How long a client is listened to for its next word, and in all.
const POLL_WAIT: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_secs(1);

/// The context of clients that need nothing but a log.
#[derive(Default)]
pub struct LogContext {
    /// When each kind of error was logged last. Kinds are few: they are librdkafka's codes.
    logged: Mutex<HashMap<Option<i32>, Instant>>,
    cause: Mutex<Option<(Instant, String)>>,
    is_outside_groups: bool,
}

impl LogContext {
    /// Of a client that shares nothing with a group. librdkafka looks for the coordinator of any group that its settings
    /// name: that this may not be done is no matter.
    pub fn outside_groups() -> LogContext {
        LogContext { is_outside_groups: true, ..LogContext::default() }
    }

    fn is_news(&self, kind: Option<RDKafkaErrorCode>) -> bool {
        let kind = kind.map(|code| code as i32);
        let mut logged = self.logged.lock();
        let repeated = logged.get(&kind).is_some_and(|at| at.elapsed() < REPEAT_AFTER);
        if !repeated {
            logged.insert(kind, Instant::now());
        }
        !repeated
    }

    /// A client's error. librdkafka recovers by itself from those that it reports this way; what a call returns
    /// is classified where it is called.
    pub fn error(&self, error: &KafkaError, reason: &str) {
        let kind = error.rdkafka_error_code();
        // A reading that has come to an end; librdkafka tells it in either form.
        if matches!(error, KafkaError::PartitionEOF(_)) || kind == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        if self.is_outside_groups && kind == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            return;
        }
        // That all brokers are down only follows from why each of them is.
        if kind != Some(RDKafkaErrorCode::AllBrokersDown) && !reason.is_empty() {
            self.note(reason);
        }
        if self.is_news(kind) {
            tracing::warn!(error = reason, code = %error, "kafka client reports a problem");
        }
    }

    /// librdkafka's own words on what fails: a call that fails in consequence tells no more than that it did.
    fn note(&self, words: &str) {
        let words: String = words.chars().take(CAUSE_CHARACTERS_MAX).collect();
        *self.cause.lock() = Some((Instant::now(), words));
    }

    /// A line of librdkafka's log. Some of them say alone why a connection ended, or which topic a transaction may not
    /// write.
    pub fn note_log(&self, facility: &str, message: &str) {
        if CAUSES.contains(&facility) && !message.ends_with(NOT_ATTEMPTED) {
            self.note(message.rsplit_once("]: ").map_or(message, |(_, words)| words));
        }
    }

    /// What librdkafka said last of what fails, unless that is too long ago to be the cause.
    fn cause(&self) -> Option<String> {
        let cause = self.cause.lock();
        cause.as_ref().filter(|(at, _)| at.elapsed() < CAUSE_MAX).map(|(_, words)| words.clone())
    }

    /// A call's `error`, with librdkafka's last words behind it.
    pub fn explained(&self, error: KafkaError) -> KafkaCallError {
        KafkaCallError::explained(error, self.cause())
    }
}

/// `error` of a client's call, with librdkafka's last words, which a consumer hears only when it is polled. For a client
/// that reads nothing.
pub fn explained(consumer: &BaseConsumer<LogContext>, error: KafkaError) -> KafkaCallError {
    let began = Instant::now();
    while consumer.poll(POLL_WAIT).is_some() && began.elapsed() < POLL_MAX {}
    consumer.context().explained(error)
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
        self.note_log(facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        LogContext::error(self, &error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for LogContext {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_outlives_what_only_follows_from_it() {
        let context = LogContext::default();
        assert_eq!(context.cause(), None);
        context.error(&KafkaError::Global(RDKafkaErrorCode::Authentication), "wrong password");
        context.error(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        context.error(&KafkaError::PartitionEOF(0), "end");
        context.error(&KafkaError::Global(RDKafkaErrorCode::PartitionEOF), "end");
        assert_eq!(context.cause().as_deref(), Some("wrong password"));
        let not_added =
            |topic, why| format!("[thrd:x]: Failed to add partition \"{topic}\" [0] to transaction: Broker: {why}");
        for (topic, why) in [("a", NOT_ATTEMPTED), ("touches", "Topic authorization failed"), ("state", NOT_ATTEMPTED)]
        {
            context.note_log("ADDPARTS", &not_added(topic, why));
        }
        assert!(context.cause().is_some_and(|words| words.contains("\"touches\"")), "and not a bystander");
        context.note(&"x".repeat(2 * CAUSE_CHARACTERS_MAX));
        assert_eq!(context.cause().map(|words| words.len()), Some(CAUSE_CHARACTERS_MAX));
    }

    #[test]
    fn a_calls_error_is_told_with_its_cause() {
        let late = || KafkaError::Global(RDKafkaErrorCode::OperationTimedOut);
        let context = LogContext::default();
        let alone = context.explained(late()).to_string();
        context.note("wrong password");
        assert_eq!(context.explained(late()).to_string(), format!("{alone}: wrong password"));
    }

    #[test]
    fn only_who_is_in_a_group_misses_the_right_to_it() {
        let refused = KafkaError::Global(RDKafkaErrorCode::GroupAuthorizationFailed);
        for (context, told) in [(LogContext::outside_groups(), None), (LogContext::default(), Some("no right"))] {
            context.error(&refused, "no right");
            assert_eq!(context.cause().as_deref(), told);
        }
    }
}
