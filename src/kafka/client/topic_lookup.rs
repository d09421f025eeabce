//! Looks at topics: whether they are there, with how many partitions, or what stands in the way.

use std::fmt::Display;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use super::context::{self, LogContext};
use super::settings::Settings;
use super::supplied::{ClientSetup, LoggedConsumer};

/// How many a topic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicCount {
    /// Numbered from 0 on.
    pub partitions: i32,
    /// Of the partition with the fewest.
    pub replicas: usize,
}

/// What was refused, in words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The whole question, with librdkafka's words on why.
    #[error("{0}")]
    Call(String),
    /// One topic, for want of rights.
    #[error("{0}")]
    NoRight(String),
    /// One topic, for another reason.
    #[error("{0}")]
    Topic(String),
}

/// The client that looks. All calls block.
pub struct TopicLookup<'a> {
    settings: &'a Settings,
    consumer: LoggedConsumer,
}

impl<'a> TopicLookup<'a> {
    pub fn open(settings: &'a Settings) -> KafkaResult<TopicLookup<'a>> {
        TopicLookup::with(settings, settings.plain_config())
    }

    /// The same with a client that reads afterwards.
    pub fn of_reader(settings: &'a Settings) -> KafkaResult<TopicLookup<'a>> {
        TopicLookup::with(settings, settings.reader_config())
    }

    /// A consumer, because its metadata requests create no topic.
    fn with(settings: &'a Settings, mut setup: ClientSetup) -> KafkaResult<TopicLookup<'a>> {
        // This client is never idle: a connection that is closed was refused, and librdkafka says what for.
        setup.set("log.connection.close", "true").set_log_level(RDKafkaLogLevel::Info);
        Ok(TopicLookup { settings, consumer: setup.create_with_context(LogContext::outside_groups())? })
    }

    pub fn consumer(&self) -> &LoggedConsumer {
        &self.consumer
    }

    pub fn into_consumer(self) -> LoggedConsumer {
        self.consumer
    }

    /// What there is of topic `name`, asked for `bound` at most. `rights` are those on it that are needed.
    pub fn count(&self, name: &str, rights: &str, bound: Duration) -> Result<Option<TopicCount>, LookupError> {
        let failed = |error| LookupError::Call(self.failed("no topic can be looked at", &error));
        let metadata = self.consumer.fetch_metadata(Some(name), bound).map_err(failed)?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
        match topic.error() {
            None if !topic.partitions().is_empty() => {
                let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
                let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
                Ok(Some(TopicCount { partitions, replicas }))
            }
            None => Ok(None),
            Some(error) if is_missing(error) => Ok(None),
            Some(error) => Err(refused(name, rights, error.into())),
        }
    }

    /// `what` has failed with `error`: with librdkafka's own words on the cause. For a client that reads nothing.
    pub fn failed(&self, what: &str, error: &KafkaError) -> String {
        let brokers = self.settings.bootstrap_servers();
        explained(&self.consumer, format!("{what} through bootstrap.servers \"{brokers}\": {error}"))
    }
}

fn explained(consumer: &LoggedConsumer, failed: impl Display) -> String {
    with_hint(context::explained(consumer, failed))
}

fn is_missing(error: RDKafkaRespErr) -> bool {
    matches!(
        error,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
    )
}

fn refused(topic: &str, rights: &str, error: RDKafkaErrorCode) -> LookupError {
    match error {
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            LookupError::NoRight(format!("topic {topic} may not be looked at; allow this user {rights} on it"))
        }
        error => LookupError::Topic(format!("topic {topic} can't be looked at: {error}")),
    }
}

/// What librdkafka says when the other side has hung up, by what it was doing at that moment.
const HUNG_UP: [&str; 3] = ["Disconnected", "Broken pipe", "Connection reset"];

/// A broker that hangs up on a new client says no word about why; librdkafka guesses in some of the cases.
fn with_hint(failed: String) -> String {
    let hung_up = HUNG_UP.iter().any(|words| failed.contains(words));
    if !hung_up || failed.contains("security.protocol") {
        return failed;
    }
    failed + "; is security.protocol what that listener wants?"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_without_its_right_is_told_with_the_right_and_any_other_error_in_its_words() {
        let words = "topic t may not be looked at; allow this user DESCRIBE and READ on it";
        let denied = refused("t", "DESCRIBE and READ", RDKafkaErrorCode::TopicAuthorizationFailed);
        assert_eq!(denied, LookupError::NoRight(words.into()));
        let LookupError::Topic(told) = refused("t", "DESCRIBE", RDKafkaErrorCode::InvalidTopic) else {
            panic!("no right")
        };
        assert!(told.starts_with("topic t can't be looked at: ") && !told.contains("allow"), "{told}");
    }

    #[test]
    fn a_hang_up_without_a_word_hints_at_the_protocol_and_any_other_words_stand() {
        let told = with_hint("no topic: Disconnected while requesting ApiVersion".into());
        assert!(told.ends_with("is security.protocol what that listener wants?"), "{told}");
        for words in ["Connection refused", "Disconnected: verify that security.protocol is correct"] {
            assert_eq!(with_hint(words.into()), words);
        }
    }
}
