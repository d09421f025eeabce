//! What a call of a client fails with.

use std::fmt;

use rdkafka::error::KafkaError;

use crate::commit::log::LogError;

/// A call has failed, or what it was made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ClientError {
    /// What can't be done for it.
    what: String,
    /// Boxed, for it is large and rare.
    #[source]
    cause: Box<KafkaCallError>,
}

impl ClientError {
    pub fn new(what: impl Into<String>, cause: impl Into<KafkaCallError>) -> ClientError {
        ClientError { what: what.into(), cause: Box::new(cause.into()) }
    }
}

impl From<ClientError> for LogError {
    fn from(error: ClientError) -> LogError {
        LogError::new(error)
    }
}

/// What librdkafka tells of a call that has failed: the end of the causes, since rdkafka shows those of its error with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaCallError {
    error: KafkaError,
    /// librdkafka's own words on why: the call's error may say no more than that it failed.
    words: Option<String>,
    /// Our guess at what to change, where librdkafka makes none.
    hint: Option<&'static str>,
}

impl From<KafkaError> for KafkaCallError {
    fn from(error: KafkaError) -> KafkaCallError {
        KafkaCallError { error, words: None, hint: None }
    }
}

impl KafkaCallError {
    /// With what librdkafka said last of what fails, if it said anything.
    pub fn explained(error: KafkaError, words: Option<String>) -> KafkaCallError {
        KafkaCallError { error, words, hint: None }
    }

    /// With the guess that `guess` makes at what is told.
    pub fn hinted(self, guess: impl FnOnce(&str) -> Option<&'static str>) -> KafkaCallError {
        KafkaCallError { hint: guess(&self.to_string()), ..self }
    }
}

impl fmt::Display for KafkaCallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        if let Some(words) = &self.words {
            write!(f, ": {words}")?;
        }
        f.write_str(self.hint.unwrap_or_default())
    }
}

impl std::error::Error for KafkaCallError {}
