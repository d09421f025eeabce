//! What is polled, and the handle of a running scheduler: who is polled from now on, and who no longer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::commit::under_way::{UnderWay, under_way};
use crate::model::feed::Feed;
use crate::model::pacing::catch_up::is_far_behind;
use crate::model::pacing::{Pacing, PollSettings};
use crate::model::parts::in_parts;
use crate::model::promoter::Promoter;
use crate::model::pull::{Pull, PullJob, RefundsJob};
use crate::model::scope::settled;
use crate::model::time::UnixTime;

/// One feed of one promoter, with its cursor.
#[derive(Debug)]
pub struct PolledFeed {
    pub promoter: Promoter,
    pub feed: Feed,
    pub settings: FeedSettings,
    pub pacing: Pacing,
    /// Its first cursor is written with this: nobody has polled it before.
    pub begins: bool,
}

impl PolledFeed {
    /// Whether it waits for others in a backfill: its cursor lies more than `spread` behind what is settled at `now`.
    pub(crate) fn is_far_behind(&self, spread: Duration, now: UnixTime) -> bool {
        let settled = settled(self.feed, self.settings.poll.lateness, now);
        is_far_behind(self.feed, spread, self.pacing.complete_before(), settled)
    }
}

/// What is set for a feed, the same for many promoters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    pub poll: PollSettings,
    /// For orders, where nothing polls refunds: their lateness in seconds.
    pub refunds_lateness: Option<i64>,
}

impl FeedSettings {
    /// What to pull at the next turn of a promoter's feed, without what happened at `bound` or later, as far as that can be told.
    /// `now` is taken before the first call is sent; `clock` is that of the pacing.
    pub(super) fn begin_pull(
        self,
        promoter: &Promoter,
        feed: Feed,
        pacing: &Pacing,
        (now, clock): (UnixTime, Duration),
        bound: UnixTime,
    ) -> Pull {
        let (scope, bound) = pacing.bounded_scope(feed, self.poll, now, bound);
        let refunds = |lateness| {
            let ends_history = pacing.reads_the_rest(scope, self.poll, now);
            RefundsJob { lateness, ends_history }
        };
        let job = PullJob {
            promoter: promoter.clone(),
            scope,
            complete_before: pacing.complete_before(),
            lateness: self.poll.lateness,
            refunds: self.refunds_lateness.map(refunds),
        };
        Pull::new(job, now).bounded_by(bound).asked_before(pacing.asked_before(scope, now, clock))
    }
}

/// The order in which feeds are polled for the first time: the one with the oldest cursor comes first. Of equally old ones (a
/// poll that finds nothing may leave its cursor where it was) others come first each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirstRank {
    pub cursor: UnixTime,
    pub shuffled: u64,
}

impl FirstRank {
    pub(super) fn new(feed: &PolledFeed, now: UnixTime) -> FirstRank {
        let PolledFeed { promoter, feed, pacing, .. } = feed;
        let mut shuffled = DefaultHasher::new();
        (promoter, feed, now.0).hash(&mut shuffled);
        FirstRank { cursor: pacing.complete_before(), shuffled: shuffled.finish() }
    }
}

/// So many changes wait for their scheduler at most.
const CHANGES_MAX: usize = 16;
/// Of how many feeds, or promoters, one change is at most: the scheduler begins no poll before it has acted on a change. A shard of
/// 100,000 promoters in one would hold up those of the others for more than a second.
const CHANGE_OF_MAX: usize = 512;

/// What a scheduler is told.
#[derive(Debug)]
pub(super) enum FeedsChange {
    Add(Vec<PolledFeed>),
    /// Dropped once no poll of these promoters is under way.
    Remove(Vec<Promoter>, UnderWay),
}

/// Adds feeds to a scheduler and takes them away. Whoever holds it has to see that no feed is there twice.
#[derive(Clone, Debug)]
pub struct PolledFeeds {
    changes: mpsc::Sender<FeedsChange>,
}

/// The scheduler's end.
#[derive(Debug)]
pub struct FeedsChanges {
    pub(super) changes: mpsc::Receiver<FeedsChange>,
}

