//! Looks at topics: whether they are there, with how many partitions, or what stands in the way.

use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::kafka::client::context::{self, LogContext};
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::{ClientSetup, LoggedConsumer};

/// How many a topic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicCount {
    /// Numbered from 0 on.
    pub partitions: i32,
    /// Of the partition with the fewest.
    pub replicas: usize,
}

/// What was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The whole call, with librdkafka's words on why.
    #[error(transparent)]
    Call(ClientError),
    /// One topic, for want of `rights`.
    #[error("topic {topic} may not be looked at; allow this user {rights} on it")]
    NoRight { topic: String, rights: String },
    /// One topic, for another reason.
    #[error("topic {topic} can't be looked at")]
    Topic {
        topic: String,
        #[source]
        code: RDKafkaErrorCode,
    },
}

/// The client that looks. All calls block.
pub struct TopicLookup<'a> {
    settings: &'a Settings,
    consumer: LoggedConsumer,
}

impl<'a> TopicLookup<'a> {
    /// # Errors
    /// Where librdkafka makes no client of the settings.
    pub fn open(settings: &'a Settings) -> KafkaResult<TopicLookup<'a>> {
        TopicLookup::with(settings, settings.plain_config())
    }

    /// The same with a client that reads afterwards.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_reader(settings: &'a Settings) -> KafkaResult<TopicLookup<'a>> {
        TopicLookup::with(settings, settings.reader_config())
    }

    /// A consumer, because its metadata requests create no topic.
    ///
    /// # Errors
    /// Where librdkafka makes no client of the settings.
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
    ///
    /// # Errors
    /// [`LookupError`], by whether the brokers can't be asked at all, or refuse this topic. That there is none is no
    /// error.
    pub fn count(&self, name: &str, rights: &str, bound: Duration) -> Result<Option<TopicCount>, LookupError> {
        let failed = |error| LookupError::Call(self.failed("no topic can be looked at", error));
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

    /// The ids of the brokers, asked for `bound` at most. `topic` is asked about beside, for whoever asks about none asks about
    /// all there are.
    ///
    /// # Errors
    /// [`LookupError::Call`].
    pub fn brokers(&self, topic: &str, bound: Duration) -> Result<Vec<i32>, LookupError> {
        let failed = |error| LookupError::Call(self.failed("no broker answers", error));
        let metadata = self.consumer.fetch_metadata(Some(topic), bound).map_err(failed)?;
        Ok(metadata.brokers().iter().map(|broker| broker.id()).collect())
    }

    /// `what` has failed with `error`: with librdkafka's own words on the cause. For a client that reads nothing.
    pub fn failed(&self, what: &str, error: KafkaError) -> ClientError {
        let what = format!("{what} through bootstrap.servers \"{}\"", self.settings.bootstrap_servers());
        ClientError::new(what, context::explained(&self.consumer, error).hinted(hint))
    }
}

fn is_missing(error: RDKafkaRespErr) -> bool {
    matches!(
        error,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
    )
}

/// Whether a reading has met with `error` because its topic is not there.
pub fn is_missing_in(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}

fn refused(topic: &str, rights: &str, error: RDKafkaErrorCode) -> LookupError {
    match error {
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            LookupError::NoRight { topic: topic.to_owned(), rights: rights.to_owned() }
        }
        code => LookupError::Topic { topic: topic.to_owned(), code },
    }
}

/// What librdkafka says when the other side has hung up, by what it was doing at that moment.
const HUNG_UP: [&str; 3] = ["Disconnected", "Broken pipe", "Connection reset"];

/// A broker that hangs up on a new client says no word about why; librdkafka guesses in some of the cases.
fn hint(told: &str) -> Option<&'static str> {
    let hung_up = HUNG_UP.iter().any(|words| told.contains(words));
    (hung_up && !told.contains("security.protocol")).then_some("; is security.protocol what that listener wants?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::error::KafkaCallError;
    use crate::text;

    #[test]
    fn a_topic_without_its_right_is_told_with_the_right_and_any_other_error_in_its_words() {
        let words = "topic t may not be looked at; allow this user DESCRIBE and READ on it";
        let denied = refused("t", "DESCRIBE and READ", RDKafkaErrorCode::TopicAuthorizationFailed);
        assert_eq!(denied.to_string(), words);
        let told = text::with_causes(&refused("t", "DESCRIBE", RDKafkaErrorCode::InvalidTopic));
        assert!(told.starts_with("topic t can't be looked at: ") && !told.contains("allow"), "{told}");
    }

    #[test]
    fn a_hang_up_without_a_word_hints_at_the_protocol_and_any_other_words_stand() {
        let told = |words: &str| {
            let late = KafkaError::Global(RDKafkaErrorCode::OperationTimedOut);
            KafkaCallError::explained(late, Some(words.to_owned())).hinted(hint).to_string()
        };
        let hung_up = told("Disconnected while requesting ApiVersion");
        assert!(hung_up.ends_with("ApiVersion; is security.protocol what that listener wants?"), "{hung_up}");
        for words in ["Connection refused", "Disconnected: verify that security.protocol is correct"] {
            assert!(told(words).ends_with(words), "{words}");
        }
    }
}
