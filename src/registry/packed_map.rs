//! A map by promoters that takes little more than its entries: a hash table has room for up to twice as many as there are, and
//! here that room is of numbers.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::model::promoter::Promoter;

/// Room is made for one more entry in so many, and not for as many again: each entry is moved a few times more for that.
const GROWTH_PART: usize = 8;

#[derive(Clone)]
pub struct PackedMap<V> {
    entries: Vec<(Promoter, V)>,
    /// The numbers of the entries, by the hash of their promoter.
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl<V> Default for PackedMap<V> {
    fn default() -> PackedMap<V> {
        PackedMap { entries: Vec::new(), numbers: HashTable::new(), hasher: RandomState::default() }
    }
}

impl<V: Default> PackedMap<V> {
    pub fn get(&self, promoter: &Promoter) -> Option<&V> {
        let number = self.number(promoter)?;
        Some(&self.entries[number].1)
    }

    /// The promoter's value, which is made where there is none.
    pub fn entry(&mut self, promoter: &Promoter) -> &mut V {
        let number = self.number(promoter).unwrap_or_else(|| self.insert(promoter.clone()));
        &mut self.entries[number].1
    }

    /// The last entry takes the place of the one that goes.
    pub fn remove(&mut self, promoter: &Promoter) {
        let hash = self.hasher.hash_one(promoter);
        let Ok(found) = self.numbers.find_entry(hash, |number| self.entries[place(*number)].0 == *promoter) else {
            return;
        };
        let (number, _) = found.remove();
        self.entries.swap_remove(place(number));
        if let Some((moved, _)) = self.entries.get(place(number)) {
            let (hash, before) = (self.hasher.hash_one(moved), self.entries.len());
            // Found by its number alone: that still points behind the last entry, where no promoter stands.
            let moved = self.numbers.find_mut(hash, |number| place(*number) == before);
            moved.into_iter().for_each(|moved| *moved = number);
        }
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Promoter, &V)> {
        self.entries.iter().map(|(promoter, value)| (promoter, value))
    }

    fn number(&self, promoter: &Promoter) -> Option<usize> {
        let hash = self.hasher.hash_one(promoter);
        self.numbers.find(hash, |number| self.entries[place(*number)].0 == *promoter).map(|number| place(*number))
    }

    fn insert(&mut self, promoter: Promoter) -> usize {
        let number = u32::try_from(self.entries.len()).expect("four thousand million promoters do not fit into memory");
        let hash = self.hasher.hash_one(&promoter);
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(self.entries.len() / GROWTH_PART + 1);
        }
        self.entries.push((promoter, V::default()));
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.numbers.insert_unique(hash, number, |number| hasher.hash_one(&entries[place(*number)].0));
        place(number)
    }
}

fn place(number: u32) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_any_map_would(steps in prop::collection::vec((0..12u8, any::<Option<u8>>()), 0..200)) {
            let (mut packed, mut expected) = (PackedMap::<u8>::default(), BTreeMap::new());
            for (id, value) in steps {
                let promoter = Promoter::from_key(&format!("wx1/o{id}")).unwrap();
                match value {
                    Some(value) => {
                        *packed.entry(&promoter) = value;
                        expected.insert(promoter, value);
                    }
                    None => {
                        packed.remove(&promoter);
                        expected.remove(&promoter);
                    }
                }
                prop_assert!(packed.iter().collect::<BTreeMap<_, _>>().into_iter().eq(&expected));
                for (promoter, value) in &expected {
                    prop_assert_eq!(packed.get(promoter), Some(value));
                }
            }
            prop_assert_eq!(packed.numbers.len(), expected.len());
        }
    }
}
