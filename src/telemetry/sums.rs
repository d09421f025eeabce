//! Sums that the log tells once in a while: what has come since they were last told.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::model::dead_letter::DeadLetter;

/// Turns counters that only grow into what has come since they were last looked at.
#[derive(Debug)]
pub struct CounterGrowth<const N: usize>(Mutex<[u64; N]>);

impl<const N: usize> Default for CounterGrowth<N> {
    fn default() -> CounterGrowth<N> {
        CounterGrowth(Mutex::new([0; N]))
    }
}

impl<const N: usize> CounterGrowth<N> {
    /// How much each of the counters, which now stand so, has grown since the last call.
    pub fn news(&self, counters: [u64; N]) -> [u64; N] {
        let last = std::mem::replace(&mut *self.0.lock(), counters);
        std::array::from_fn(|at| counters[at] - last[at])
    }
}

/// Dead letters that are durable and not yet told, by source and reason. Both are closed lists of words.
#[derive(Debug, Default)]
pub struct DeadLetterCounts {
    unreported: Mutex<DeadLetterSums>,
    /// Since the process began.
    all: Mutex<DeadLetterSums>,
}

/// By source and reason.
pub type DeadLetterSums = BTreeMap<(&'static str, &'static str), u64>;

impl DeadLetterCounts {
    /// Counts what has become durable, each with an event of its own at debug.
    pub fn count<'a>(&self, letters: impl IntoIterator<Item = &'a DeadLetter>) {
        for letter in letters {
            let DeadLetter { source, reason, detail, promoter, origin, .. } = letter;
            let promoter = promoter.as_ref().map(tracing::field::display);
            let offset = origin.as_ref().map(|origin| origin.offset);
            tracing::debug!(%source, reason, promoter, offset, detail, "dead letter");
            let kind = (source.name(), *reason);
            *self.unreported.lock().entry(kind).or_default() += 1;
            *self.all.lock().entry(kind).or_default() += 1;
        }
    }

    /// Says how many there were of each kind since the last call.
    pub fn tell(&self, pipeline: &'static str) {
        for ((source, reason), count) in self.take() {
            tracing::warn!(pipeline, source, reason, count, "dead letters");
        }
    }

    /// All since the process began.
    pub fn all(&self) -> DeadLetterSums {
        self.all.lock().clone()
    }

    fn take(&self) -> DeadLetterSums {
        std::mem::take(&mut *self.unreported.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::Feed;
    use crate::model::promoter::Promoter;
    use crate::model::time::UnixMillis;

    #[test]
    fn counters_are_told_as_what_has_come() {
        let reported = CounterGrowth::default();
        assert_eq!(reported.news([3, 0]), [3, 0]);
        assert_eq!(reported.news([3, 0]), [0, 0]);
        assert_eq!(reported.news([10, 1]), [7, 1]);
    }

    #[test]
    fn dead_letters_are_told_by_source_and_reason_and_once() {
        let letter = |feed, reason| {
            let promoter = Promoter::from_key("wx1/o1").unwrap();
            DeadLetter::of_row(feed, promoter, reason, String::new(), Box::default(), UnixMillis(0))
        };
        let letters = DeadLetterCounts::default();
        letters.count(&[letter(Feed::Orders, "a"), letter(Feed::Touches, "a"), letter(Feed::Orders, "b")]);
        letters.count(&[letter(Feed::Orders, "a")]);
        let reported = letters.take().into_iter().collect::<Vec<_>>();
        assert_eq!(reported, [(("orders", "a"), 2), (("orders", "b"), 1), (("touches", "a"), 1)]);
        assert!(letters.take().is_empty());
        assert_eq!(letters.all().values().sum::<u64>(), 4);
    }
}
