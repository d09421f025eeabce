//! What the upstream showed against what a consumer read, as exact multisets: the one judge of the demo and of the tests.
//!
//! It knows nothing of facts: both sides come as keys, which [`crate::simulator::fact_key`] makes.

use std::collections::BTreeMap;
use std::fmt;

/// How many facts a verdict names of each kind of fault.
const NAMED_MAX: usize = 5;

/// How often each fact was shown and published.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<String, Times>);

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    shown: usize,
    published: usize,
}

impl Ledger {
    pub fn show(&mut self, key: String) {
        self.0.entry(key).or_default().shown += 1;
    }

    pub fn publish(&mut self, key: String) {
        self.0.entry(key).or_default().published += 1;
    }

    /// Takes back one publication too many of a fact that may be published once or not at all. To be called for each
    /// such fact once, after everything was entered.
    pub fn allow(&mut self, key: &str) {
        if let Some(times) = self.0.get_mut(key).filter(|times| times.published > times.shown) {
            times.published -= 1;
        }
    }

    pub fn verdict(self) -> LedgerVerdict {
        let mut verdict = LedgerVerdict::default();
        for (key, Times { shown, published }) in self.0 {
            verdict.shown += shown;
            verdict.published += published;
            verdict.missing.extend((published..shown).map(|_| key.clone()));
            let too_many = if shown == 0 { &mut verdict.never_shown } else { &mut verdict.twice };
            too_many.extend((shown..published).map(|_| key.clone()));
        }
        verdict
    }
}

/// How it ended. Displays as one line, and one more for each fact at fault, up to a few.
#[derive(Debug, Default)]
pub struct LedgerVerdict {
    pub shown: usize,
    pub published: usize,
    /// Shown, and published less often than that; once for each time.
    pub missing: Vec<String>,
    /// Published more often than shown; once for each time too many.
    pub twice: Vec<String>,
    /// Published, and shown never; once for each time.
    pub never_shown: Vec<String>,
}

impl LedgerVerdict {
    /// Whether each fact was published once, and nothing else.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.twice.is_empty() && self.never_shown.is_empty()
    }
}

impl fmt::Display for LedgerVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LedgerVerdict { shown, published, missing, twice, never_shown } = self;
        write!(f, "shown {shown}, published {published}, missing {}, twice {}", missing.len(), twice.len())?;
        if !never_shown.is_empty() {
            write!(f, ", never shown {}", never_shown.len())?;
        }
        for (fault, keys) in [("missing", missing), ("twice", twice), ("never shown", never_shown)] {
            keys.iter().take(NAMED_MAX).try_for_each(|key| write!(f, "\n  {fault}: {key}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(shown: &[&str], published: &[&str]) -> LedgerVerdict {
        let mut ledger = Ledger::default();
        published.iter().for_each(|key| ledger.publish((*key).to_owned()));
        shown.iter().for_each(|key| ledger.show((*key).to_owned()));
        ledger.verdict()
    }

    #[test]
    fn the_same_facts_in_another_order_are_exact() {
        let verdict = verdict(&["a", "b", "b"], &["b", "a", "b"]);
        assert!(verdict.is_exact());
        assert_eq!(verdict.to_string(), "shown 3, published 3, missing 0, twice 0");
    }

    #[test]
    fn every_fault_is_counted_and_named() {
        let verdict = verdict(&["a", "b", "b", "c"], &["b", "c", "c", "c", "d"]);
        assert!(!verdict.is_exact());
        let text = verdict.to_string();
        assert!(text.starts_with("shown 4, published 5, missing 2, twice 2, never shown 1\n"), "{text}");
        for line in ["\n  missing: a", "\n  missing: b", "\n  twice: c", "\n  never shown: d"] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn a_single_fault_of_either_kind_is_not_exact() {
        assert!(!verdict(&["a"], &[]).is_exact());
        assert!(!verdict(&["a"], &["a", "a"]).is_exact());
        assert!(!verdict(&["a"], &["a", "b"]).is_exact());
    }

    #[test]
    fn what_may_be_published_or_not_is_no_fault_once_and_is_one_twice() {
        let verdict = |published: &[&str]| {
            let mut ledger = Ledger::default();
            published.iter().for_each(|key| ledger.publish((*key).to_owned()));
            ledger.allow("a");
            ledger.verdict()
        };
        assert!(verdict(&[]).is_exact() && verdict(&["a"]).is_exact());
        assert!(!verdict(&["a", "a"]).is_exact() && !verdict(&["b"]).is_exact());
    }
}
