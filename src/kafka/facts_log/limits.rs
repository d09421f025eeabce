//! What the topics of the polls take.

use crate::kafka::client::settings::TopicNames;
use crate::model::feed::PerEventTopic;

/// The largest record that each topic takes (`max.message.bytes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    pub events: PerEventTopic<usize>,
    pub dead_letters: usize,
    pub state: usize,
}

impl SizeLimits {
    pub(crate) fn smallest(&self) -> usize {
        self.events.values().copied().fold(self.dead_letters.min(self.state), usize::min)
    }

    /// Each with the name of its topic.
    pub(crate) fn by_topic<'a>(&'a mut self, names: &'a TopicNames) -> impl Iterator<Item = (&'a str, &'a mut usize)> {
        let names = names.events.values().chain([&names.dead_letters, &names.state]);
        let limits = self.events.values_mut().chain([&mut self.dead_letters, &mut self.state]);
        names.map(String::as_str).zip(limits)
    }
}
