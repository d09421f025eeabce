//! Who hears at once which partitions are this process's.

use std::sync::Arc;

use crate::model::shard::OwnedShards;
use crate::telemetry::health::PipelineHealth;

/// Told in librdkafka's callbacks, before the group is answered: so it must not block. What is taken away is told before anybody
/// else can be given it, and what comes once it is nobody else's.
pub type OwnershipObserver = Arc<dyn Fn(&OwnedShards) + Send + Sync>;

/// Who hears of a log on Kafka.
pub struct LogObservers {
    /// What the log calls the pipeline.
    pub pipeline: &'static str,
    pub health: Arc<PipelineHealth>,
    pub ownership: OwnershipObserver,
}

/// Tells one observer, each time that something has changed.
pub(super) struct ObservedOwnership {
    observer: OwnershipObserver,
    reported: OwnedShards,
}

impl ObservedOwnership {
    /// Nothing is owned, and nothing told yet.
    pub fn new(observer: OwnershipObserver) -> ObservedOwnership {
        ObservedOwnership { observer, reported: OwnedShards::default() }
    }

    /// By this generation of the group; 0 where it is none any more.
    pub fn own(&mut self, owned: impl Iterator<Item = i32>, generation: i32) {
        self.change(OwnedShards { owned: owned.collect(), generation, ..self.reported });
    }

    /// So many partitions there are.
    pub fn count(&mut self, in_all: usize) {
        self.change(OwnedShards { in_all, ..self.reported.clone() });
    }

    pub fn counted(&self) -> usize {
        self.reported.in_all
    }

    fn change(&mut self, owned: OwnedShards) {
        if owned != self.reported {
            self.reported = owned;
            (self.observer)(&self.reported);
        }
    }
}
