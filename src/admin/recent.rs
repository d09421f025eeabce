//! What has come lately: what counters that only grow have grown by within an hour, or a day, and since when a cause is one. Noted
//! by whoever looks; its size is that of apps, feeds and kinds of dead letters.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::counters::{Counters, NewRows};
use crate::clock;
use crate::model::feed::{Feed, PerFeed};
use crate::model::time::UnixMillis;
use crate::telemetry::buckets::BucketSnapshot;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Lives as long as the process.
#[derive(Debug)]
pub struct Recent(Mutex<RecentState>);

#[derive(Debug)]
struct RecentState {
    rows: CounterWindow<NewRows>,
    lateness_used: CounterWindow<PerFeed<BucketSnapshot>>,
    /// When the first of each kind was met.
    letters_met: BTreeMap<(&'static str, &'static str), UnixMillis>,
    causes_met: BTreeMap<CauseKey, UnixMillis>,
}

/// What tells a cause from others: its code, its app where it has one, and what of that it concerns.
pub type CauseKey = (&'static str, Option<String>, &'static str);

impl Default for Recent {
    fn default() -> Recent {
        Recent(Mutex::new(RecentState {
            rows: CounterWindow::new(HOUR, MINUTE),
            lateness_used: CounterWindow::new(DAY, HOUR),
            letters_met: BTreeMap::new(),
            causes_met: BTreeMap::new(),
        }))
    }
}

impl Recent {
    /// Looks at the counters; to be called each few seconds.
    pub fn note(&self, counters: Counters<'_>) {
        let now = Instant::now();
        let letters = counters.dead_letters();
        let mut state = self.0.lock();
        state.rows.note(now, || counters.rows());
        state.lateness_used.note(now, || counters.lateness_used());
        for kind in letters.into_keys() {
            state.letters_met.entry(kind).or_insert_with(clock::now);
        }
    }

    /// The rows that were new within the last hour.
    pub fn rows_of_hour(&self, counters: Counters<'_>) -> NewRows {
        let mut rows = counters.rows();
        if let Some(before) = self.0.lock().rows.before(Instant::now()) {
            for (of_feed, [published, dead]) in before {
                let since = rows.entry(of_feed.clone()).or_default();
                *since = [since[0].saturating_sub(*published), since[1].saturating_sub(*dead)];
            }
        }
        rows
    }

    /// How much of their lateness was over when the facts of the last day were not shown yet.
    pub fn lateness_of_day(&self, counters: Counters<'_>) -> PerFeed<BucketSnapshot> {
        let mut used = counters.lateness_used();
        if let Some(before) = self.0.lock().lateness_used.before(Instant::now()) {
            Feed::ALL.into_iter().for_each(|feed| used[feed] -= &before[feed]);
        }
        used
    }

    /// The kinds of dead letters whose first was met within the last hour, and when; since the process began.
    pub fn new_letters(&self) -> Vec<((&'static str, &'static str), UnixMillis)> {
        let earliest = clock::now().minus(HOUR);
        let state = self.0.lock();
        state.letters_met.iter().filter(|(_, met)| **met >= earliest).map(|(kind, met)| (*kind, *met)).collect()
    }

    /// Since when each of these causes is one without a pause, as far as anybody has looked. Those that are not among them are over.
    pub fn since(&self, causes: &BTreeSet<CauseKey>) -> BTreeMap<CauseKey, UnixMillis> {
        let met = &mut self.0.lock().causes_met;
        met.retain(|cause, _| causes.contains(cause));
        for cause in causes {
            met.entry(cause.clone()).or_insert_with(clock::now);
        }
        met.clone()
    }
}

/// What counters were for as long as `length`, noted each `every`: as many values as the one has of the other.
#[derive(Debug)]
struct CounterWindow<T> {
    length: Duration,
    every: Duration,
    noted: VecDeque<(Instant, T)>,
}

impl<T> CounterWindow<T> {
    fn new(length: Duration, every: Duration) -> CounterWindow<T> {
        CounterWindow { length, every, noted: VecDeque::new() }
    }

    fn note(&mut self, now: Instant, value: impl FnOnce() -> T) {
        if self.noted.back().is_some_and(|(at, _)| now.duration_since(*at) < self.every) {
            return;
        }
        self.noted.push_back((now, value()));
        // The first one is kept that is as old as the window is long: what has come since is told by it.
        while self.noted.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= self.length) {
            self.noted.pop_front();
        }
    }

    /// What they were so long ago; nothing where that was not noted, for the process is younger.
    fn before(&self, now: Instant) -> Option<&T> {
        self.noted.front().filter(|(at, _)| now.duration_since(*at) >= self.length).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_tells_what_counters_were_as_long_ago_as_it_is_long_and_no_longer() {
        let (mut window, began) = (CounterWindow::new(HOUR, MINUTE), Instant::now());
        for second in (0..7200).step_by(5) {
            let now = began + Duration::from_secs(second);
            window.note(now, || second);
            let before = window.before(now).copied();
            match second {
                ..3600 => assert_eq!(before, None, "it is younger"),
                _ => assert!(before.is_some_and(|before| (3600..3660).contains(&(second - before))), "{before:?}"),
            }
            assert!(window.noted.len() <= 62, "{}", window.noted.len());
        }
    }

    #[test]
    fn a_cause_is_one_since_it_was_met_until_it_is_over() {
        let (recent, cause) = (Recent::default(), ("late", Some("wx1".to_owned()), "orders"));
        let one = BTreeSet::from([cause.clone()]);
        let since = recent.since(&one)[&cause];
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(recent.since(&one)[&cause], since);
        assert!(recent.since(&BTreeSet::new()).is_empty());
        assert!(recent.since(&one)[&cause] > since, "it begins anew");
    }
}
