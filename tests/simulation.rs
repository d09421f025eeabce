//! The whole connector on paused time against the simulated upstream, many seeds of it.
//!
//! Everything is real but the network, Kafka and the clock: schedulers, pollers, client, tokens, retries, committer and
//! supervisor run against a seeded world (late rows, duplicates, moving pages, edits, every class of error) and a log
//! in memory that aborts, loses answers and dies at its named points. In the end everything that the world has shown
//! must have been published exactly once, and nothing else; and the ledger tells of each day what was.
//!
//! ```text
//! cargo test --test simulation                            # SIMULATION_SEEDS of them, 150 by default
//! SIMULATION_SEED=17 cargo test --test simulation         # one of them again
//! ```

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "simulation/days.rs"]
mod days;
#[path = "simulation/judge.rs"]
mod judge;
#[path = "simulation/process_runs.rs"]
mod process_runs;
#[path = "harness/seeds.rs"]
mod seeds;
#[path = "simulation/watched.rs"]
mod watched;
#[path = "simulation/world.rs"]
mod world;

use promoter_connector::model::day_record::CountedDay;
use promoter_connector::model::dead_letter::DeadLetter;

use days::judge_days;
use judge::judge;
use process_runs::{Outcome, live};

fn run(seed: u64) -> Result<(usize, u64, usize), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(live(seed))?;
    Ok((judge(&outcome)?, outcome.crashes, judge_days(&outcome)?))
}

#[test]
fn whatever_happens_every_fact_shown_is_published_once() {
    let outcomes = seeds::each("simulation", 150, run);
    let facts: usize = outcomes.iter().map(|(shown, ..)| shown).sum();
    let crashes: u64 = outcomes.iter().map(|(_, died, _)| died).sum();
    let closed: usize = outcomes.iter().map(|(.., closed)| closed).sum();
    println!("{} seeds, {facts} facts, {crashes} crashes, {closed} days closed", outcomes.len());
    assert!(facts > 0 && closed > 0, "nothing was shown or closed, so nothing is proven");
}

#[test]
fn a_log_that_drops_or_doubles_one_event_is_caught() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(live(1)).unwrap();
    assert!(judge(&outcome).is_ok());
    let event = outcome.durable.lock().unwrap().events.pop().unwrap();
    assert!(judge(&outcome).is_err(), "a dropped event was not missed");
    outcome.durable.lock().unwrap().events.extend([event.clone(), event]);
    assert!(judge(&outcome).is_err(), "a doubled event went unnoticed");
    outcome.durable.lock().unwrap().events.pop();
    let letter = some_dead_letter(&outcome);
    outcome.durable.lock().unwrap().dead_letters.push(letter);
    assert!(judge(&outcome).is_err(), "a doubled dead letter went unnoticed");
}

#[test]
fn a_ledger_that_counts_otherwise_or_closes_an_open_day_is_caught() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(live(1)).unwrap();
    assert!(judge_days(&outcome).unwrap() > 0, "no day was closed");
    let whole = outcome.durable.lock().unwrap().ledger.clone();
    for key in whole.keys() {
        let forged = |forge: &dyn Fn(&mut CountedDay)| {
            let mut ledger = whole.clone();
            forge(ledger.get_mut(key).unwrap());
            outcome.durable.lock().unwrap().ledger = ledger;
            judge_days(&outcome)
        };
        assert!(forged(&|_| {}).is_ok());
        assert!(forged(&|day| day.status.counts.published += 1).is_err(), "{key:?}: an event too many");
        assert!(forged(&|day| day.status.counts.dead_letters += 1).is_err(), "{key:?}: a dead letter too many");
        if whole[key].status.closed_at.is_some() {
            assert!(forged(&|day| day.status.closed_at = None).is_err(), "{key:?}: it is not open");
            let mut ledger = whole.clone();
            ledger.remove(key);
            outcome.durable.lock().unwrap().ledger = ledger;
            assert!(judge_days(&outcome).is_err(), "{key:?} is gone, and nobody has missed it");
        }
    }
}

fn some_dead_letter(outcome: &Outcome) -> DeadLetter {
    outcome.durable.lock().unwrap().dead_letters.first().cloned().expect("this seed has unreadable rows")
}
