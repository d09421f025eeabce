//! Due work: one entry for each feed of each promoter, in one heap; those that were never polled have one of their own.
//!
//! Taking an entry out hands it to the poll, and only the poll's end puts it back: so there are never two polls of
//! one feed at once, and no task waits per promoter.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::first_turns::FirstTurns;
use super::polled_feeds::FirstRank;

/// Room of which less than this part is used is given back by half: so each entry is moved a few times at most.
const SPARSE: usize = 4;
/// So many entries have room in any case.
const ROOM_MIN: usize = 1024;

/// Entries ordered by when they are due; of several due at once the one that was put in first.
///
/// Where more is due than can be polled, all have been due for long, and whoever comes new would be polled for the first time when they
/// all have been: in minutes or an hour, though somebody has just registered him, or wants a feed asked again. So every other turn is
/// one of those who were never polled, though others have been due longer: those lose no more than half of their turns, for as long as
/// new ones come.
#[derive(Debug)]
pub struct Schedule<K> {
    heap: BinaryHeap<Reverse<DueEntry<K>>>,
    puts: u64,
    first: FirstTurns<K>,
    /// Whether the next turn is one of those who were never polled.
    is_turn_of_first: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DueEntry<K> {
    due: Duration,
    put: u64,
    key: K,
}

impl<K: Ord> Schedule<K> {
    pub fn new() -> Schedule<K> {
        Schedule { heap: BinaryHeap::new(), puts: 0, first: FirstTurns::new(), is_turn_of_first: true }
    }

    /// Clocks are durations since some fixed moment.
    pub fn put(&mut self, key: K, due: Duration) {
        self.puts += 1;
        self.heap.push(Reverse(DueEntry { due, put: self.puts, key }));
    }

    /// Puts in one that was not polled yet and is due from now on. `due` must not be earlier than that of those before it.
    pub fn put_first(&mut self, key: K, rank: FirstRank, due: Duration) {
        self.first.put(key, rank, due);
    }

    /// Takes the entry whose turn it is at `clock`.
    pub fn take_due(&mut self, clock: Duration) -> Option<K> {
        self.next_due().filter(|due| *due <= clock)?;
        if self.is_first_next() {
            self.is_turn_of_first = false;
            return self.first.take();
        }
        self.is_turn_of_first = true;
        let taken = self.heap.pop();
        // After a start all that was due at once would leave its room behind.
        if self.heap.capacity() > ROOM_MIN && self.heap.len() < self.heap.capacity() / SPARSE {
            self.heap.shrink_to(self.heap.capacity() / 2);
        }
        taken.map(|Reverse(entry)| entry.key)
    }

    /// Since when the entry is due whose turn is next, or when it will be.
    pub fn next_due(&self) -> Option<Duration> {
        if self.is_first_next() { self.first.next_due() } else { self.next_scheduled() }
    }

    fn is_first_next(&self) -> bool {
        match (self.next_scheduled(), self.first.next_due()) {
            (Some(scheduled), Some(first)) => first <= scheduled || self.is_turn_of_first,
            (scheduled, _) => scheduled.is_none(),
        }
    }

    fn next_scheduled(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse(entry)| entry.due)
    }
}

impl<K: Ord> Default for Schedule<K> {
    fn default() -> Self {
        Schedule::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixTime;

    #[test]
    fn entries_come_out_when_due_the_longest_waiting_first() {
        let mut schedule = Schedule::new();
        schedule.put('b', Duration::from_secs(2));
        schedule.put('a', Duration::from_secs(1));
        schedule.put('c', Duration::from_secs(2));
        assert_eq!(schedule.take_due(Duration::from_millis(999)), None);
        assert_eq!(schedule.next_due(), Some(Duration::from_secs(1)));
        let clock = Duration::from_secs(2);
        let taken: Vec<_> = std::iter::from_fn(|| schedule.take_due(clock)).collect();
        assert_eq!(taken, ['a', 'b', 'c']);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn of_those_that_were_not_polled_yet_the_oldest_cursor_comes_first_whenever_it_came() {
        let mut schedule = Schedule::new();
        let rank = |cursor| FirstRank { cursor: UnixTime(cursor), shuffled: 0 };
        let at = Duration::from_secs;
        schedule.put_first('c', rank(30), at(1));
        schedule.put_first('d', rank(40), at(1));
        schedule.put('x', at(2));
        schedule.put_first('b', rank(20), at(3));
        assert_eq!(schedule.take_due(at(0)), None);
        assert_eq!(schedule.take_due(at(3)), Some('b'), "it takes the turn that is due longest");
        schedule.put_first('a', rank(10), at(4));
        let taken: Vec<_> = std::iter::from_fn(|| Some((schedule.next_due()?, schedule.take_due(at(4))?))).collect();
        assert_eq!(taken, [(at(1), 'a'), (at(2), 'x'), (at(3), 'c'), (at(4), 'd')]);
    }

    /// All who are polled are due since long where the budget is less than they need.
    #[test]
    fn whoever_was_never_polled_has_every_other_turn_where_others_have_been_due_longer() {
        let mut schedule = Schedule::new();
        let at = Duration::from_secs;
        (0..10).for_each(|old| schedule.put(('o', old), at(old)));
        (0..3).for_each(|new| {
            let rank = FirstRank { cursor: UnixTime(new), shuffled: 0 };
            schedule.put_first(('n', new.cast_unsigned()), rank, at(100));
        });
        let taken: Vec<_> = std::iter::from_fn(|| Some((schedule.next_due()?, schedule.take_due(at(100))?))).collect();
        let (new, old) = (|number| (at(100), ('n', number)), |number| (at(number), ('o', number)));
        let interleaved = [new(0), old(0), new(1), old(1), new(2)].into_iter().chain((2..10).map(old));
        assert_eq!(taken, interleaved.collect::<Vec<_>>());
    }
}
