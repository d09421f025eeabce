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

/// What one transaction writes. The committer bounds it, by records and by bytes.
///
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

/// How much a batch holds of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchSize {
    pub events: usize,
    pub dead_letters: usize,
    pub state: usize,
    pub weight: usize,
}

impl BatchSize {
    /// What of this is left behind `cut`.
    pub fn behind(self, cut: BatchSize) -> BatchSize {
        BatchSize {
            events: self.events - cut.events,
            dead_letters: self.dead_letters - cut.dead_letters,
            state: self.state - cut.state,
            weight: self.weight - cut.weight,
        }
    }
}

impl Batch {
    pub fn size(&self) -> BatchSize {
        let (events, dead_letters, state) = (self.events.len(), self.dead_letters.len(), self.state.len());
        BatchSize { events, dead_letters, state, weight: self.weight }
    }

    /// Keeps what it held when it was as large as `cut`, and gives the rest.
    pub fn split_off(&mut self, cut: BatchSize) -> Batch {
        let weight = self.weight - cut.weight;
        self.weight = cut.weight;
        Batch {
            events: self.events.split_off(cut.events),
            dead_letters: self.dead_letters.split_off(cut.dead_letters),
            state: self.state.split_off(cut.state),
            weight,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.records() == 0
    }

    pub fn records(&self) -> usize {
        self.events.len() + self.dead_letters.len() + self.state.len()
    }
}
