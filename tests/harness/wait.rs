//! Waiting on a condition, with a bound.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks at a condition: short against what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So many times as long as a look took passes before the next: what is waited for needs the machine more.
const PAUSES_PER_LOOK: u32 = 2;

/// Looks until there is something to see. `what` completes the sentence "in vain until …" of the error.
pub fn wait_until<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let looked = Instant::now();
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        let pause = LOOK_EVERY.max(looked.elapsed() * PAUSES_PER_LOOK);
        if start.elapsed() > bound {
            bail!("waited {bound:?} in vain until {what}");
        }
        std::thread::sleep(pause);
    }
}

/// Runs a future of a client whose interface is async. The harness itself is not.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime without threads needs only a few descriptors")
        .block_on(future)
}
