//! Feeds that wait in one line, each with since when: eight bytes for each of them, for there may be millions.
//!
//! A line grows and shrinks by blocks, so nothing in it is moved, and it has room for few more than it holds. A time stands
//! as what has passed since that of the first in its block.

use std::collections::VecDeque;

/// So many share a block at most.
const BLOCK: usize = 512;

/// First in, first out. Times are microseconds since some fixed moment, none earlier than that of whoever came before.
#[derive(Debug)]
pub(super) struct WaitingLine<K> {
    /// None is empty but the only one.
    blocks: VecDeque<Block<K>>,
}

#[derive(Debug)]
struct Block<K> {
    /// Since when the one waits, or did, that came first.
    since: u64,
    /// How much later each of them came, and who it is.
    waiting: VecDeque<(u32, K)>,
}

impl<K> WaitingLine<K> {
    pub const fn new() -> WaitingLine<K> {
        WaitingLine { blocks: VecDeque::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.first_since().is_none()
    }

    /// Since when the first one waits.
    pub fn first_since(&self) -> Option<u64> {
        let block = self.blocks.front()?;
        block.waiting.front().map(|(later, _)| block.since + u64::from(*later))
    }

    pub fn push_back(&mut self, since: u64, key: K) {
        if let Some(last) = self.blocks.back_mut().filter(|last| last.waiting.len() < BLOCK)
            && let Ok(later) = u32::try_from(since.saturating_sub(last.since))
        {
            return last.waiting.push_back((later, key));
        }
        if self.is_empty() {
            // One without anybody, whose time is too long ago.
            self.blocks.clear();
        }
        self.blocks.push_back(Block { since, waiting: VecDeque::from([(0, key)]) });
    }

    pub fn pop_front(&mut self) -> Option<K> {
        let first = self.blocks.front_mut()?;
        let (_, key) = first.waiting.pop_front()?;
        if first.waiting.is_empty() && self.blocks.len() > 1 {
            self.blocks.pop_front();
        }
        Some(key)
    }

    /// How many wait since a time that is `early`; all that do come first.
    pub fn count_early(&self, early: impl Fn(u64) -> bool) -> usize {
        let is_early = |block: &Block<K>, later: u32| early(block.since + u64::from(later));
        let whole =
            self.blocks.partition_point(|block| block.waiting.back().is_some_and(|(later, _)| is_early(block, *later)));
        let before: usize = self.blocks.iter().take(whole).map(|block| block.waiting.len()).sum();
        let in_next = |block: &Block<K>| block.waiting.partition_point(|(later, _)| is_early(block, *later));
        before + self.blocks.get(whole).map_or(0, in_next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pops all, each with since when it waited.
    fn all(line: &mut WaitingLine<u64>) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| Some((line.first_since()?, line.pop_front()?))).collect()
    }

    #[test]
    fn whoever_came_first_goes_first_and_those_who_came_early_are_counted() {
        let (mut line, block) = (WaitingLine::new(), BLOCK as u64);
        assert!(line.is_empty() && line.pop_front().is_none());
        (0..3 * block).for_each(|number| line.push_back(1000 + number, number));
        assert!(
            (0..block + 7).all(|number| line.first_since() == Some(1000 + number) && line.pop_front() == Some(number))
        );
        for early in [0, block + 7, block + 8, 2 * block, 2 * block + 1, 3 * block, 4 * block] {
            let expected = early.clamp(block + 7, 3 * block) - (block + 7);
            assert_eq!(line.count_early(|since| since < 1000 + early) as u64, expected, "{early}");
        }
        assert!(all(&mut line).into_iter().eq((block + 7..3 * block).map(|number| (1000 + number, number))));
        assert!(line.is_empty() && line.count_early(|_| true) == 0);
    }

    #[test]
    fn times_may_lie_as_far_apart_as_they_like() {
        let times = [0, 1, 5_000_000_000, 5_000_000_001, 5_000_000_001, 50_000_000_000];
        let mut line = WaitingLine::new();
        times.into_iter().for_each(|since| line.push_back(since, since));
        assert!(all(&mut line).into_iter().eq(times.map(|since| (since, since))));
        line.push_back(u64::MAX, 7);
        assert_eq!((line.blocks.len(), all(&mut line)), (1, vec![(u64::MAX, 7)]));
    }
}
