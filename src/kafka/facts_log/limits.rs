//! What the topics of the polls take.

use crate::kafka::client::settings::TopicNames;
use crate::kafka::client::topic_settings::RECORD_BYTES_DEFAULT;
use crate::model::feed::PerEventTopic;

/// The largest record that each topic takes (`max.message.bytes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    pub events: PerEventTopic<usize>,
    pub dead_letters: usize,
    pub state: usize,
}

impl SizeLimits {
    /// What a broker takes that was never told otherwise.
    pub const KAFKA_DEFAULT: usize = RECORD_BYTES_DEFAULT;

    pub fn smallest(&self) -> usize {
        let all = self.events.values().chain([&self.dead_letters, &self.state]);
        all.copied().min().unwrap_or(Self::KAFKA_DEFAULT)
    }

    /// Each with the name of its topic.
    pub fn by_topic<'a>(&'a mut self, names: &'a TopicNames) -> impl Iterator<Item = (&'a str, &'a mut usize)> {
        let names = names.events.values().chain([&names.dead_letters, &names.state]);
        let limits = self.events.values_mut().chain([&mut self.dead_letters, &mut self.state]);
        names.map(String::as_str).zip(limits)
    }
}
