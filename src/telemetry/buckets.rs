//! How large things were: counted by fixed bounds. Any number may add at once, and nobody waits.

use std::ops::{AddAssign, SubAssign};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// For what takes from a millisecond to a minute, in seconds.
pub const QUICK: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// For what takes from a tenth of a second to a week, in seconds.
pub const LONG: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0, 604_800.0];
/// For shares of a whole.
pub const SHARES: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 0.8, 0.9, 1.0];
/// The sum is kept in millionths.
const PARTS: f64 = 1e6;

/// Since the process began.
#[derive(Debug)]
pub struct BucketCounts {
    bounds: &'static [f64],
    /// Of those up to each bound and above the one before; the last of those above all of them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketSnapshot {
    pub bounds: &'static [f64],
    pub counts: Vec<u64>,
    pub sum: f64,
}

impl BucketCounts {
    pub fn new(bounds: &'static [f64]) -> BucketCounts {
        let counts = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        BucketCounts { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// What is negative counts as nothing.
    pub fn add(&self, value: f64) {
        let value = value.max(0.0);
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        // A number that is too large is cut to the largest.
        self.sum.fetch_add((value * PARTS) as u64, Ordering::Relaxed);
    }

    pub fn add_duration(&self, duration: Duration) {
        self.add(duration.as_secs_f64());
    }

    pub fn snapshot(&self) -> BucketSnapshot {
        BucketSnapshot {
            bounds: self.bounds,
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed) as f64 / PARTS,
        }
    }
}

/// Both together, which have the same bounds.
impl AddAssign for BucketSnapshot {
    fn add_assign(&mut self, other: BucketSnapshot) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum += other.sum;
    }
}

/// What has come since `before`, which has the same bounds.
impl SubAssign<&BucketSnapshot> for BucketSnapshot {
    fn sub_assign(&mut self, before: &BucketSnapshot) {
        let counts = self.counts.iter_mut().zip(&before.counts);
        counts.for_each(|(count, before)| *count = count.saturating_sub(*before));
        self.sum = (self.sum - before.sum).max(0.0);
    }
}

impl BucketSnapshot {
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many were above `bound`, which is one of the bounds.
    pub fn above(&self, bound: f64) -> u64 {
        let up_to = self.bounds.partition_point(|one| *one <= bound);
        self.counts[up_to..].iter().sum()
    }

    /// The least bound above which there is no more than one in `of`; nothing where even above the last there are more.
    pub fn bound_of_all_but_one_in(&self, of: u64) -> Option<f64> {
        let all = self.total();
        self.bounds.iter().copied().find(|bound| self.above(*bound).saturating_mul(of) <= all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_counts_where_its_bound_is_and_all_of_them_in_the_sum() {
        let counts = BucketCounts::new(&[1.0, 2.0]);
        [-3.0, 0.5, 1.0, 1.5, 9.0].into_iter().for_each(|value| counts.add(value));
        counts.add_duration(Duration::from_millis(2500));
        let mut both = counts.snapshot();
        assert_eq!((&both.counts, both.sum), (&vec![3, 1, 2], 14.5));
        both += counts.snapshot();
        assert_eq!((&both.counts, both.sum), (&vec![6, 2, 4], 29.0));
        assert_eq!((both.total(), both.above(1.0), both.above(2.0)), (12, 6, 4));
        assert_eq!([2, 3, 4].map(|of| both.bound_of_all_but_one_in(of)), [Some(1.0), Some(2.0), None]);
        both -= &counts.snapshot();
        assert_eq!((both.counts, both.sum), (vec![3, 1, 2], 14.5));
    }
}
