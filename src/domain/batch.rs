//! Events, dead letters and state records that become durable together or not at all.

use super::dead_letter::DeadLetter;
use super::fact::Fact;
use super::promoter::Promoter;
use super::state_record::StateRecord;
use super::time::UnixMillis;

/// A fact on its way to its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub promoter: Promoter,
    pub fact: Fact,
    /// When the page that showed it was read.
    pub observed_at: UnixMillis,
}

/// The offsets that a Kafka transaction also carries are not listed here: they say which generation of the group
/// writes, not what it writes, so the log adds them itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub events: Vec<Event>,
    pub dead_letters: Vec<DeadLetter>,
    pub state: Vec<StateRecord>,
    /// About how many bytes of memory it holds.
    pub weight: usize,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.records() == 0
    }

    pub fn records(&self) -> usize {
        self.events.len() + self.dead_letters.len() + self.state.len()
    }
}
