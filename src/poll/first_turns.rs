//! Feeds that wait for their first poll of a session.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::polled_feeds::FirstRank;

/// Feeds come in groups, a shard at a time, and each brings a turn that is due when it comes. Whose turn it is, is decided when it
/// is taken: of all who wait then, his with the oldest cursor.
///
/// So restarts starve nobody, however short the lives between them are and however small the budget: whoever is not reached in
/// one life has an older cursor than those who were, and comes before them in the next, whichever shard is restored first. If each
/// group waited behind those that came before it, only the shards that are restored first would ever be polled. And
/// since turns are as old as if each feed kept its own, those who wait beside these wait no longer for them.
#[derive(Debug)]
pub struct FirstTurns<K> {
    waiting: BinaryHeap<Reverse<(FirstRank, K)>>,
    /// How many turns are due since when; as many as feeds wait.
    turns: VecDeque<(Duration, usize)>,
}

impl<K: Ord> FirstTurns<K> {
    pub fn new() -> FirstTurns<K> {
        FirstTurns { waiting: BinaryHeap::new(), turns: VecDeque::new() }
    }

    /// `due` must not be earlier than at the last call.
    pub fn put(&mut self, key: K, rank: FirstRank, due: Duration) {
        self.waiting.push(Reverse((rank, key)));
        match self.turns.back_mut() {
            Some((since, turns)) if *since == due => *turns += 1,
            _ => self.turns.push_back((due, 1)),
        }
    }

    /// Since when the next turn is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.turns.front().map(|(due, _)| *due)
    }

    /// Takes the next turn.
    pub fn take(&mut self) -> Option<K> {
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
