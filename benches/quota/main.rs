//! How fresh a fleet is within a quota: the connector's rule of who is polled next, beside what it is measured against.
//!
//! ```text
//! cargo bench --bench quota                  # 100,000 promoters; a few minutes
//! cargo bench --bench quota -- 10000 7       # so many promoters, and another seed
//! ```
//!
//! Of a hundred promoters one has a fact each ten minutes (log-normal), nine have three a day, ninety one in ten days.
//! Nobody knows the rates, and they change: campaigns begin and end, shops open and close. The run is simulated, and the same
//! for the same seed; the queue is the connector's own.

#![allow(clippy::unwrap_used, reason = "a measurement that can't go on fails")]

mod fleet;
mod optimum;
mod rules;
mod run;

use fleet::Fleet;
use rules::{BOUNDS, ByFactRate, Doubling, Even, Rule};
use run::{Figures, run};

/// Seconds: what is learnt in the first is not counted.
const LEARNING: u64 = 12 * 3600;
const COUNTED: u64 = 12 * 3600;
const BUDGETS: [u32; 4] = [10, 20, 50, 100];

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let promoters = numbers.first().map_or(100_000, |number| u32::try_from(*number).unwrap());
    let seed = numbers.get(1).copied().unwrap_or(1);
    for budget in BUDGETS {
        measure(promoters, promoters / 100 * budget, budget, seed);
    }
}

fn measure(promoters: u32, per_minute: u32, budget: u32, seed: u64) {
    let new_fleet = || Fleet::new(promoters as usize, seed);
    let calls = f64::from(per_minute) / 60.0;
    let rates: Vec<f64> = new_fleet().rates().collect();
    println!("{promoters} promoters, {per_minute} calls a minute: {budget} % of all each minute");
    println!("  {:<34} {:>8} {:>10} {:>9} {:>7} {:>14}", "", "mean", "active p95", "gap max", "used", "calls/s of it");
    let mut rules: [(&str, Box<dyn Rule>); 3] = [
        ("even", Box::new(Even::new(promoters, per_minute))),
        ("doubling where nothing came", Box::new(Doubling::new(promoters, per_minute))),
        ("by the rate of facts", Box::new(ByFactRate::new(promoters, per_minute))),
    ];
    for (name, rule) in &mut rules {
        let figures = run(rule.as_mut(), &mut new_fleet(), per_minute, LEARNING, LEARNING + COUNTED);
        print(name, &figures);
    }
    println!("  {:<34} {:>6.1} s", "optimum, rates known", optimum::bounded(&rates, calls, BOUNDS));
    println!("  {:<34} {:>6.1} s\n", "(Σ√λ)² / 2BΣλ, intervals unbounded", optimum::unbounded(&rates, calls));
}

fn print(name: &str, figures: &Figures) {
    let Figures { mean_delay, active_p95, longest_gap, used, least_second, most_second } = figures;
    println!(
        "  {name:<34} {mean_delay:>6.1} s {active_p95:>8.0} s {longest_gap:>7.0} s {:>5.1} % {least_second:>6.3}-{most_second:.3}",
        used * 100.0
    );
}
