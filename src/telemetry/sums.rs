//! Sums that the log tells once in a while: what has come since they were last told.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::model::dead_letter::{DeadLetter, Origin};
use crate::model::promoter::Promoter;

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
    unreported: Mutex<BTreeMap<LetterKind, UnreportedLetters>>,
    /// Since the process began.
    all: Mutex<DeadLetterSums>,
}

/// A source and a reason.
type LetterKind = (&'static str, &'static str);

/// By source and reason.
pub type DeadLetterSums = BTreeMap<LetterKind, u64>;

/// Dead letters of one kind: how many, and where the first of them came from.
#[derive(Debug, Default)]
struct UnreportedLetters {
    count: u64,
    promoter: Option<Promoter>,
    origin: Option<Origin>,
}

impl DeadLetterCounts {
    /// Counts what has become durable, each with an event of its own at debug.
    pub fn count<'a>(&self, letters: impl IntoIterator<Item = &'a DeadLetter>) {
        for letter in letters {
            let DeadLetter { source, reason, detail, promoter, origin, .. } = letter;
            let promoter = promoter.as_ref().map(tracing::field::display);
            let offset = origin.as_ref().map(|origin| origin.offset);
            tracing::debug!(%source, reason, promoter, offset, detail, "dead letter");
            let kind = (source.name(), *reason);
            self.unreported.lock().entry(kind).or_insert_with(|| UnreportedLetters::begin(letter)).count += 1;
            *self.all.lock().entry(kind).or_default() += 1;
        }
    }

    /// Says how many there were of each kind since the last call, and of the first of them whose row it was or which record.
    pub fn tell(&self, pipeline: &'static str) {
        let unreported = std::mem::take(&mut *self.unreported.lock());
        for ((source, reason), UnreportedLetters { count, promoter, origin }) in unreported {
            let first_promoter = promoter.as_ref().map(tracing::field::display);
            let first_topic = origin.as_ref().map(|origin| origin.topic.as_str());
            let first_partition = origin.as_ref().map(|origin| origin.partition);
            let first_offset = origin.as_ref().map(|origin| origin.offset);
            tracing::warn!(
                pipeline,
                source,
                reason,
                count,
                first_promoter,
                first_topic,
                first_partition,
                first_offset,
                "dead letters"
            );
        }
    }

    /// All since the process began.
    pub fn all(&self) -> DeadLetterSums {
        self.all.lock().clone()
    }
}

impl UnreportedLetters {
    /// None yet, of whom this will be the first.
    fn begin(DeadLetter { promoter, origin, .. }: &DeadLetter) -> UnreportedLetters {
        UnreportedLetters { count: 0, promoter: promoter.clone(), origin: origin.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::model::feed::Feed;
    use crate::model::time::UnixMillis;
    use crate::telemetry::captured::Captured;

    #[test]
    fn counters_are_told_as_what_has_come() {
        let reported = CounterGrowth::default();
        assert_eq!(reported.news([3, 0]), [3, 0]);
        assert_eq!(reported.news([3, 0]), [0, 0]);
        assert_eq!(reported.news([10, 1]), [7, 1]);
    }

    #[test]
    fn dead_letters_are_told_by_source_and_reason_and_once() {
        let captured = Captured::start();
        let letter = |key, feed, reason| {
            let promoter = Promoter::from_key(key).unwrap();
            DeadLetter::of_row(feed, promoter, reason, String::new(), Box::default(), UnixMillis(0))
        };
        let origin = Origin { topic: "promoter.registry".to_owned(), partition: 3, offset: 7 };
        let record = DeadLetter::of_registration(origin, None, "b", String::new(), Box::default(), UnixMillis(0));
        let letters = DeadLetterCounts::default();
        letters.count(&[letter("wx1/o1", Feed::Orders, "a"), letter("wx1/o2", Feed::Touches, "a"), record]);
        letters.count(&[letter("wx1/o3", Feed::Orders, "a")]);
        letters.tell("polls");
        letters.tell("polls");
        let told = captured.events("dead letters");
        let told: Vec<_> = told.iter().map(|one| (&one["source"], &one["count"], &one["first_promoter"])).collect();
        let [orders, registry, touches] = &told[..] else { panic!("each once: {told:?}") };
        assert_eq!(*orders, (&"orders".into(), &2.into(), &"wx1/o1".into()));
        assert_eq!(*touches, (&"touches".into(), &1.into(), &"wx1/o2".into()));
        assert_eq!((registry.0, registry.2), (&"registry".into(), &Value::Null));
        let record = &captured.events("dead letters")[1];
        assert_eq!(record["first_topic"], "promoter.registry");
        assert_eq!((&record["first_partition"], &record["first_offset"]), (&3.into(), &7.into()));
        assert_eq!(letters.all().values().sum::<u64>(), 4);
    }
}
