//! What the topics of the polls take.

use crate::kafka::client::settings::TopicNames;
use crate::kafka::client::topic_settings::RECORD_BYTES_DEFAULT;
use crate::kafka::transaction::limits::OldestAccepted;

/// The largest record that each topic takes (`max.message.bytes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    pub touches: usize,
    pub orders: usize,
    pub dead_letters: usize,
    pub state: usize,
}

impl SizeLimits {
    /// What a broker takes that was never told otherwise.
    pub const KAFKA_DEFAULT: usize = RECORD_BYTES_DEFAULT;

    pub fn smallest(&self) -> usize {
        self.touches.min(self.orders).min(self.dead_letters).min(self.state)
    }

    /// Each with the name of its topic.
    pub fn by_topic<'a>(&'a mut self, names: &'a TopicNames) -> [(&'a str, &'a mut usize); 4] {
        [
            (&names.touches, &mut self.touches),
            (&names.orders, &mut self.orders),
            (&names.dead_letters, &mut self.dead_letters),
            (&names.state, &mut self.state),
        ]
    }
}

/// Of the topics of events, whose records carry the times of facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldestEvents {
    pub touches: OldestAccepted,
    pub orders: OldestAccepted,
}
