//! How much is logged.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// From the rarest to the most frequent.
pub const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

static EVENTS: [AtomicU64; LEVELS.len()] = [const { AtomicU64::new(0) }; LEVELS.len()];

/// Counts what the log's filter lets pass.
pub struct EventCounter;

impl<S: Subscriber> Layer<S> for EventCounter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        EVENTS[position(*event.metadata().level())].fetch_add(1, Ordering::Relaxed);
    }
}

/// How many there were of a level, since the process began.
pub fn events(level: Level) -> u64 {
    EVENTS[position(level)].load(Ordering::Relaxed)
}

fn position(level: Level) -> usize {
    LEVELS.iter().position(|one| *one == level).unwrap_or(0)
}
