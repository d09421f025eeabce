//! What the polls' commits come to, for whoever looks: kept beside what the log tells of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::feed_rows::FeedRows;
use super::queue::QueueGauge;
use crate::clock;
use crate::model::batch::{Batch, Event};
use crate::model::disposition::RowCounts;
use crate::model::duration::milliseconds;
use crate::model::feed::{Feed, PerFeed, PulledBy};
use crate::model::time::{Day, UnixMillis};
use crate::telemetry::buckets::{BucketCounts, LONG, SHARES};

/// A fact that was older than this when it was seen, in milliseconds, is of a past that is read: what consumers wait for is what
/// happens now.
const LIVE_MAX: i64 = 24 * 3600 * 1000;

/// Since the process began, but for what is the case now.
#[derive(Debug)]
pub struct CommitFigures {
    /// By app and feed; the apps are those that are configured.
    rows: Mutex<BTreeMap<(String, Feed), RowCounts>>,
    /// From when a fact happened until it was durable.
    pub fact_ages: PerFeed<BucketCounts>,
    /// From when a fact was seen until it was durable.
    pub commit_delays: PerFeed<BucketCounts>,
    /// Which share of its feed's lateness was over when a fact was still not shown, of facts of which that is known.
    pub lateness_used: PerFeed<BucketCounts>,
    /// By app, in seconds.
    lateness: OnceLock<HashMap<String, PerFeed<i64>>>,
    pub shards: ShardFigures,
    queue: Mutex<Option<QueueGauge>>,
    /// How many facts this instance remembers now.
    remembered: AtomicU64,
}

/// Shards, as they are now.
#[derive(Debug, Default)]
pub struct ShardFigures {
    /// There are in all.
    pub partitions: AtomicU64,
    /// That are being taken over.
    pub restoring: AtomicU64,
    /// That are polled.
    pub polling: AtomicU64,
    /// How many milliseconds the latest restore took.
    pub restore_milliseconds: AtomicU64,
    /// Since when some are being taken over without a pause, in Unix milliseconds; 0 where none is.
    restoring_since: AtomicI64,
}

impl Default for CommitFigures {
    fn default() -> CommitFigures {
        CommitFigures {
            rows: Mutex::default(),
            fact_ages: PerFeed::new(|_| BucketCounts::new(LONG)),
            commit_delays: PerFeed::new(|_| BucketCounts::new(LONG)),
            lateness_used: PerFeed::new(|_| BucketCounts::new(SHARES)),
            lateness: OnceLock::new(),
            shards: ShardFigures::default(),
            queue: Mutex::default(),
            remembered: AtomicU64::default(),
        }
    }
}

impl CommitFigures {
    /// A transaction has been committed.
    pub(super) fn add(&self, rows: &FeedRows, batch: &Batch) {
        let mut sums = self.rows.lock();
        for (app, feed, counts) in rows.of_feeds() {
            *sums.entry((app.to_owned(), feed)).or_default() += counts;
        }
        // Not held over the events of a large batch: whoever asks for the metrics waits for this lock.
        drop(sums);
        let now = clock::now();
        let since = |time: UnixMillis| Duration::from_millis(now.0.saturating_sub(time.0).max(0).cast_unsigned());
        for event in &batch.events {
            self.add_lateness(event);
            let (feed, happened) = (event.fact.memory, event.fact.time.as_millis());
            if event.observed_at.0.saturating_sub(happened.0) < LIVE_MAX {
                self.fact_ages[feed].add_duration(since(happened));
                self.commit_delays[feed].add_duration(since(event.observed_at));
            }
        }
    }

    /// How long after it happened a fact may come to be shown, in seconds, by app.
    pub fn know_lateness(&self, lateness: HashMap<String, PerFeed<i64>>) {
        // Nobody says it twice, and what was said first holds.
        let _ = self.lateness.set(lateness);
    }

    /// The longest of this feed's over all apps, in seconds; zero before any is known.
    pub fn longest_lateness(&self, feed: Feed) -> i64 {
        let known = self.lateness.get().into_iter().flat_map(HashMap::values);
        known.map(|lateness| lateness[feed]).max().unwrap_or_default()
    }

    /// What nobody has asked for before may have been shown for long, and tells nothing of how late the upstream shows what
    /// happens: only that a fact was not there when the same was read last.
    fn add_lateness(&self, event: &Event) {
        let Some(asked_before) = event.asked_before else { return };
        let feed = event.fact.memory;
        let lateness = self.lateness.get().and_then(|known| known.get(event.promoter.app_id()));
        let Some(lateness) = lateness.map(|lateness| lateness[feed]).filter(|lateness| *lateness > 0) else { return };
        let from = match feed.pulled_by() {
            // Which zone the upstream means by a day is not documented: lateness counts from the later of both ends.
            PulledBy::Day => Day::in_beijing(event.fact.time).utc_end(),
            PulledBy::Window | PulledBy::Promoter => event.fact.time,
        };
        let used = asked_before.0.saturating_sub(from.0).max(0) as f64 / lateness as f64;
        if used <= 1.0 {
            self.lateness_used[feed].add(used);
        }
    }

