//! The hold on a running scheduler: who is polled from now on, and who no longer.

use std::convert::Infallible;

use tokio::sync::mpsc;

use super::scheduler::PolledFeed;
use crate::model::promoter::Promoter;

/// So many changes wait for their scheduler at most; each may be of many promoters.
const CHANGES_MAX: usize = 16;

/// What a scheduler is told.
#[derive(Debug)]
pub(super) enum FeedsChange {
    Add(Vec<PolledFeed>),
    /// Dropped once no poll of these promoters is under way.
    Remove(Vec<Promoter>, UnderWay),
}

/// Held by whatever is still under way of something that is to end.
pub(super) type UnderWay = mpsc::Sender<Infallible>;

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
        let (under_way, mut ended) = mpsc::channel(1);
        self.changes.send(FeedsChange::Remove(promoters, under_way)).await.map_err(|_| SchedulerGone)?;
        // Nothing ever comes: it ends when the last of its senders is dropped.
        ended.recv().await;
        Ok(())
    }
}
