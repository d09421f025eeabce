//! Who has yet to begin, where many do at once. They begin in parts: the first of a million are polled while the first cursors of
//! others are still written, what a beginning needs is held for a part, and what changes of a promoter waits for a part and not for
//! all.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::begin_times::BeginTimes;
use super::polled_promoter::PolledPromoter;
use crate::commit::totals::IdleStarts;
use crate::model::age::AgeLimits;
use crate::model::feed::{Feed, PerFeed, StartFrom};
use crate::model::promoter::Promoter;
use crate::model::state::Cursors;
use crate::model::time::UnixTime;
use crate::poll::polled_feeds::PolledFeed;

/// How many promoters begin together at most. Fewer in tests: it takes long to simulate as many as begin in several parts.
pub(super) const BEGIN_MAX: usize = if cfg!(test) { 300 } else { 10_000 };

/// How far the clocks of two instances may be apart that both go by the upstream's, in seconds.
const CLOCKS_APART: i64 = 2;

/// A promoter that is to be polled since then, and whom nothing polls before he has begun.
#[derive(Debug)]
pub(super) struct WaitingPromoter {
    pub promoter: PolledPromoter,
    pub since: Instant,
    /// How many seconds later that was told, where an earlier time was kept of him. Packed, for a million may wait.
    told_later: u32,
}

/// Promoters that came together.
#[derive(Debug, Default)]
pub(super) struct BeginGroup {
    /// In no order: whoever is told to the scheduler is polled in its own.
    waiting: Vec<WaitingPromoter>,
    /// Feeds of those who have begun that are told when all of the group have: they go through time together, and whoever came first
    /// would run ahead of the others.
    pub far_behind: Vec<PolledFeed>,
    pub idle_starts: IdleStarts,
}

/// Groups, each of which begins a part when it has its turn.
#[derive(Debug, Default)]
pub(super) struct BeginQueue(VecDeque<BeginGroup>);

impl BeginGroup {
    pub fn new(waiting: impl IntoIterator<Item = WaitingPromoter>) -> BeginGroup {
        BeginGroup { waiting: waiting.into_iter().collect(), ..BeginGroup::default() }
    }

    /// Whether it begins in more than one part.
    pub fn is_large(&self) -> bool {
        self.waiting.len() > BEGIN_MAX
    }

    pub fn is_begun(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Who begins next: [`BEGIN_MAX`] at most.
    pub fn next_part(&mut self) -> Vec<WaitingPromoter> {
        self.waiting.split_off(self.waiting.len().saturating_sub(BEGIN_MAX))
    }

    /// Since when those are to be polled who have not begun and may do so "now".
    pub fn times(self) -> impl Iterator<Item = (Promoter, Instant)> {
        let begins_now = self.waiting.into_iter().filter(|waiting| waiting.promoter.may_begin_now());
        begins_now.map(|waiting| (waiting.promoter.promoter, waiting.since))
    }

    /// Those of whom an earlier time is kept have waited since then, unless that is longer ago than `forget`.
    pub fn wait_since(&mut self, times: &BeginTimes, forget: Duration) {
        let told = self.waiting.iter_mut().map(|WaitingPromoter { promoter, since, told_later }| {
            let put_back = move |first: Instant| {
                let later = since.saturating_duration_since(first).as_secs();
                *told_later = told_later.saturating_add(u32::try_from(later).unwrap_or(u32::MAX));
                *since = first.min(*since);
            };
            (&promoter.promoter, put_back)
        });
        times.take(told, forget);
    }
}

impl WaitingPromoter {
    pub fn new(promoter: PolledPromoter, told: Instant) -> WaitingPromoter {
        WaitingPromoter { promoter, since: told, told_later: 0 }
    }

    /// Where each of his feeds without a cursor begins that begins "now", where clocks tell `now`.
    ///
    /// Where the registry's first record of him was written that asks for it: whoever wrote it was answered then, and what is said of him
    /// later, or happens to instances until one of them begins with him, is nothing to him. But not behind when he was told of, should the
    /// writer's clock be ahead, nor longer before than it counts, nor before what its topic takes and keeps.
    ///
    /// Else, and where that is later, at the time that is kept of him; but not where he has begun behind that, with another instance:
    /// what he has no cursor of, he was given later.
    pub fn begins_at(
        &self,
        cursors: &Cursors,
        now: UnixTime,
        forget: Duration,
        limits: &AgeLimits,
    ) -> PerFeed<UnixTime> {
        let since = moment(self.since, now);
        let told = since.plus(self.told_later.into());
        let has_begun_behind = Feed::ALL.into_iter().any(|feed| {
            let begins_now = self.promoter.feeds[feed].is_some_and(|plan| plan.start_from == StartFrom::Now);
            begins_now && cursors[feed].is_some_and(|cursor| cursor.polled && cursor.start > since.plus(CLOCKS_APART))
        });
        let kept = if has_begun_behind { told } else { since };
        PerFeed::new(|feed| {
            let Some(asked_for) = self.promoter.registered.begins(feed, told, forget) else { return kept };
            let limit = limits.passed(feed, asked_for, now);
            limit.map_or(asked_for, |limit| now.minus(limit.seconds)).min(kept)
        })
    }
}

/// When `since` was, where clocks tell `now`; never later.
fn moment(since: Instant, now: UnixTime) -> UnixTime {
    // Rounded up: "now" is cut to a whole second as well, and must not come to lie behind that moment.
    let ago = since.elapsed() + Duration::from_millis(999);
    now.minus(i64::try_from(ago.as_secs()).unwrap_or(i64::MAX))
}

impl BeginQueue {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, group: BeginGroup) {
        self.0.push_back(group);
    }

