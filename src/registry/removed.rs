//! Whom nobody names any more in one shard, and whose progress is therefore to be forgotten one day.
//!
//! # Why no fact is doubled or lost
//!
//! What is known of a promoter is dropped only once a **mark** of its removal is old enough. A mark says that since its time
//! no source has named the promoter, as the owner of its shard sees them: the registry's partition is read to its end before the
//! shard is taken up, and followed from then on, and the configuration is the one that this instance polls by.
//!
//! 1. *Who is polled has no mark.* Whoever takes a shard up, and whoever hears that a promoter is named again, writes that the mark
//!    is gone before anybody polls the promoter, through the one queue in which the pages of its polls come later. So behind
//!    a mark in the topic stands no fact of that promoter, but for pages that were under way when it was removed.
//! 2. *A mark is made by an owner, and outlives it.* It stands in the state of the shard, in transactions. An owner who finds
//!    somebody with progress and without a mark, whom nobody names, makes one with the time at which it has found that, and never
//!    with an earlier one.
//! 3. *Only time forgets.* A configuration that differs between instances, or is read again with fewer promoters in it, makes marks,
//!    and the next owner, or the next reading, that names the promoter takes them back. Nothing is lost by a mark. To be forgotten
//!    a promoter must not have been polled by anybody for all of the time that is configured.
//! 4. *Clocks.* A mark carries the later of the clocks known, and is held against the earlier one: a clock that is wrong makes
//!    it last longer. Where the upstream's clock is not known nothing is marked and nothing is forgotten.
//! 5. *Forgetting is one write* of one promoter: its cursors, its memory and its mark go in one transaction. If it is named again at
//!    the same moment, what is planned first counts: either the mark was taken back, and then it is not among those that are due
//!    any more, or nothing is known of it when its first cursors are asked for, and it begins by its `start_from`.

use std::collections::{BTreeSet, HashMap, HashSet};

use foldhash::fast::RandomState;

use crate::model::promoter::Promoter;
use crate::model::removal::{Removal, RemovalStep};
use crate::model::time::UnixTime;

/// The earlier and the later of the clocks that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownClocks {
    pub earlier: UnixTime,
    pub later: UnixTime,
}

/// Those of one shard, who are named by nobody.
#[derive(Default)]
pub struct RemovedPromoters {
    /// Those with a mark, and its time.
    marked: HashMap<Promoter, UnixTime, RandomState>,
    /// The same, the oldest first.
    by_time: BTreeSet<(UnixTime, Promoter)>,
    /// Those whose mark is still to be made.
    unmarked: HashSet<Promoter, RandomState>,
}

impl RemovedPromoters {
    /// Takes marks that stand in the state of the shard.
    pub fn restored(marks: impl IntoIterator<Item = (Promoter, UnixTime)>) -> RemovedPromoters {
        let mut removed = RemovedPromoters::default();
        for (promoter, since) in marks {
            removed.mark(promoter, since);
        }
        removed
    }

    /// Nobody names the promoter. Whether that is news.
    pub fn remove(&mut self, promoter: &Promoter) -> bool {
        !self.marked.contains_key(promoter) && self.unmarked.insert(promoter.clone())
    }

    /// Somebody names the promoter. Gives what has to be written before it is polled.
    pub fn put_back(&mut self, promoter: &Promoter) -> Option<Removal> {
        self.unmarked.remove(promoter);
        let (promoter, since) = self.marked.remove_entry(promoter)?;
        self.by_time.remove(&(since, promoter.clone()));
        Some(Removal { promoter, step: RemovalStep::Returned })
    }

    /// Whether any source names the promoter now. Gives what has to be written before it is polled.
    pub fn note(&mut self, promoter: &Promoter, is_named: bool) -> Option<Removal> {
        if is_named {
            return self.put_back(promoter);
        }
        self.remove(promoter);
        None
    }

    /// What is to be written now, of `max` promoters at most: marks, and that those are forgotten whose mark is more than
    /// `forget` seconds old.
    pub fn due(&mut self, clocks: KnownClocks, forget: i64, max: usize) -> Vec<Removal> {
        let new: Vec<Promoter> = self.unmarked.iter().take(max).cloned().collect();
        let mut due = Vec::with_capacity(new.len());
        for promoter in new {
            self.unmarked.remove(&promoter);
            self.mark(promoter.clone(), clocks.later);
            due.push(Removal { promoter, step: RemovalStep::Marked(clocks.later) });
        }
        while due.len() < max
            && let Some(promoter) = self.pop_before(clocks.earlier.minus(forget))
        {
            due.push(Removal { promoter, step: RemovalStep::Forgotten });
        }
        due
    }

    fn mark(&mut self, promoter: Promoter, since: UnixTime) {
        self.by_time.insert((since, promoter.clone()));
        self.marked.insert(promoter, since);
    }

