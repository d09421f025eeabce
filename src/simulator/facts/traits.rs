//! What never changes about a promoter.

use rand::RngExt;

use crate::simulator::options::Bounds;
use crate::simulator::seed::Seed;

/// In which order rows stand on pages. Not documented by the upstream, so each promoter has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    Ascending,
    Descending,
    /// Mixed within blocks of [`SHUFFLED_BLOCK`], always in the same way.
    Shuffled,
}

pub const SHUFFLED_BLOCK: usize = 64;

/// Drawn from the seed of the promoter.
pub struct Traits {
    pub arrangement: Arrangement,
    /// Which place a row of a shuffled block takes: its own exclusive-or this.
    pub mask: usize,
    pub begin_inclusive: bool,
    pub end_inclusive: bool,
    /// Whether a refunded order still shows its row of status 1 beside those of status 2.
    pub keeps_paid_row: bool,
    /// Whether `start_id` is a number instead of a text.
    pub numeric_start_id: bool,
}

impl Traits {
    pub fn new(seed: Seed, bounds: Bounds) -> Traits {
        let mut rng = seed.text("traits").rng();
        let arrangement = match rng.random_range(0..3) {
            0 => Arrangement::Ascending,
            1 => Arrangement::Descending,
            _ => Arrangement::Shuffled,
        };
        let mut inclusive = || match bounds {
            Bounds::Inclusive => true,
            Bounds::Exclusive => false,
            Bounds::Seeded => rng.random_bool(0.7),
        };
        let (begin_inclusive, end_inclusive) = (inclusive(), inclusive());
        Traits {
            arrangement,
            mask: rng.random_range(0..SHUFFLED_BLOCK),
            begin_inclusive,
            end_inclusive,
            keeps_paid_row: rng.random_bool(0.5),
            numeric_start_id: rng.random_bool(0.5),
        }
    }
}
