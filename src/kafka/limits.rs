//! The largest records that topics take, where a broker enforces less than it told.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::records::Limits;

/// A broker that refuses what it said it takes is believed: the topic's limit is halved with each refusal.
#[derive(Debug, Default)]
pub struct LearnedLimits(Mutex<HashMap<String, usize>>);

impl LearnedLimits {
    pub fn learn(&self, topic: String) {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = learned.entry(topic).or_insert(2 * Limits::KAFKA_DEFAULT);
        *limit /= 2;
    }

    /// The smaller of `limit`, which the broker told, and what was learned.
    pub fn apply(&self, topic: &str, limit: usize) -> usize {
        let learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        learned.get(topic).map_or(limit, |learned| limit.min(*learned))
    }
}