    /// The group that has waited longest.
    pub fn pop(&mut self) -> Option<BeginGroup> {
        self.0.pop_front()
    }

    /// Takes those who wait among `promoters`, and forgets the feeds of those among them that are still to be told.
    pub fn take(&mut self, promoters: &HashSet<&Promoter>) -> Vec<WaitingPromoter> {
        let mut taken = Vec::new();
        for group in &mut self.0 {
            group.far_behind.retain(|feed| !promoters.contains(&feed.promoter));
            let waits = |waiting: &mut WaitingPromoter| promoters.contains(&waiting.promoter.promoter);
            taken.extend(group.waiting.extract_if(.., waits));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::age::AgeLimit;
    use crate::model::cursor::Cursor;
    use crate::model::feed::PerEventTopic;
    use crate::model::feed_set::FeedSet;
    use crate::model::pacing::PollSettings;
    use crate::model::time::UnixMillis;
    use crate::registry::registered_since::RegisteredSince;
    use crate::session::polled_promoter::FeedPlan;

    const NOW: UnixTime = UnixTime(1_700_000_000);
    const FORGET: Duration = Duration::from_secs(30 * 86_400);

    fn millis(time: UnixTime) -> UnixMillis {
        UnixMillis(time.0 * 1000)
    }

    /// Where nothing bounds it but the records.
    fn unbounded(waiting: &WaitingPromoter, cursors: &Cursors) -> PerFeed<UnixTime> {
        waiting.begins_at(cursors, NOW, FORGET, &AgeLimits::default())
    }

    /// Told of now, where a time of 100 seconds ago is kept of him.
    async fn waiting(registered: RegisteredSince) -> WaitingPromoter {
        let every = Duration::from_secs(60);
        let settings = PollSettings { every, idle_every: every, lateness: 600 };
        let plan = Some(FeedPlan { settings, start_from: StartFrom::Now });
        let feeds = PerFeed { touches: plan, orders: plan, ..PerFeed::default() };
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let (refunds_lateness, refunds_start) = (600, StartFrom::Now);
        let promoter = PolledPromoter { promoter, feeds, refunds_lateness, refunds_start, registered };
        let (times, since) = (BeginTimes::default(), Instant::now());
        times.keep([(promoter.promoter.clone(), since)]);
        tokio::time::sleep(Duration::from_secs(100)).await;
        let mut group = BeginGroup::new([WaitingPromoter::new(promoter, Instant::now())]);
        group.wait_since(&times, Duration::from_secs(3600));
        group.next_part().remove(0)
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_begun_elsewhere_behind_the_time_that_is_kept_of_him_begins_another_feed_when_it_was_told() {
        let waiting = waiting(RegisteredSince::default()).await;
        let begun = |cursor| Cursors { touches: Some(cursor), ..Cursors::default() };
        let kept = NOW.minus(100);
        for (cursors, begins_at) in [
            (Cursors::default(), kept),
            (begun(Cursor::begin(Feed::Touches, kept.minus(3600))), kept),
            (begun(Cursor::begin(Feed::Touches, kept.plus(2))), kept),
            (begun(Cursor::begin(Feed::Touches, kept.plus(3))), NOW),
            // What is only remembered was begun by nobody.
            (begun(Cursor::memory(kept.plus(3))), kept),
        ] {
            assert_eq!(unbounded(&waiting, &cursors).orders, begins_at, "{cursors:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_registered_begins_where_his_record_was_written_unless_that_is_later_or_long_ago() {
        let kept = NOW.minus(100);
        for (registered_at, begins_at) in [
            (kept.minus(1), kept.minus(1)),
            (NOW.minus(12 * 3600), NOW.minus(12 * 3600)),
            (NOW.minus(12 * 3600 + 1), kept),
            (kept.plus(1), kept),
            (NOW.plus(60), kept),
        ] {
            let waiting = waiting(RegisteredSince::first(millis(registered_at), FeedSet::default())).await;
            assert_eq!(unbounded(&waiting, &Cursors::default()).touches, begins_at, "{registered_at}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_comes_later_begins_where_it_was_asked_for_and_the_first_where_he_was_registered() {
        let (first, later) = (NOW.minus(900), NOW.minus(300));
        let touches = RegisteredSince::first(millis(first), FeedSet::from_iter([Feed::Touches]));
        let waiting = waiting(touches.then(millis(later), FeedSet::from_iter([Feed::Touches, Feed::Orders]))).await;
        let begins_at = unbounded(&waiting, &Cursors::default());
        assert_eq!((begins_at.touches, begins_at.orders), (first, later));
        assert_eq!(begins_at.refunds, later, "orders meet them");
        let begun = Cursors { touches: Some(Cursor::begin(Feed::Touches, first)), ..Cursors::default() };
        assert_eq!(unbounded(&waiting, &begun).orders, later);
    }

    #[tokio::test(start_paused = true)]
    async fn no_feed_begins_before_what_its_topic_takes_or_where_what_was_published_is_forgotten() {
        let waiting = waiting(RegisteredSince::first(millis(NOW.minus(9000)), FeedSet::default())).await;
        let limit = AgeLimit { seconds: 7200, set_by: "retention.ms".into(), consequence: String::new() };
        let limits = AgeLimits(PerEventTopic { touches: vec![limit], ..PerEventTopic::default() });
        let begins_at = |forget, limits| waiting.begins_at(&Cursors::default(), NOW, forget, limits);
        let bounded = begins_at(FORGET, &limits);
        assert_eq!((bounded.touches, bounded.orders), (NOW.minus(7200), NOW.minus(9000)));
        let kept = NOW.minus(100);
        assert_eq!(begins_at(Duration::from_secs(3600), &limits), PerFeed::of_each(kept), "his record is older");
    }
}