    /// What became of the rows of a feed of an app.
    pub fn rows(&self, app: &str, feed: Feed) -> RowCounts {
        self.rows.lock().get(&(app.to_owned(), feed)).copied().unwrap_or_default()
    }

    /// So many facts are remembered now.
    pub fn remembers(&self, facts: usize) {
        self.remembered.store(facts as u64, Ordering::Relaxed);
    }

    /// How many facts are remembered.
    pub fn remembered(&self) -> u64 {
        self.remembered.load(Ordering::Relaxed)
    }

    /// From now on this is the queue.
    pub fn watch_queue(&self, gauge: QueueGauge) {
        *self.queue.lock() = Some(gauge);
    }

    /// About how many bytes the queue holds, and may hold at most.
    pub fn queue_bytes(&self) -> (usize, usize) {
        self.queue.lock().as_ref().map_or((0, 0), QueueGauge::bytes)
    }
}

impl ShardFigures {
    pub fn set(&self, partitions: i32, restoring: usize, polling: usize) {
        self.partitions.store(u64::try_from(partitions).unwrap_or(0), Ordering::Relaxed);
        self.restoring.store(restoring as u64, Ordering::Relaxed);
        self.polling.store(polling as u64, Ordering::Relaxed);
        let since = match self.restoring_since.load(Ordering::Relaxed) {
            _ if restoring == 0 => 0,
            0 => clock::now().0,
            since => since,
        };
        self.restoring_since.store(since, Ordering::Relaxed);
    }

    /// Since when partitions are being taken over without a pause, and how many are now; nothing where none is.
    pub fn restoring_since(&self) -> Option<(UnixMillis, u64)> {
        let since = self.restoring_since.load(Ordering::Relaxed);
        (since != 0).then(|| (UnixMillis(since), self.restoring.load(Ordering::Relaxed)))
    }

    pub fn restored(&self, took: Duration) {
        self.restore_milliseconds.store(milliseconds(took), Ordering::Relaxed);
    }

    /// The session is over: nothing is polled any more.
    pub fn clear(&self) {
        self.restoring.store(0, Ordering::Relaxed);
        self.polling.store(0, Ordering::Relaxed);
        self.restoring_since.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fact::Fact;
    use crate::model::promoter::Promoter;
    use crate::model::row::Touch;
    use crate::model::time::UnixTime;

    #[test]
    fn lateness_is_used_by_what_was_asked_for_and_not_shown() {
        const HAPPENED: UnixTime = UnixTime(1_700_000_000);
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let fact = Fact::touch(&promoter, HAPPENED, Touch::default(), Box::default());
        let figures = CommitFigures::default();
        figures.know_lateness(HashMap::from([("wx1".to_owned(), PerFeed::new(|_| 600))]));
        // However late it is seen.
        let observed_at = HAPPENED.plus(590).as_millis();
        let add = |asked_before| {
            let event = Event { promoter: promoter.clone(), fact: fact.clone(), observed_at, asked_before };
            figures.add(&FeedRows::default(), &Batch { events: vec![event], ..Batch::default() });
            let used = figures.lateness_used[Feed::Touches].snapshot();
            (used.total(), used.above(0.8), used.above(0.5))
        };
        assert_eq!(add(None), (0, 0, 0), "a feed that was never polled, or that nobody polled for long");
        assert_eq!(add(Some(HAPPENED.minus(60))), (1, 0, 0));
        assert_eq!(add(Some(HAPPENED.plus(400))), (2, 0, 1));
        assert_eq!(add(Some(HAPPENED.plus(530))), (3, 1, 2));
    }

    #[test]
    fn partitions_are_restored_since_the_first_of_them_until_none_is() {
        let shards = ShardFigures::default();
        shards.set(3, 0, 0);
        assert_eq!(shards.restoring_since(), None);
        shards.set(3, 2, 1);
        let (since, _) = shards.restoring_since().unwrap();
        std::thread::sleep(Duration::from_millis(3));
        shards.set(3, 1, 2);
        assert_eq!(shards.restoring_since(), Some((since, 1)));
        shards.set(3, 0, 3);
        assert_eq!(shards.restoring_since(), None);
        shards.set(3, 1, 2);
        shards.clear();
        assert_eq!(shards.restoring_since(), None, "the session is over");
    }
}
