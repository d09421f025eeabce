//! Whether the state has come to have another number of partitions than the registry.
//!
//! More partitions of the registry bring a rebalance, and with it an opening that counts both. The state has no group: nobody would
//! count its partitions before the next opening, which may be that of a roll months later, and then no instance starts. So each
//! instance looks while it runs, and stops with the reason while whoever has raised them is still there.

use crate::kafka::client::settings::TopicNames;
use crate::kafka::topics::tables::unequal_tables;

/// Whoever raises both topics does so one after the other: so many looks in a row have to find them unequal.
const FOUND_MIN: u32 = 2;

/// What the last looks have found.
#[derive(Default)]
pub(super) struct TableWatch {
    found: u32,
}

impl TableWatch {
    /// Takes how many partitions each has now, where that is known. Gives what is wrong, once it is certain.
    pub fn take(&mut self, names: &TopicNames, registry: Option<usize>, state: Option<usize>) -> Option<String> {
        let known = |count: Option<usize>| count.and_then(|count| i32::try_from(count).ok()).filter(|count| *count > 0);
        let problem =
            known(registry).zip(known(state)).and_then(|(registry, state)| unequal_tables(names, registry, state));
        self.found = if problem.is_some() { self.found + 1 } else { 0 };
        problem.filter(|_| self.found >= FOUND_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::settings::tests::settings;

    #[test]
    fn two_looks_in_a_row_have_to_find_them_unequal_and_what_is_not_known_says_nothing() {
        let names = settings(&[]).topics;
        let mut watch = TableWatch::default();
        let mut take = |registry, state| watch.take(&names, registry, state);
        assert_eq!(take(Some(3), Some(6)), None);
        assert_eq!(take(Some(6), Some(6)), None, "the other one is raised as well");
        assert_eq!(take(Some(6), Some(9)), None);
        assert_eq!(take(None, Some(9)), None);
        assert_eq!(take(Some(6), Some(0)), None);
        assert_eq!(take(Some(6), Some(9)), None);
        let problem = take(Some(6), Some(9)).unwrap();
        assert!(problem.contains("has 9 partitions") && problem.contains("has 6;"), "{problem}");
    }
}
