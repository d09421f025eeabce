//! How fresh a fleet is within a quota: the bench of that name, smaller, with bounds that leave room for chance. And that
//! instances which share a quota never spend more than all of it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../benches/quota/fleet.rs"]
mod fleet;
#[path = "../benches/quota/rules.rs"]
mod rules;
#[path = "../benches/quota/run.rs"]
mod run;
#[path = "quota/shared_budgets/mod.rs"]
mod shared_budgets;

use fleet::Fleet;
use rules::{ByFactRate, Doubling, Even, Rule};
use run::{Figures, run};

const PROMOTERS: u32 = 10_000;
const SEED: u64 = 1;
/// In seconds: what is learnt in the first is not counted.
const LEARNING: u64 = 3600;
const COUNTED: u64 = 3600;

fn figures(rule: &mut dyn Rule, per_minute: u32) -> Figures {
    run(rule, &mut Fleet::new(PROMOTERS as usize, SEED), per_minute, LEARNING, LEARNING + COUNTED)
}

#[test]
fn a_fifth_of_the_calls_keeps_facts_nearly_as_fresh_as_all_of_them_would() {
    let per_minute = PROMOTERS / 5;
    let figures_of = |rule: &mut dyn Rule| figures(rule, per_minute);
    let by_rate = figures_of(&mut ByFactRate::new(PROMOTERS, per_minute));
    let even = figures_of(&mut Even::new(PROMOTERS, per_minute)).mean_delay;
    let doubling = figures_of(&mut Doubling::new(PROMOTERS, per_minute)).mean_delay;
    // Even polling comes to 150 s, and what could be had were the rates known to 37 s.
    assert!(by_rate.mean_delay < 60.0, "{} s", by_rate.mean_delay);
    assert!(by_rate.mean_delay < even.min(doubling) / 2.0, "{} s beside {even} and {doubling}", by_rate.mean_delay);
    assert!(by_rate.active_p95 <= 120.0, "{} s", by_rate.active_p95);
    assert!(by_rate.longest_gap <= 900.0, "somebody was not polled for {} s", by_rate.longest_gap);
    assert!((0.95..=1.0).contains(&by_rate.used), "{} of the budget", by_rate.used);
    let (least, most) = (by_rate.least_second, by_rate.most_second);
    assert!(most <= 1.1 && most / least < 1.2, "seconds with {least} to {most} of the calls of one");
}

#[test]
fn where_the_budget_is_too_small_for_all_everybody_waits_alike() {
    // What everybody takes at `idle_every` is 667.
    let per_minute = 500;
    let figures = figures(&mut ByFactRate::new(PROMOTERS, per_minute), per_minute);
    let alike = f64::from(PROMOTERS / per_minute) * 60.0;
    assert!(figures.longest_gap < alike * 1.05, "{} s beside {alike}", figures.longest_gap);
    assert!(figures.used > 0.95, "{} of the budget", figures.used);
}
