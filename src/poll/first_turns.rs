//! Feeds that wait for their first poll of a session.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::polled_feeds::FirstRank;

/// So many feeds are a few: of a promoter, or of some that somebody has registered by hand. As many wait as such at most: who comes behind
/// many that came one by one does so by his cursor.
pub const FEW_MAX: usize = 64;

/// Feeds come in groups, a shard at a time, and each brings a turn that is due when it comes. Whose turn it is, is decided when it
/// is taken: of all who wait then, his with the oldest cursor.
///
/// So restarts starve nobody, however short the lives between them are and however small the budget: whoever is not reached in
/// one life has an older cursor than those who were, and comes before them in the next, whichever shard is restored first. If each
/// group waited behind those that came before it, only the shards that are restored first would ever be polled. And
/// since turns are as old as if each feed kept its own, those who wait beside these wait no longer for them.
///
/// Every other turn is one of the few that came alone, if some wait: whoever registers a promoter looks for his facts, and by his cursor,
/// the latest of all, he would come behind the hundred thousand that were imported before.
#[derive(Debug)]
pub struct FirstTurns<K> {
    waiting: BinaryHeap<Reverse<(FirstRank, K)>>,
    /// How many turns are due since when; as many as feeds wait, but for the few.
    turns: VecDeque<(Duration, usize)>,
    /// Those that came alone, in that order, and when.
    few: VecDeque<(Duration, K)>,
    /// Whether the next turn is one of the few, if both they and others wait.
    is_turn_of_few: bool,
}

impl<K: Ord> FirstTurns<K> {
    pub fn new() -> FirstTurns<K> {
        FirstTurns { waiting: BinaryHeap::new(), turns: VecDeque::new(), few: VecDeque::new(), is_turn_of_few: true }
    }

    /// `due` must not be earlier than at the last call.
    pub fn put(&mut self, key: K, rank: FirstRank, due: Duration) {
        self.waiting.push(Reverse((rank, key)));
        match self.turns.back_mut() {
            Some((since, turns)) if *since == due => *turns += 1,
            _ => self.turns.push_back((due, 1)),
        }
    }

    pub fn has_room_for_few(&self) -> bool {
        self.few.len() < FEW_MAX
    }

    /// Puts in one of a few that came alone.
    pub fn put_few(&mut self, key: K, due: Duration) {
        self.few.push_back((due, key));
    }

    /// Since when the next turn is due.
    pub fn next_due(&self) -> Option<Duration> {
        let few = self.few.front().map(|(due, _)| *due);
        let ranked = self.turns.front().map(|(due, _)| *due);
        if self.is_turn_of_few { few.or(ranked) } else { ranked.or(few) }
    }

    /// Takes the next turn.
    pub fn take(&mut self) -> Option<K> {
        let is_of_few = !self.few.is_empty() && (self.is_turn_of_few || self.waiting.is_empty());
        self.is_turn_of_few = !is_of_few;
        if is_of_few {
            return self.few.pop_front().map(|(_, key)| key);
        }
        let Reverse((_, key)) = self.waiting.pop()?;
        if let Some((_, turns)) = self.turns.front_mut() {
            *turns -= 1;
            if *turns == 0 {
                self.turns.pop_front();
            }
        }
        if self.waiting.is_empty() {
            // Of many feeds it is large, and needed no more.
            self.waiting = BinaryHeap::new();
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixTime;

    fn rank(cursor: i64) -> FirstRank {
        FirstRank { cursor: UnixTime(cursor), shuffled: 0 }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_oldest_cursor_comes_first_whenever_it_came_and_takes_the_turn_that_is_due_longest() {
        let mut turns = FirstTurns::new();
        for (key, cursor, due) in [('c', 30, 1), ('d', 40, 1), ('b', 20, 3)] {
            turns.put(key, rank(cursor), at(due));
        }
        assert_eq!((turns.next_due(), turns.take()), (Some(at(1)), Some('b')));
        turns.put('a', rank(10), at(4));
        let taken: Vec<_> = std::iter::from_fn(|| Some((turns.next_due()?, turns.take()?))).collect();
        assert_eq!(taken, [(at(1), 'a'), (at(3), 'c'), (at(4), 'd')]);
    }

    #[test]
    fn the_few_that_came_alone_have_every_other_turn() {
        let mut turns = FirstTurns::new();
        (0..5).for_each(|old| turns.put(('o', old), rank(old), at(1)));
        (0..3).for_each(|new| turns.put_few(('n', new), at(7)));
        let taken: Vec<_> = std::iter::from_fn(|| Some((turns.next_due()?, turns.take()?))).collect();
        let (new, old) = (|number| (at(7), ('n', number)), |number| (at(1), ('o', number)));
        assert_eq!(taken, [new(0), old(0), new(1), old(1), new(2), old(2), old(3), old(4)]);
    }
}
