//! The largest records that topics take, where a broker enforces less than it told.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Below this nothing is halved any more.
const LIMIT_MIN: usize = 1024;

/// What is believed of each topic. A broker that goes on refusing what it says it takes is believed less and less: the
/// limit is halved with each refusal, until the broker tells another one.
#[derive(Debug, Default)]
pub struct LearnedLimits(Mutex<HashMap<String, Belief>>);

#[derive(Debug)]
struct Belief {
    told: usize,
    limit: usize,
}

impl LearnedLimits {
    /// A record that should have fitted was refused.
    pub fn refused(&self, topic: &str) {
        let mut beliefs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(belief) = beliefs.get_mut(topic) {
            belief.limit = (belief.limit / 2).max(LIMIT_MIN.min(belief.told));
        }
    }

    /// What may be sent to `topic`, of which the broker tells now that it takes `told` bytes.
    pub fn limit(&self, topic: &str, told: usize) -> usize {
        let mut beliefs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let belief = beliefs.entry(topic.to_owned()).or_insert(Belief { told, limit: told });
        if belief.told != told {
            *belief = Belief { told, limit: told };
        }
        belief.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: usize = 1024 * 1024;

    #[test]
    fn a_limit_is_halved_only_while_the_broker_tells_the_same() {
        let limits = LearnedLimits::default();
        assert_eq!(limits.limit("a", MEBIBYTE), MEBIBYTE);
        limits.refused("a");
        assert_eq!((limits.limit("a", MEBIBYTE), limits.limit("b", MEBIBYTE)), (MEBIBYTE / 2, MEBIBYTE));
        // It had been lowered: what is told now is the truth.
        limits.refused("b");
        assert_eq!(limits.limit("b", 300_000), 300_000);
        assert_eq!(limits.limit("a", 2 * MEBIBYTE), 2 * MEBIBYTE);
    }

    #[test]
    fn a_limit_has_a_least() {
        let limits = LearnedLimits::default();
        for told in [MEBIBYTE, 300] {
            limits.limit("a", told);
            (0..20).for_each(|_| limits.refused("a"));
            assert_eq!(limits.limit("a", told), LIMIT_MIN.min(told));
        }
    }
}
