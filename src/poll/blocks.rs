//! A numbered list that grows by blocks: nothing of it is moved, and it never has room for many more than it holds.

use std::ops::{Index, IndexMut};

/// So many entries are asked for at once.
const BLOCK: usize = 1024;

pub(super) struct Blocks<T> {
    /// All but the last are full.
    blocks: Vec<Vec<Option<T>>>,
    /// The numbers of those that were removed.
    free: Vec<u32>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Blocks<T> {
        Blocks { blocks: Vec::new(), free: Vec::new() }
    }
}

impl<T> Blocks<T> {
    /// Gives its number, which may be one that another has had before.
    pub fn insert(&mut self, value: T) -> u32 {
        if let Some(number) = self.free.pop() {
            *self.slot(number) = Some(value);
            return number;
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let before = (self.blocks.len() - 1) * BLOCK;
        let last = self.blocks.last_mut().expect("one was added where there was none");
        last.push(Some(value));
        u32::try_from(before + last.len() - 1).expect("four thousand million entries do not fit into memory")
    }

    /// Removes the one of that number, which is there.
    pub fn remove(&mut self, number: u32) {
        *self.slot(number) = None;
        self.free.push(number);
    }

    /// The numbers of those that are there, in order, from one on.
    pub fn numbers_from(&self, first: u32) -> impl Iterator<Item = u32> {
        let blocks = self.blocks.iter().enumerate().skip(place(first).0);
        let numbers = blocks.flat_map(|(index, block)| {
            let number = move |at: usize| u32::try_from(index * BLOCK + at).ok();
            block.iter().enumerate().filter(|(_, slot)| slot.is_some()).filter_map(move |(at, _)| number(at))
        });
        numbers.skip_while(move |number| *number < first)
    }

    fn slot(&mut self, number: u32) -> &mut Option<T> {
        let (block, at) = place(number);
        &mut self.blocks[block][at]
    }
}

impl<T> Index<u32> for Blocks<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        let (block, at) = place(number);
        self.blocks[block][at].as_ref().expect("only numbers of what is there are asked for")
    }
}

impl<T> IndexMut<u32> for Blocks<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        self.slot(number).as_mut().expect("only numbers of what is there are asked for")
    }
}

fn place(number: u32) -> (usize, usize) {
    let number = number as usize;
    (number / BLOCK, number % BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_number_until_it_is_removed() {
        let mut blocks = Blocks::default();
        let count = 3 * u32::try_from(BLOCK).unwrap();
        assert!((0..count).all(|value| blocks.insert(value) == value));
        blocks[2000] += 1;
        blocks.remove(7);
        assert!(blocks.numbers_from(5).take(3).eq([5, 6, 8]) && blocks.numbers_from(count - 1).eq([count - 1]));
        assert_eq!((blocks[6], blocks[2000], blocks[count - 1]), (6, 2001, count - 1));
        assert_eq!((blocks.insert(70), blocks[7], blocks.insert(71)), (7, 70, count));
    }
}
