//! The pace of an interface's calls within the minute: this instance's share of it, and what the upstream's own answers correct.

use std::time::Duration;

use crate::model::pacing::call_pace::CallPace;
use crate::model::quota_share::Share;

/// A burst is what comes in a tenth of a second: so no second differs from another by more.
const BURSTS_PER_MINUTE: f64 = 600.0;
/// A little less than a call each period: what is rounded must not let one more into a minute.
const ROUNDED: f64 = 1.0 - 1e-6;
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
/// What was called before one's own first call is over after so long.
const MINUTE: Duration = Duration::from_secs(60);

/// Spaces calls so that no window of sixty seconds holds more than `per_minute` of them, over all instances together: why, is
/// argued in [`super`]. Clocks are durations since some fixed moment.
pub(super) struct MinuteBudget {
    /// Of the app; 0 is no limit.
    per_minute: u32,
    share: Share,
    pace: CallPace,
    /// Calls a second of the app that were set then, and when.
    corrected: Option<(f64, Duration)>,
    recent: RecentCalls,
}

/// A pace that keeps a number of calls a minute.
struct MinutePace {
    /// Calls a second.
    rate: f64,
    together: f64,
}

impl MinutePace {
    /// So many calls a minute: `together` at once, and what is earned within the minute is the rest.
    ///
    /// The least is one call a minute, where the two are one and the same. Less than one comes once in several minutes.
    fn of(calls: f64) -> MinutePace {
        let together = (calls / BURSTS_PER_MINUTE).max(1.0);
        let earned = if calls < 1.0 { calls } else { (calls - together).max(1.0) };
        MinutePace { rate: earned / 60.0 * ROUNDED, together }
    }
}

impl MinuteBudget {
    /// The whole of it is this instance's, until it is told otherwise.
    pub fn new(per_minute: u32) -> MinuteBudget {
        let (pace, recent) = (CallPace::default(), RecentCalls::default());
        let mut budget = MinuteBudget { per_minute, share: Share::ALL, pace, corrected: None, recent };
        budget.follow(Duration::ZERO);
        budget
    }

    /// This share is the instance's from now on, with `taken_over` shards that were somebody else's. Each of those may have made
    /// a call that it had not earned within the last minute, and which is paid for here.
    pub fn set_share(&mut self, share: Share, taken_over: u32, clock: Duration) {
        // Up to now at the old share, and from now on at the new one.
        self.follow(clock);
        let more = share.of(f64::from(self.per_minute)) - self.share.of(f64::from(self.per_minute));
        // What may be kept of it elsewhere was kept, and is earned here.
        let paid = if more > 0.0 && !self.share.is_none() { (more / BURSTS_PER_MINUTE).ceil() as u32 } else { 0 };
        self.share = share;
        self.follow(clock);
        // With the last shard goes the whole call that is kept at least, too.
        if share.is_none() {
            self.pace.hold_down_to(0.0, clock);
        }
        self.pace.spend(taken_over.saturating_add(paid), clock);
        // After a minute without a call there is nothing left to be paid for.
        self.pace.owe_at_most(self.rate(clock).unwrap_or_default() * MINUTE.as_secs_f64());
    }

    /// Calls a second in the long run; nothing where they have no limit.
    pub fn rate(&self, clock: Duration) -> Option<f64> {
        let full = self.full().map(|pace| pace.rate);
        let Some((rate, at)) = self.corrected else { return full };
        let hours = clock.saturating_sub(at).as_secs_f64() / 3600.0;
        let recovered = self.share.of(rate * (1.0 + FASTER * (hours.exp2() - 1.0)));
        Some(full.map_or(recovered, |full| full.min(recovered)))
    }

    /// When the next call may be made.
    pub fn ready(&mut self, clock: Duration) -> Duration {
        self.follow(clock);
        self.pace.ready()
    }

    pub fn take(&mut self, clock: Duration) {
        self.pace.spend(1, clock);
    }

    /// A call is sent.
    pub fn count(&mut self, clock: Duration) {
        self.recent.add(clock);
    }

    /// How many calls were sent within the last minute.
    pub fn latest(&mut self, clock: Duration) -> u32 {
        self.recent.within_a_minute(clock)
    }

    /// As [`super::Budget::too_fast`].
    pub fn too_fast(&mut self, clock: Duration) -> Option<f64> {
        let is_answered = |(_, at): (f64, Duration)| clock < at + CORRECTED_AGAIN;
        if self.corrected.is_some_and(is_answered) || self.share.is_none() {
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
        self.corrected = Some((self.share.whole_of(slower), clock));
        Some(slower)
    }

    fn full(&self) -> Option<MinutePace> {
        (self.per_minute > 0).then(|| MinutePace::of(self.share.of(f64::from(self.per_minute))))
    }

    /// Sets the pace to what the rate has come to.
    fn follow(&mut self, clock: Duration) {
        let together = self.full().map_or(1.0, |pace| pace.together);
        self.pace.set(self.rate(clock), together, clock);
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
