//! Randomness that depends on names, not on the order of calls.
//!
//! Each thing that happens by chance has a seed of its own, derived by hashing what it is about. So two runs that
//! ask in another order still see the same world.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[derive(Clone, Copy)]
pub struct Seed([u8; 32]);

impl Seed {
    pub fn new(number: u64) -> Seed {
        Seed(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    pub fn text(self, text: &str) -> Seed {
        Seed(*blake3::keyed_hash(&self.0, text.as_bytes()).as_bytes())
    }

    pub fn number(self, number: u64) -> Seed {
        Seed(*blake3::keyed_hash(&self.0, &number.to_le_bytes()).as_bytes())
    }

    pub fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }

    /// One of 2^64 independent generators of the same seed; far cheaper than hashing for each row.
    pub fn stream(self, index: u64) -> ChaCha8Rng {
        let mut rng = self.rng();
        rng.set_stream(index);
        rng
    }

    /// True for about `share` (0 to 1) of all seeds, always the same for this one.
    pub fn chance(self, share: f64) -> bool {
        share > 0.0 && self.rng().random_bool(share.min(1.0))
    }

    pub fn bits(self) -> u64 {
        self.rng().random()
    }
}
