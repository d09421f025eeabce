//! Many seeds of a simulation, side by side; the first that fails is printed with how to run it again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs `run` for SIMULATION_SEED alone, or for SIMULATION_SEEDS of them (`default`), and gives back what came of each.
/// Panics with the first seed that failed; `test` names the test binary.
pub fn each<R: Send>(test: &str, default: u64, run: impl Fn(u64) -> Result<R, String> + Sync) -> Vec<R> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_SEEDS").unwrap_or(default),
    };
    let next = AtomicU64::new(seeds.start);
    let (outcomes, failures) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match run(seed) {
                        Ok(outcome) => outcomes.lock().unwrap().push(outcome),
                        Err(error) => failures.lock().unwrap().push((seed, error)),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    if let Some((seed, error)) = failures.first() {
        let (failed, all) = (failures.len(), seeds.end - seeds.start);
        panic!("{failed} of {all} seeds failed; one: SIMULATION_SEED={seed} cargo test --test {test}\n{error}");
    }
    outcomes.into_inner().unwrap()
}
