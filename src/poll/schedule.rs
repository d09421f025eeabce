//! Due work that comes at a time of its own: one entry for each feed of each promoter, in one heap.
//!
//! Taking an entry out hands it to the poll, and only the poll's end puts it back: so there are never two polls of
//! one feed at once, and no task waits per promoter.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Room of which less than this part is used is given back by half: so each entry is moved a few times at most.
const SPARSE: usize = 4;
/// So many entries have room in any case.
const ROOM_MIN: usize = 1024;

/// Entries ordered by when they are due; of several due at once the one that was put in first.
#[derive(Debug)]
pub struct Schedule<K> {
    heap: BinaryHeap<Reverse<DueEntry<K>>>,
    puts: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DueEntry<K> {
    due: Duration,
    put: u64,
    key: K,
}

impl<K: Ord> Schedule<K> {
    pub fn new() -> Schedule<K> {
        Schedule { heap: BinaryHeap::new(), puts: 0 }
    }

    /// Clocks are durations since some fixed moment.
    pub fn put(&mut self, key: K, due: Duration) {
        self.puts += 1;
        self.heap.push(Reverse(DueEntry { due, put: self.puts, key }));
    }

    /// Takes the entry that is due longest at `clock`.
    pub fn take_due(&mut self, clock: Duration) -> Option<K> {
        self.next_due().filter(|due| *due <= clock)?;
        let taken = self.heap.pop();
        // After a start all that was due at once would leave its room behind.
        if self.heap.capacity() > ROOM_MIN && self.heap.len() < self.heap.capacity() / SPARSE {
            self.heap.shrink_to(self.heap.capacity() / 2);
        }
        taken.map(|Reverse(entry)| entry.key)
    }

    /// Since when the entry is due that is due first, or when it will be.
    pub fn next_due(&self) -> Option<Duration> {
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
}
