//! Rights that are missing: what will never work ends the process, in words that an operator can act on.
//!
//! A broker may know of a grant some seconds after it was made, so a topic that takes nothing now is tried for a while,
//! unless it is so at the first opening.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// How long a topic may go on refusing this user's records.
const PATIENCE: Duration = Duration::from_secs(45);
/// What librdkafka's words on a topic that may not be added to a transaction begin with, up to its name.
const NOT_ADDED: &str = "Failed to add partition \"";

/// Since when each topic refuses this user's records, without having taken any since.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<String, Instant>>);

impl Refusals {
    /// The topic has refused a record at `now`. True once it has done so for longer than [`PATIENCE`].
    pub fn refused(&self, topic: &str, now: Instant) -> bool {
        let mut since = self.0.lock();
        now.duration_since(*since.entry(topic.to_owned()).or_insert(now)) >= PATIENCE
    }

    /// The topics have taken records.
    pub fn taken(&self, topics: &BTreeSet<String>) {
        self.0.lock().retain(|topic, _| !topics.contains(topic));
    }
}

/// Whether the user has no right to the topic.
pub fn may_not(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
}

pub fn may_not_read(topic: &str) -> String {
    format!("topic {topic} may not be read; allow this user to READ it")
}

/// The topic may not be known; why it may not be written is told with it.
pub fn may_not_write(topic: Option<&str>) -> String {
    match topic {
        Some(topic) => format!("topic {topic} may not be written; allow this user to WRITE it"),
        None => "a topic may not be written; allow this user to WRITE it".to_owned(),
    }
}

/// The topic that librdkafka's words name.
pub fn named(reason: &str) -> Option<&str> {
    let (_, named) = reason.split_once(NOT_ADDED)?;
    named.split_once('"').map(|(topic, _)| topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_takes_nothing_for_a_while_never_will() {
        let (refusals, began) = (Refusals::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(!refusals.refused("a", at(0)) && !refusals.refused("a", at(44)) && !refusals.refused("b", at(44)));
        assert!(refusals.refused("a", at(45)), "others take records, or are refused, meanwhile");
        refusals.taken(&["b".to_owned()].into());
        assert!(refusals.refused("a", at(50)) && !refusals.refused("b", at(100)));
        refusals.taken(&["a".to_owned(), "b".to_owned()].into());
        assert!(!refusals.refused("a", at(1000)));
    }

    #[test]
    fn the_topic_is_taken_from_librdkafkas_words() {
        let words = "adding topics: x: Failed to add partition \"my.touches\" [3] to transaction: Broker: no";
        assert_eq!(named(words), Some("my.touches"));
        assert_eq!(named("adding topics: x"), None);
    }
}
