//! Which partitions are owned without a break since when: the rule behind the numbers of a snapshot.

use std::collections::BTreeMap;

use super::member_id::MemberId;

/// What the callbacks have told of the partitions so far.
#[derive(Debug)]
pub struct OwnedPartitions {
    /// Whether the group may have had a generation without this member's knowledge.
    may_miss_generations: bool,
    /// In whose name they are numbered; nothing while this process is no member.
    member: Option<MemberId>,
    /// All that librdkafka holds.
    numbered: BTreeMap<i32, u64>,
    /// What the group has taken away in the member's generation, and so has given to nobody in it.
    leaving: BTreeMap<i32, u64>,
    last_number: u64,
}

impl OwnedPartitions {
    pub fn new(may_miss_generations: bool) -> OwnedPartitions {
        OwnedPartitions {
            may_miss_generations,
            member: None,
            numbered: BTreeMap::new(),
            leaving: BTreeMap::new(),
            last_number: 0,
        }
    }

    /// The group has added `partitions`, none among them, to what `now` holds.
    pub fn add(&mut self, now: Option<MemberId>, partitions: &[i32]) {
        self.continue_as(now);
        for partition in partitions {
            self.number(*partition);
        }
    }

    /// The group takes `partitions` back; `now` keeps the others, and these until its generation ends.
    pub fn remove(&mut self, now: Option<MemberId>, partitions: &[i32]) {
        // Asked before the member is replaced, in whose name the numbers are.
        let is_continued = now.as_ref().is_some_and(|now| self.is_continued_by(now));
        let removed: Vec<_> = self.numbered.extract_if(.., |partition, _| partitions.contains(partition)).collect();
        self.continue_as(now);
        if is_continued {
            self.leaving.extend(removed);
        }
    }

    /// Whether what is held under the numbers so far was held without a break until the generation of `now`.
    ///
    /// It was if this member has taken part in the joining of each generation since, and said then what it holds, which the group
    /// therefore gave to nobody else. Where it may miss one, that is certain of the very next generation only: in one between,
    /// partitions may have been given to others, who wrote in them.
    pub fn is_continued_by(&self, now: &MemberId) -> bool {
        self.member.as_ref().is_some_and(|before| {
            let passed = now.generation.checked_sub(before.generation);
            let is_certain = |passed| passed <= 1 || !self.may_miss_generations;
            before.member == now.member && passed.is_some_and(|passed| passed >= 0 && is_certain(passed))
        })
    }

    /// The partitions that are assigned, and their numbers; only those of a member mean anything.
    pub fn numbered(&self) -> &BTreeMap<i32, u64> {
        &self.numbered
    }

    /// Those, and what was taken away in this generation: nobody else has any of it before the next.
    pub fn held(&self) -> BTreeMap<i32, u64> {
        self.numbered.iter().chain(&self.leaving).map(|(partition, number)| (*partition, *number)).collect()
    }

    /// Of the last assignment of a partition; 0 before the first.
    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    /// As another member, or after a gap, everything is held anew.
    fn continue_as(&mut self, now: Option<MemberId>) {
        let is_continued = now.as_ref().is_some_and(|now| self.is_continued_by(now));
        if self.member != now {
            // They were nobody else's for that generation only.
            self.leaving.clear();
        }
        self.member = now;
        if self.member.is_some() && !is_continued {
            let held: Vec<i32> = self.numbered.keys().copied().collect();
            for partition in held {
                self.number(partition);
            }
        }
    }

    fn number(&mut self, partition: i32) {
        self.last_number += 1;
        self.leaving.remove(&partition);
        self.numbered.insert(partition, self.last_number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, generation: i32) -> Option<MemberId> {
        Some(MemberId { generation, member: name.into() })
    }

    fn numbers(owned: &OwnedPartitions) -> Vec<(i32, u64)> {
        owned.numbered().iter().map(|(partition, number)| (*partition, *number)).collect()
    }

    /// Three partitions, numbered from 1, in generation 5.
    fn three() -> OwnedPartitions {
        three_of(OwnedPartitions::new(true))
    }

    fn three_of(mut owned: OwnedPartitions) -> OwnedPartitions {
        owned.add(member("a", 5), &[0, 1, 2]);
        assert_eq!(numbers(&owned), [(0, 1), (1, 2), (2, 3)]);
        owned
    }

    #[test]
    fn what_stays_keeps_its_number_from_one_generation_to_the_next() {
        let mut owned = three();
        owned.remove(member("a", 6), &[1]);
        owned.add(member("a", 6), &[]);
        owned.add(member("a", 7), &[]);
        assert_eq!(numbers(&owned), [(0, 1), (2, 3)]);
    }

    #[test]
    fn what_is_taken_away_is_held_until_the_generation_ends() {
        let held = |owned: &OwnedPartitions| owned.held().into_iter().collect::<Vec<_>>();
        let mut owned = three();
        owned.remove(member("a", 6), &[1]);
        assert_eq!((numbers(&owned), held(&owned)), (vec![(0, 1), (2, 3)], vec![(0, 1), (1, 2), (2, 3)]));
        owned.add(member("a", 6), &[]);
        assert_eq!(held(&owned), [(0, 1), (1, 2), (2, 3)], "the same generation");
        owned.add(member("a", 7), &[1]);
        assert_eq!(held(&owned), [(0, 1), (1, 4), (2, 3)], "it comes back");
        owned.remove(member("a", 8), &[1]);
        owned.add(member("a", 9), &[]);
        assert_eq!(held(&owned), [(0, 1), (2, 3)]);
        owned.remove(member("a", 10), &[0]);
        owned.remove(None, &[]);
        assert_eq!(held(&owned), [(2, 3)], "lost with the membership");
    }

    #[test]
    fn what_comes_back_has_another_number() {
        let mut owned = three();
        owned.remove(member("a", 6), &[1]);
        owned.add(member("a", 7), &[1]);
        assert_eq!(numbers(&owned), [(0, 1), (1, 4), (2, 3)]);
    }

    #[test]
    fn after_a_generation_that_may_have_been_missed_everything_is_held_anew() {
        let mut owned = three();
        owned.add(member("a", 7), &[]);
        assert_eq!(numbers(&owned), [(0, 4), (1, 5), (2, 6)]);
        assert!(!owned.is_continued_by(&MemberId { generation: 6, member: "a".into() }), "no generation comes back");
    }

    #[test]
    fn a_generation_that_was_broken_off_takes_nothing_from_a_member_that_misses_none() {
        let mut owned = three_of(OwnedPartitions::new(false));
        owned.add(member("a", 7), &[]);
        assert_eq!(numbers(&owned), [(0, 1), (1, 2), (2, 3)]);
        owned.add(member("a", 6), &[]);
        assert_eq!(numbers(&owned), [(0, 4), (1, 5), (2, 6)], "no generation comes back");
    }

    #[test]
    fn another_member_of_the_same_generation_holds_everything_anew() {
        let mut owned = three();
        owned.add(member("b", 5), &[]);
        assert_eq!(numbers(&owned), [(0, 4), (1, 5), (2, 6)]);
    }

    #[test]
    fn after_a_time_as_no_member_everything_is_held_anew() {
        let mut owned = three();
        owned.remove(None, &[0]);
        owned.add(member("a", 5), &[]);
        assert_eq!(numbers(&owned), [(1, 4), (2, 5)]);
    }
}
