//! When facts happen.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::simulator::seed::Seed;

/// Facts that come by chance: the time from one to the next is exponential.
pub struct FactSource {
    rng: ChaCha8Rng,
    /// Facts a second; 0 for none.
    rate: f64,
    /// Unix seconds; infinite where nothing happens.
    pub next: f64,
}

impl FactSource {
    pub fn new(seed: Seed, begin: f64, per_hour: f64) -> FactSource {
        let mut source = FactSource { rng: seed.rng(), rate: per_hour / 3600.0, next: begin };
        source.step();
        source
    }

    fn step(&mut self) {
        let chance: f64 = self.rng.random_range(f64::EPSILON..1.0);
        self.next += if self.rate > 0.0 { -chance.ln() / self.rate } else { f64::INFINITY };
    }

    /// The time of the next fact, if it happens before `until`.
    pub fn take(&mut self, until: f64) -> Option<u32> {
        if self.next >= until {
            return None;
        }
        let time = self.next as u32;
        self.step();
        Some(time)
    }
}
