//! How old a fact may be for its topic to take it and to keep it.

use super::feed::{Feed, PerEventTopic};
use super::time::UnixTime;

/// A bound on the age of the facts of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeLimit {
    pub seconds: i64,
    /// What sets it, for an operator: `topic promoter.touches has retention.ms=86400000`.
    pub set_by: String,
    /// What happens to an older fact, for an operator.
    pub consequence: String,
}

/// The bounds of the topics of events; several may be set for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgeLimits(pub PerEventTopic<Vec<AgeLimit>>);

impl AgeLimits {
    /// The bound that facts of `feed` would pass, if it began at `begin` now.
    pub fn passed(&self, feed: Feed, begin: UnixTime, now: UnixTime) -> Option<&AgeLimit> {
        let passed = |limit: &&AgeLimit| now.0.saturating_sub(begin.0) > limit.seconds;
        self.0[feed.topic()].iter().filter(passed).min_by_key(|limit| limit.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_may_begin_no_earlier_than_its_topic_reaches_back() {
        let limit = |seconds| AgeLimit { seconds, set_by: String::new(), consequence: String::new() };
        let limits = AgeLimits(PerEventTopic { touches: vec![limit(200), limit(100)], ..PerEventTopic::default() });
        let passed = |feed, begin| limits.passed(feed, UnixTime(begin), UnixTime(1000)).map(|limit| limit.seconds);
        assert_eq!(passed(Feed::Touches, 900), None);
        assert_eq!(passed(Feed::Touches, 899), Some(100));
        assert_eq!(passed(Feed::Touches, 0), Some(100));
        assert_eq!((passed(Feed::Orders, 0), passed(Feed::Refunds, 0)), (None, None));
    }
}
