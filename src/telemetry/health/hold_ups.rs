//! Partitions of the registry that can't be read on now.

use parking_lot::Mutex;

use crate::model::time::UnixMillis;

/// Those of one instance: written by whoever follows the registry, read by whoever asks.
#[derive(Debug, Default)]
pub struct RegistryHoldUps(Mutex<Vec<HeldUpPartition>>);

/// A partition in which somebody has a transaction open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUpPartition {
    pub topic: String,
    pub partition: i32,
    /// From here on nothing acts before the transaction ends.
    pub offset: i64,
    /// When that was first seen.
    pub since: UnixMillis,
}

impl RegistryHoldUps {
    /// These are all of them from now on.
    pub fn set(&self, held_up: Vec<HeldUpPartition>) {
        *self.0.lock() = held_up;
    }

    /// By their numbers.
    pub fn all(&self) -> Vec<HeldUpPartition> {
        self.0.lock().clone()
    }
}
