//! What is shown and not published, published and not shown, or published as something else: a rule without I/O.

use std::collections::{HashMap, HashSet};

use super::judged::{JudgedFeed, Unjudged};
use crate::model::fact::FactId;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;

/// A fact as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedFact {
    pub id: FactId,
    /// In whose memory it is.
    pub feed: Feed,
    /// When it happened; absent for a refund that tells no time.
    pub time: Option<UnixTime>,
    /// Of payments and refunds.
    pub order: Option<ComparedOrder>,
}

/// What no merchant edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedOrder {
    /// PAID, REFUNDED or UNKNOWN.
    pub status: String,
    pub mch_id: String,
    pub trade_no: String,
    /// In fen.
    pub paid_amount: i64,
    pub paid_time: UnixTime,
}

/// What the upstream shows.
#[derive(Debug, Default)]
pub struct ShownFacts {
    /// Each once, with the identity that its row would have as a dead letter.
    pub facts: HashMap<FactId, (ComparedFact, FactId)>,
    /// Rows that can't be read.
    pub dead_rows: HashSet<FactId>,
    /// The calls that were made.
    pub calls: u64,
}

/// What stands in the topics.
#[derive(Debug, Default)]
pub struct PublishedFacts {
    /// With how often each stands there.
    pub facts: HashMap<FactId, (ComparedFact, u64)>,
    /// The rows that are dead letters.
    pub dead_rows: HashSet<FactId>,
}

/// What came of it, each list in the order of the times.
#[derive(Debug, Default)]
pub struct FactComparison {
    pub promoter: String,
    pub judged: Vec<JudgedFeed>,
    /// The other feeds.
    pub unjudged: Vec<(Feed, Unjudged)>,
    pub calls: u64,
    /// Facts that can be judged.
    pub shown: u64,
    pub published: u64,
    pub missing: Vec<ComparedFact>,
    /// Published, and not shown any more.
    pub extra: Vec<ComparedFact>,
    /// As published.
    pub twice: Vec<ComparedFact>,
    /// As shown, and as published.
    pub different: Vec<(ComparedFact, ComparedFact)>,
    /// Rows that are shown and dead letters: no facts are missed for them.
    pub dead_letters: u64,
}

impl FactComparison {
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.twice.is_empty() && self.different.is_empty()
    }
}

/// Compares what can be judged.
///
/// A refund that told its time only after it was published stands in the topic without one, and one whose time is not shown just
/// now stands there with one: of each order as many refunds are expected as are shown, whichever of them have times.
pub fn compare(
    promoter: &Promoter,
    judged: &[JudgedFeed],
    shown: ShownFacts,
    mut published: PublishedFacts,
) -> FactComparison {
    let mut comparison = FactComparison {
        promoter: promoter.key().to_owned(),
        judged: judged.to_vec(),
        calls: shown.calls,
        dead_letters: shown.dead_rows.len() as u64,
        ..FactComparison::default()
    };
    let is_judged = |fact: &ComparedFact| judged.iter().any(|judged| is_within(fact, judged));
    comparison.published = published.facts.values().filter(|(fact, _)| is_judged(fact)).map(|(_, times)| times).sum();
    let mut unmatched = Vec::new();
    for (fact, row) in shown.facts.into_values() {
        comparison.shown += u64::from(is_judged(&fact));
        match published.facts.remove(&fact.id) {
            Some((as_published, times)) => comparison.matched(fact, as_published, times),
            None if published.dead_rows.contains(&row) => comparison.dead_letters += 1,
            None => unmatched.push(fact),
        }
    }
    let mut loose = LooseRefunds::among(&published.facts);
    for fact in unmatched {
        match loose.take(&fact) {
            Some(id) => drop(published.facts.remove(&id)),
            None if is_judged(&fact) => comparison.missing.push(fact),
            None => {}
        }
    }
    let extra = published.facts.into_values().map(|(fact, _)| fact).filter(is_judged);
    comparison.extra.extend(extra);
    comparison.sort();
    comparison
}

impl FactComparison {
    fn matched(&mut self, fact: ComparedFact, as_published: ComparedFact, times: u64) {
        if times > 1 {
            self.twice.push(as_published.clone());
        }
        if fact.order != as_published.order {
            self.different.push((fact, as_published));
        }
    }

    fn sort(&mut self) {
        for facts in [&mut self.missing, &mut self.extra, &mut self.twice] {
            facts.sort_by_key(|fact| (fact.time, fact.id));
        }
        self.different.sort_by_key(|(fact, _)| (fact.time, fact.id));
    }
}

/// What tells no time is judged by none.
fn is_within(fact: &ComparedFact, judged: &JudgedFeed) -> bool {
    fact.feed == judged.feed && fact.time.is_some_and(|time| judged.holds(time))
}