/// The scheduler is gone: the session is over.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is polled any more")]
pub struct SchedulerGone;

pub fn polled_feeds() -> (PolledFeeds, FeedsChanges) {
    let (sender, changes) = mpsc::channel(CHANGES_MAX);
    (PolledFeeds { changes: sender }, FeedsChanges { changes })
}

impl PolledFeeds {
    /// Feeds of which none is polled yet, and whose first cursors are durable: each is due at once. Those with the oldest cursors are
    /// told first, for polls begin before the last is told: so in a backfill none runs ahead of a slower one that is not there yet.
    ///
    /// # Errors
    /// [`SchedulerGone`] once the session is over.
    pub async fn add(&self, mut feeds: Vec<PolledFeed>) -> Result<(), SchedulerGone> {
        // In place: there may be millions.
        feeds.sort_unstable_by_key(|feed| feed.pacing.complete_before());
        self.tell_in_parts(feeds, FeedsChange::Add).await
    }

    /// Ends the polls of these promoters: none begins any more, and those under way end at their next wait. Returns when
    /// the last one has handed on what it had read, so that whoever asks for a cursor then is told the last there will be.
    ///
    /// # Errors
    /// [`SchedulerGone`] once the session is over.
    pub async fn remove(&self, promoters: Vec<Promoter>) -> Result<(), SchedulerGone> {
        let (under_way, mut ended) = under_way();
        self.tell_in_parts(promoters, |promoters| FeedsChange::Remove(promoters, under_way.clone())).await?;
        drop(under_way);
        ended.wait().await;
        Ok(())
    }

    /// # Errors
    /// [`SchedulerGone`] once the session is over.
    async fn tell_in_parts<T>(&self, all: Vec<T>, change: impl Fn(Vec<T>) -> FeedsChange) -> Result<(), SchedulerGone> {
        for part in in_parts(all, CHANGE_OF_MAX) {
            self.changes.send(change(part)).await.map_err(|_| SchedulerGone)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cursor::Cursor;

    const MANY: i64 = 2 * CHANGE_OF_MAX as i64 + 100;

    fn promoter(number: i64) -> Promoter {
        Promoter::from_key(&format!("wx1/o{number}")).unwrap()
    }

    /// Whose cursor stands the later, the higher its number.
    fn feed(number: i64) -> PolledFeed {
        let every = Duration::from_secs(60);
        let poll = PollSettings { every, idle_every: every, lateness: 600 };
        let pacing = Pacing::new(Cursor::begin(Feed::Touches, UnixTime(1_700_000_000 + number)));
        let settings = FeedSettings { poll, refunds_lateness: None };
        PolledFeed { promoter: promoter(number), feed: Feed::Touches, settings, pacing, begins: false }
    }

    #[tokio::test]
    async fn many_are_told_in_parts_those_with_the_oldest_cursors_first() {
        let (feeds, mut told) = polled_feeds();
        feeds.add((0..MANY).rev().map(feed).collect()).await.unwrap();
        let mut added = Vec::new();
        while let Ok(FeedsChange::Add(part)) = told.changes.try_recv() {
            assert!(part.len() <= CHANGE_OF_MAX, "{} at once", part.len());
            added.extend(part.into_iter().map(|feed| feed.promoter));
        }
        assert_eq!(added, (0..MANY).map(promoter).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_removal_in_parts_waits_for_the_polls_of_all_of_them() {
        let (feeds, mut told) = polled_feeds();
        let removal = tokio::spawn(async move { feeds.remove((0..MANY).map(promoter).collect()).await });
        let (mut removed, mut held) = (0, Vec::new());
        while removed < MANY as usize {
            let Some(FeedsChange::Remove(part, under_way)) = told.changes.recv().await else { panic!("it is told") };
            assert!(part.len() <= CHANGE_OF_MAX, "{} at once", part.len());
            removed += part.len();
            held.push(under_way);
        }
        // The polls of one part go on.
        held.drain(1..);
        tokio::task::yield_now().await;
        assert!(!removal.is_finished());
        held.clear();
        assert_eq!(removal.await.unwrap(), Ok(()));
    }
}
