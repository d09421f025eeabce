//! The pace of an interface's calls within the minute, and what the upstream's own answers correct of it.

use std::time::Duration;

use parking_lot::Mutex as SyncMutex;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Turn;
use crate::model::pacing::call_pace::CallPace;

/// A burst is what comes in a tenth of a second: so no second differs from another by more.
const BURSTS_PER_MINUTE: u32 = 600;
/// After calls that were too fast, so much of what was borne is called.
const BORNE_PART: f64 = 0.95;
/// So many calls in a minute tell what is borne, and so large a part of those that might have been made. Fewer tell only that
/// there are others, or that it is less: a minute in which few were wanted, or that has just begun, would slow everybody down for hours.
const TELLING_CALLS: f64 = 30.0;
const TELLING_PART: f64 = 0.25;
/// What a correction takes at most where that is not told.
const HALF: f64 = 0.5;
/// The answers of calls that were under way with a call that was too fast correct nothing further.
const CORRECTED_AGAIN: Duration = Duration::from_secs(60);
/// By how much calls come faster an hour after a correction. That doubles each hour: a limit that stays is met once an hour
/// or two, and a trouble that has passed is forgotten in some hours.
const FASTER: f64 = 0.05;
const SLOWEST: f64 = 1.0 / 60.0;

/// Spaces calls so that no window of sixty seconds holds more than `per_minute` of them.
///
/// A limiter with burst `b` and one call every `T` lets at most `b + 60 s / T` calls into any window of sixty seconds: a
/// full burst, then what is replenished. So with `b` a small part of the budget, the rest is what is replenished in a
/// minute. The least is one call a minute, where the two are one and the same.
pub(super) struct MinuteLimiter {
    state: SyncMutex<LimiterState>,
    origin: Instant,
    /// Who waits holds this, so that turns are given in the order they were asked for.
    queue: Mutex<()>,
    /// By [`Turn`]. Of each kind only the first one stands in the queue.
    kinds: [Mutex<()>; 2],
}

struct LimiterState {
    /// Calls a second as configured, if they are, and how many of them may come together.
    full: Option<f64>,
    together: f64,
    pace: CallPace,
    /// The rate that was set then, and when.
    corrected: Option<(f64, Duration)>,
    recent: RecentCalls,
}

impl MinuteLimiter {
    /// 0 is no limit.
    pub fn new(per_minute: u32) -> MinuteLimiter {
        let burst = (per_minute / BURSTS_PER_MINUTE).max(1);
        let replenished = per_minute.saturating_sub(burst).max(1);
        // A little less than a call each period: what is rounded must not let one more into a minute.
        let full = (per_minute > 0).then(|| f64::from(replenished) / 60.0 * (1.0 - 1e-6));
        let (pace, recent) = (CallPace::default(), RecentCalls::default());
        let mut state = LimiterState { full, together: f64::from(burst), pace, corrected: None, recent };
        state.follow(Duration::ZERO);
        let (queue, kinds) = (Mutex::default(), Default::default());
        MinuteLimiter { state: SyncMutex::new(state), origin: Instant::now(), queue, kinds }
    }

    /// Calls a second in the long run; nothing where they have no limit.
    pub fn rate(&self) -> Option<f64> {
        self.state.lock().rate(self.origin.elapsed())
    }

    /// A call is sent.
    pub fn count(&self) {
        self.state.lock().recent.add(self.origin.elapsed());
    }

    /// As [`super::Budget::too_fast`].
    pub fn too_fast(&self) -> Option<f64> {
        self.state.lock().too_fast(self.origin.elapsed())
    }

    /// As [`super::Budget::turn`].
    ///
    /// # Errors
    /// That of `may_go_on`, which is asked while it waits.
    pub async fn turn<E>(&self, turn: Turn, may_go_on: impl Fn() -> Result<(), E>) -> Result<(), E> {
        let _first_of_its_kind = self.kinds[turn as usize].lock().await;
        let _first = self.queue.lock().await;
        loop {
            may_go_on()?;
            match self.take() {
                None => return Ok(()),
                Some(ready) => tokio::time::sleep_until(self.origin + ready).await,
            }
        }
    }

    /// Takes a call of those that may be made now, or tells when one may.
    fn take(&self) -> Option<Duration> {
        let clock = self.origin.elapsed();
        let mut state = self.state.lock();
        state.follow(clock);
        let ready = state.pace.ready();
        if ready > clock {
            return Some(ready);
        }
        state.pace.spend(1, clock);
        None
    }
}

impl LimiterState {
    fn rate(&self, clock: Duration) -> Option<f64> {
        let Some((rate, at)) = self.corrected else { return self.full };
        let hours = clock.saturating_sub(at).as_secs_f64() / 3600.0;
        let recovered = rate * (1.0 + FASTER * (hours.exp2() - 1.0));
        Some(self.full.map_or(recovered, |full| full.min(recovered)))
    }

    /// Sets the pace to what the rate has come to.
    fn follow(&mut self, clock: Duration) {
        self.pace.set(self.rate(clock), self.together);
    }

    fn too_fast(&mut self, clock: Duration) -> Option<f64> {
        let is_answered = |(_, at): (f64, Duration)| clock < at + CORRECTED_AGAIN;
        if self.corrected.is_some_and(is_answered) {
            return None;
        }
        let calls = f64::from(self.recent.within_a_minute(clock));
        let borne = calls / 60.0 * BORNE_PART;
        let rate = self.rate(clock);
        let tells_little = |rate: &f64| calls < TELLING_CALLS.max(rate * 60.0 * TELLING_PART);
        let least = rate.filter(tells_little).map_or(SLOWEST, |rate| rate * HALF);
        let slower = borne.max(least);
        if rate.is_some_and(|rate| slower >= rate) {
            return None;
        }
        self.corrected = Some((slower, clock));
        Some(slower)
    }
}

/// How many calls were sent in the last minute, by the second.
struct RecentCalls {
    by_second: [u32; 60],
    /// The latest of them, counted from the start.
    second: u64,
}

impl Default for RecentCalls {
    fn default() -> Self {
        RecentCalls { by_second: [0; 60], second: 0 }
    }
}

impl RecentCalls {
    fn add(&mut self, clock: Duration) {
        self.pass(clock);
        self.by_second[(self.second % 60) as usize] += 1;
    }

    fn within_a_minute(&mut self, clock: Duration) -> u32 {
        self.pass(clock);
        self.by_second.iter().sum()
    }

    /// Forgets the seconds that are over for a minute.
    fn pass(&mut self, clock: Duration) {
        let passed = clock.as_secs().saturating_sub(self.second);
        for second in 0..passed.min(60) {
            self.by_second[((clock.as_secs() - second) % 60) as usize] = 0;
        }
        self.second += passed;
    }
}
