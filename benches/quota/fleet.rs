//! Promoters to whom facts happen, at rates that nobody knows and that change.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The parts of a fleet: how many of a hundred, and the seconds between two facts of one.
const PARTS: [(usize, f64); 3] = [(1, 600.0), (9, 86_400.0 / 3.0), (90, 864_000.0)];
const ACTIVE: usize = 0;
const QUIET: usize = 2;
/// How much the rates of the active differ: of the logarithm of a rate, around that of the part.
const SIGMA: f64 = 1.0;
/// For how many seconds a promoter of a part stays in it: a campaign for a day, a shop for a month. Then a quiet one takes
/// his place.
const STAYS: [f64; 2] = [86_400.0, 30.0 * 86_400.0];

/// Clocks are seconds since the start.
pub struct Fleet {
    random: ChaCha8Rng,
    promoters: Vec<SimulatedPromoter>,
    /// Who belongs to which part.
    parts: [Vec<u32>; PARTS.len()],
    /// When somebody of a part gives his place up next.
    changes: [f64; STAYS.len()],
}

struct SimulatedPromoter {
    part: usize,
    /// Facts a second.
    rate: f64,
    next_fact: f64,
    /// Facts that came at an earlier rate and were not shown to a poll yet.
    earlier: Vec<f64>,
}

impl Fleet {
    pub fn new(promoters: usize, seed: u64) -> Fleet {
        let mut fleet = Fleet {
            random: ChaCha8Rng::seed_from_u64(seed),
            promoters: Vec::new(),
            parts: Default::default(),
            changes: [f64::MAX; STAYS.len()],
        };
        for number in 0..promoters {
            // Spread over the numbers, so that no part is polled before the others.
            let part = part_of(number * 37 % 100);
            fleet.parts[part].push(u32::try_from(number).unwrap());
            fleet.promoters.push(SimulatedPromoter { part, rate: 0.0, next_fact: 0.0, earlier: Vec::new() });
            fleet.set_part(number, part, 0.0);
        }
        for part in 0..STAYS.len() {
            fleet.changes[part] = fleet.next_change(part, 0.0);
        }
        fleet
    }

    /// Facts a second of each promoter.
    pub fn rates(&self) -> impl Iterator<Item = f64> {
        self.promoters.iter().map(|promoter| promoter.rate)
    }

    /// What has happened to one by `clock` that no poll has shown yet: calls `fact` with the time of each.
    pub fn take_facts(&mut self, number: usize, clock: f64, mut fact: impl FnMut(f64)) -> u64 {
        self.drift(clock);
        let mut facts = 0;
        let earlier = std::mem::take(&mut self.promoters[number].earlier);
        earlier.into_iter().chain(self.happened(number, clock)).for_each(|time| {
            fact(time);
            facts += 1;
        });
        facts
    }

    pub fn is_active(&self, number: usize) -> bool {
        self.promoters[number].part == ACTIVE
    }

    fn happened(&mut self, number: usize, clock: f64) -> Vec<f64> {
        let mut times = Vec::new();
        while self.promoters[number].next_fact <= clock {
            let promoter = &self.promoters[number];
            let (time, rate) = (promoter.next_fact, promoter.rate);
            times.push(time);
            self.promoters[number].next_fact = time + self.pause(rate);
        }
        times
    }

    fn drift(&mut self, clock: f64) {
        for part in 0..STAYS.len() {
            while self.changes[part] <= clock {
                let at = self.changes[part];
                let (place, quiet) = (self.chosen(part), self.chosen(QUIET));
                let (leaves, comes) = (self.parts[part][place], self.parts[QUIET][quiet]);
                self.parts[part][place] = comes;
                self.parts[QUIET][quiet] = leaves;
                self.set_part(leaves as usize, QUIET, at);
                self.set_part(comes as usize, part, at);
                self.changes[part] = self.next_change(part, at);
            }
        }
    }

    fn chosen(&mut self, part: usize) -> usize {
        self.random.random_range(0..self.parts[part].len())
    }

    fn next_change(&mut self, part: usize, clock: f64) -> f64 {
        clock + self.pause(self.parts[part].len() as f64 / STAYS[part])
    }

    fn set_part(&mut self, number: usize, part: usize, clock: f64) {
        if clock > 0.0 {
            let happened = self.happened(number, clock);
            self.promoters[number].earlier.extend(happened);
        }
        let differs = if part == ACTIVE { (SIGMA * self.normal()).exp() } else { 1.0 };
        let rate = differs / PARTS[part].1;
        let next_fact = clock + self.pause(rate);
        let promoter = &mut self.promoters[number];
        (promoter.part, promoter.rate, promoter.next_fact) = (part, rate, next_fact);
    }

    /// To the next of what happens at a rate.
    fn pause(&mut self, rate: f64) -> f64 {
        -(1.0 - self.random.random::<f64>()).ln() / rate
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.random.random::<f64>(), self.random.random::<f64>());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

fn part_of(percent: usize) -> usize {
    let mut below = 0;
    PARTS
        .iter()
        .position(|(share, _)| {
            below += share;
            percent < below
        })
        .unwrap()
}
