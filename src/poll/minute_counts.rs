//! How many things lie at which time, by the minute: cheap to keep, and small however many things there are.

use std::collections::BTreeMap;

/// Times are seconds since any fixed moment.
#[derive(Debug, Default)]
pub struct MinuteCounts {
    by_minute: BTreeMap<i64, usize>,
}

fn minute(seconds: i64) -> i64 {
    seconds.div_euclid(60)
}

impl MinuteCounts {
    pub fn add(&mut self, seconds: i64) {
        *self.by_minute.entry(minute(seconds)).or_default() += 1;
    }

    /// Takes one out that was added with the same time.
    pub fn remove(&mut self, seconds: i64) {
        let minute = minute(seconds);
        match self.by_minute.get_mut(&minute) {
            Some(1) | None => drop(self.by_minute.remove(&minute)),
            Some(count) => *count -= 1,
        }
    }

    /// The earliest, rounded down to its minute.
    pub fn earliest(&self) -> Option<i64> {
        self.by_minute.keys().next().map(|minute| minute * 60)
    }

    /// How many lie in minutes that were over at `seconds`.
    pub fn before(&self, seconds: i64) -> usize {
        self.by_minute.range(..minute(seconds)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_counted_by_its_minute_until_it_is_removed() {
        let mut counts = MinuteCounts::default();
        [-1, 59, 60, 61, 119].into_iter().for_each(|time| counts.add(time));
        assert_eq!(
            (counts.earliest(), counts.before(60), counts.before(119), counts.before(120)),
            (Some(-60), 2, 2, 5)
        );
        counts.remove(-1);
        counts.remove(61);
        assert_eq!((counts.earliest(), counts.before(120)), (Some(0), 3));
        [59, 60, 119].into_iter().for_each(|time| counts.remove(time));
        assert_eq!((counts.earliest(), counts.before(i64::MAX)), (None, 0));
    }
}