/// The refunds in the topics that nothing of the same identity is shown for, by their orders.
struct LooseRefunds {
    untimed: HashMap<(String, String), FactId>,
    timed: HashMap<(String, String), Vec<FactId>>,
}

impl LooseRefunds {
    fn among(published: &HashMap<FactId, (ComparedFact, u64)>) -> LooseRefunds {
        let mut loose = LooseRefunds { untimed: HashMap::new(), timed: HashMap::new() };
        for (fact, _) in published.values() {
            let Some(order) = order_of_refund(fact) else { continue };
            match fact.time {
                None => drop(loose.untimed.insert(order, fact.id)),
                Some(_) => loose.timed.entry(order).or_default().push(fact.id),
            }
        }
        loose
    }

    /// The one that `fact` is, told otherwise.
    fn take(&mut self, fact: &ComparedFact) -> Option<FactId> {
        let order = order_of_refund(fact)?;
        match fact.time {
            Some(_) => self.untimed.remove(&order),
            None => self.timed.get_mut(&order)?.pop(),
        }
    }
}

fn order_of_refund(fact: &ComparedFact) -> Option<(String, String)> {
    let order = fact.order.as_ref().filter(|_| fact.feed == Feed::Refunds)?;
    Some((order.mch_id.clone(), order.trade_no.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_668_614_400);

    fn id(number: u8) -> FactId {
        FactId([number; 16])
    }

    fn touch(number: u8, time: i64) -> ComparedFact {
        ComparedFact { id: id(number), feed: Feed::Touches, time: Some(NOW.plus(time)), order: None }
    }

    fn refund(number: u8, trade_no: &str, time: Option<i64>) -> ComparedFact {
        let order = ComparedOrder {
            status: "REFUNDED".into(),
            mch_id: "m".into(),
            trade_no: trade_no.into(),
            paid_amount: 1,
            paid_time: NOW,
        };
        ComparedFact { id: id(number), feed: Feed::Refunds, time: time.map(|time| NOW.plus(time)), order: Some(order) }
    }

    fn compared(shown: &[ComparedFact], published: &[ComparedFact]) -> FactComparison {
        let judged = [Feed::Touches, Feed::Refunds].map(|feed| JudgedFeed { feed, from: NOW, to: NOW.plus(100) });
        let shown = ShownFacts {
            facts: shown.iter().map(|fact| (fact.id, (fact.clone(), id(200 + fact.id.0[0])))).collect(),
            ..ShownFacts::default()
        };
        let mut facts: HashMap<FactId, (ComparedFact, u64)> = HashMap::new();
        for fact in published {
            facts.entry(fact.id).or_insert((fact.clone(), 0)).1 += 1;
        }
        let published = PublishedFacts { facts, dead_rows: HashSet::from([id(209)]) };
        compare(&Promoter::from_key("wx1/o1").unwrap(), &judged, shown, published)
    }

    fn numbers(facts: &[ComparedFact]) -> Vec<u8> {
        facts.iter().map(|fact| fact.id.0[0]).collect()
    }

    #[test]
    fn gaps_doubles_and_strangers_are_told_and_nothing_outside_of_what_is_judged() {
        let outside = [touch(7, -1), touch(8, 100)];
        let shown = [&[touch(1, 0), touch(2, 5), touch(3, 99), touch(9, 50)][..], &outside].concat();
        let comparison = compared(&shown, &[touch(1, 0), touch(3, 99), touch(3, 99), touch(4, 7)]);
        assert_eq!((comparison.shown, comparison.published), (4, 4));
        assert_eq!(numbers(&comparison.missing), [2]);
        assert_eq!(numbers(&comparison.extra), [4]);
        assert_eq!(numbers(&comparison.twice), [3]);
        assert_eq!((comparison.dead_letters, comparison.is_exact()), (1, false));
        assert!(compared(&outside, &[]).is_exact());
    }

    #[test]
    fn another_amount_is_a_difference() {
        let mut edited = refund(1, "t", Some(5));
        edited.order.as_mut().unwrap().paid_amount = 2;
        let comparison = compared(&[refund(1, "t", Some(5))], &[edited]);
        assert_eq!((comparison.different.len(), comparison.missing.len()), (1, 0));
    }

    #[test]
    fn a_refund_is_the_same_whether_its_time_is_told_or_not() {
        let told_later = compared(&[refund(1, "t", Some(5))], &[refund(2, "t", None)]);
        assert!(told_later.is_exact(), "{told_later:?}");
        let not_shown_now = compared(&[refund(2, "t", None)], &[refund(1, "t", Some(5))]);
        assert!(not_shown_now.is_exact(), "{not_shown_now:?}");
        let another = compared(&[refund(1, "t", Some(5)), refund(3, "t", Some(6))], &[refund(2, "t", None)]);
        assert_eq!(another.missing.len(), 1);
        assert_eq!(compared(&[refund(1, "t", Some(5))], &[refund(2, "u", None)]).missing.len(), 1);
    }
}
