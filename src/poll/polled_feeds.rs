//! What is polled, and the handle of a running scheduler: who is polled from now on, and who no longer.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::mpsc;

use crate::commit::under_way::{UnderWay, under_way};
use crate::model::feed::Feed;
use crate::model::pacing::{Pacing, PollSettings};
use crate::model::promoter::Promoter;
use crate::model::pull::{Pull, PullJob, RefundsJob};
use crate::model::time::UnixTime;

/// One feed of one promoter, with its cursor.
#[derive(Debug)]
pub struct PolledFeed {
    pub promoter: Promoter,
    pub feed: Feed,
    pub settings: FeedSettings,
    pub pacing: Pacing,
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
    /// `now` is taken before the first call is sent.
    pub(super) fn begin_pull(
        self,
        promoter: &Promoter,
        feed: Feed,
        pacing: &Pacing,
        now: UnixTime,
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
        Pull::new(job, now).bounded_by(bound)
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

/// So many changes wait for their scheduler at most; each may be of many promoters.
const CHANGES_MAX: usize = 16;

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
    /// Feeds of which none is polled yet, and whose first cursors are durable: each is due at once.
    ///
    /// # Errors
    /// [`SchedulerGone`] once the session is over.
    pub async fn add(&self, feeds: Vec<PolledFeed>) -> Result<(), SchedulerGone> {
        self.changes.send(FeedsChange::Add(feeds)).await.map_err(|_| SchedulerGone)
    }

    /// Ends the polls of these promoters: none begins any more, and those under way end at their next wait. Returns when
    /// the last one has handed on what it had read, so that whoever asks for a cursor then is told the last there will be.
    ///
    /// # Errors
    /// [`SchedulerGone`] once the session is over.
    pub async fn remove(&self, promoters: Vec<Promoter>) -> Result<(), SchedulerGone> {
        let (under_way, mut ended) = under_way();
        self.changes.send(FeedsChange::Remove(promoters, under_way)).await.map_err(|_| SchedulerGone)?;
        ended.wait().await;
        Ok(())
    }
}