    fn pop_before(&mut self, horizon: UnixTime) -> Option<Promoter> {
        let (since, _) = self.by_time.first()?;
        if *since >= horizon {
            return None;
        }
        let (_, promoter) = self.by_time.pop_first()?;
        self.marked.remove(&promoter);
        Some(promoter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORGET: i64 = 100;

    fn promoter(number: u8) -> Promoter {
        Promoter::from_key(&format!("wx1/o{number}")).unwrap()
    }

    fn clocks(earlier: i64, later: i64) -> KnownClocks {
        KnownClocks { earlier: UnixTime(earlier), later: UnixTime(later) }
    }

    /// What happens to the promoters of a shard, one after the other.
    #[derive(Clone, Debug)]
    enum Step {
        Removed(u8),
        PutBack(u8),
        /// So many seconds pass, and the clocks are so far apart.
        Pass {
            seconds: i64,
            apart: i64,
            max: usize,
        },
        /// The shard goes to another owner, who knows what is written.
        Moves,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..6u8).prop_map(Step::Removed),
            (0..6u8).prop_map(Step::PutBack),
            (0..80i64, 0..50i64, 1..4usize).prop_map(|(seconds, apart, max)| Step::Pass { seconds, apart, max }),
            Just(Step::Moves),
        ]
    }

    /// The records of the state, the truth of who is named by nobody since when, and who has progress.
    #[derive(Default)]
    struct Scene {
        removed: RemovedPromoters,
        marks: HashMap<Promoter, UnixTime>,
        away: HashMap<Promoter, i64>,
        known: HashSet<Promoter>,
        now: i64,
    }

    impl Scene {
        fn write(&mut self, Removal { promoter, step }: Removal) {
            match step {
                RemovalStep::Marked(since) => {
                    self.marks.insert(promoter, since);
                }
                RemovalStep::Returned => {
                    self.marks.remove(&promoter);
                }
                RemovalStep::Forgotten => {
                    let away = self.now - self.away.get(&promoter).expect("only who is away is forgotten");
                    assert!(away > FORGET, "forgotten after {away} s");
                    self.marks.remove(&promoter);
                    self.known.remove(&promoter);
                }
            }
        }

        fn play(&mut self, step: Step) {
            match step {
                Step::Removed(number) if !self.away.contains_key(&promoter(number)) => {
                    self.away.insert(promoter(number), self.now);
                    self.removed.remove(&promoter(number));
                }
                Step::PutBack(number) => {
                    self.away.remove(&promoter(number));
                    self.known.insert(promoter(number));
                    let back = self.removed.put_back(&promoter(number));
                    back.into_iter().for_each(|back| self.write(back));
                }
                Step::Removed(_) => {}
                Step::Pass { seconds, apart, max } => {
                    self.now += seconds;
                    let due = self.removed.due(clocks(self.now - apart, self.now + apart), FORGET, max);
                    assert!(due.len() <= max);
                    due.into_iter().for_each(|removal| self.write(removal));
                }
                Step::Moves => {
                    self.removed = RemovedPromoters::restored(self.marks.clone());
                    for promoter in self.known.iter().filter(|known| self.away.contains_key(known)) {
                        self.removed.remove(promoter);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn only_who_was_away_all_the_time_is_forgotten_and_who_is_named_has_no_mark(
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let mut scene = Scene { known: (0..6).map(promoter).collect(), ..Scene::default() };
            for step in steps {
                scene.play(step);
                for promoter in scene.marks.keys() {
                    prop_assert!(scene.away.contains_key(promoter), "{} is named and has a mark", promoter);
                }
            }
            // In the end everybody who stays away is forgotten.
            for _ in 0..20 {
                scene.play(Step::Pass { seconds: 80, apart: 0, max: 4 });
            }
            prop_assert!(scene.known.iter().all(|known| !scene.away.contains_key(known)));
        }
    }

    #[test]
    fn a_clock_that_is_wrong_makes_a_mark_last_longer() {
        let mut removed = RemovedPromoters::default();
        assert!(removed.remove(&promoter(1)) && !removed.remove(&promoter(1)));
        let marked = removed.due(clocks(0, 500), FORGET, 9);
        assert_eq!(marked, [Removal { promoter: promoter(1), step: RemovalStep::Marked(UnixTime(500)) }]);
        assert!(!removed.remove(&promoter(1)), "it has a mark");
        assert_eq!(removed.due(clocks(600, 9_000), FORGET, 9), []);
        let forgotten = Removal { promoter: promoter(1), step: RemovalStep::Forgotten };
        assert_eq!(removed.due(clocks(601, 601), FORGET, 9), [forgotten]);
        assert_eq!(removed.put_back(&promoter(1)), None, "nothing is left of it");
    }
}
