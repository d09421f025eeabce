//! One session of the polls: from an open log to its end.
//!
//! ```text
//!   open the log ─> Opened
//!        │
//!        │   for each shard that comes, while the others are polled (shard_coordinator):
//!        ├─ (1) its state, and first cursors for feeds that have none ──┐
//!        ├─ (2) its feeds, to the scheduler of each app ── page facts ──┤ queue ──> committer ──> log
//!        │                                                              │
//!        └─ ends when: cancelled, once others have taken over; or the log has to be opened again, or only an operator can help
//! ```
//!
//! Everything a session holds is made when it begins and dropped when it ends: the queue, the schedulers, the polls
//! under way, the states of shards. So nothing of one session can reach the log of the next; in particular, a page whose
//! earlier pages were dropped with an aborted batch can't move the cursor past them. Nor can it where its shard was lost and has
//! come back within the session: the state is read anew, under another number
//! ([`AssignedShard`](crate::model::shard::AssignedShard)), and what was planned under the old one is dropped.
//!
//! A feed is polled only when its first cursor is durable: (2) begins when the log holds (1). The cursor is what
//! `start_from = "now"` came to. Were a feed polled before that, and the process killed, the next start would take a later
//! now, and what the upstream had shown of the downtime would lie before the start. Nor is now the local clock's alone, which
//! may be ahead: see [`beginning`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::commit::committer::Committer;
use crate::commit::log::{Ended, Opened, ShardOwnership, StateLog};
use crate::commit::pace::BatchBounds;
use crate::commit::queue::write_queue;
use crate::commit::totals::CommitTotals;
use crate::model::feed::{Feed, PerFeed};
use crate::model::shards::Shards;
use crate::supervisor::Pipeline;
use crate::telemetry::health::PipelineHealth;
use crate::telemetry::pipeline;
use crate::upstream::budget_shares::BudgetShares;

pub mod app_feeds;
pub(crate) mod configured;
pub(crate) mod discovery;
pub(crate) mod registration_query;

mod begin_queue;
mod begin_times;
mod beginning;
mod clocks;
mod paused;
mod polled_app;
mod polled_promoter;
mod polls;
mod restores;
mod rewinds;
mod shard_coordinator;
mod shard_promoters;
mod shard_writes;
mod share_exchange;
mod summary;

use discovery::Discovery;
use polls::PollContext;
use registration_query::RegistrationQueries;
use shard_coordinator::ShardCoordinator;

pub(crate) use beginning::too_early;
pub(crate) use polled_app::AppSettings;
pub use polled_app::PolledApp;
pub use polled_promoter::FeedPlan;
pub(crate) use polled_promoter::PolledPromoter;

/// The pipeline of polls: what a session of it is made of, the same for each. It lives as long as the process; what one
/// session holds is made in [`run`](Pipeline::run) and dropped there.
pub struct PollPipeline {
    pub apps: Arc<Vec<PolledApp>>,
    pub bounds: BatchBounds,
    /// Of the queue between the polls and the committer: about how many bytes of memory it holds at most.
    pub queue_bytes: usize,
    pub totals: Arc<CommitTotals>,
    /// How long the progress of a promoter is kept whom nobody names any more.
    pub forget: Duration,
    /// Absent where no promoters are discovered.
    pub discovery: Option<Arc<Discovery>>,
    /// Where its session is asked what is registered of a promoter.
    pub registrations: Arc<RegistrationQueries>,
    /// Absent where budgets are not divided by what each shard needs.
    pub shares: Option<Arc<BudgetShares>>,
}

impl<L: StateLog> Pipeline<L> for PollPipeline {
    const PIPELINE: &'static str = pipeline::POLLS;

    /// Polling begins shard by shard, and is told so.
    fn begins(&self, _: &Opened, milliseconds: u64) {
        tracing::debug!(pipeline = pipeline::POLLS, milliseconds, "earlier writers of this name are shut out");
    }

    async fn run(&self, log: L, opened: Opened, stop: &CancellationToken) -> (Option<L>, Ended) {
        let Opened { partitions, age_limits, mut ownership } = opened;
        let (queue, writes) = write_queue(self.queue_bytes);
        self.totals.figures.watch_queue(queue.gauge());
        // Ends the polls, and only them: the committer drains what they brought. Not the stop itself, which others have to hear of
        // before these end.
        let end = CancellationToken::new();
        let (age_limits, totals) = (Arc::new(age_limits), self.totals.clone());
        let context = PollContext { queue, partitions, age_limits, totals, forget: self.forget, end };
        let committer = Committer::new(log, Shards::new(partitions), self.bounds, self.totals.clone());
        let mut failed = None;
        let polling = self.poll(&mut *ownership, context, stop, &mut failed);
        // In a task of its own: each page would wake the thread that waits for the session's end otherwise.
        let committing = AbortOnDropHandle::new(tokio::spawn(committer.run(writes)));
        let ended = run_beside(committing, polling).await;
        let (log, ended) = ended.expect("nobody aborts the committer, and a panic ends the process");
        // Nothing is polled between two sessions, however long the next one takes to open its log.
        self.totals.figures.shards.clear();
        self.totals.figures.remembers(0);
        self.apps.iter().for_each(|app| app.reports.set_paused(PerFeed::default()));
        match (failed, ended) {
            // Where the committer has failed its reason counts: that the polls have ended only follows from it.
            (Some(failed), Ended::Drained) => (log, failed),
            (_, ended) => (log, ended),
        }
    }

    fn health(&self) -> &PipelineHealth {
        &self.totals.health
    }

    fn summarise(&self) {
        summary::summarise(&self.apps, &self.totals);
    }

    fn say_stopped(&self) {
        self.totals.say_stopped();
    }
}

/// The write queue holds as much as a few batches, and at least this much.
const QUEUE_BYTES_MIN: usize = 16 * 1024 * 1024;

impl PollPipeline {
    /// Polls `apps` and commits what that brings in batches within `bounds`; `forget` as the field.
    pub fn new(apps: Vec<PolledApp>, bounds: BatchBounds, forget: Duration) -> PollPipeline {
        // While one batch is committed the next is planned out of the queue: with two of them the polls are not held up
        // meanwhile.
        let queue_bytes = QUEUE_BYTES_MIN.max(2 * bounds.bytes_max);
        let totals: Arc<CommitTotals> = Arc::default();
        let lateness = |app: &PolledApp| {
            let of_feed = |feed: Feed| app.feeds.polled[feed].map_or(0, |plan| plan.settings.lateness);
            (app.app.as_str().to_owned(), PerFeed::new(of_feed))
        };
        totals.figures.know_lateness(apps.iter().map(lateness).collect());
        let (apps, registrations) = (Arc::new(apps), Arc::default());
        PollPipeline { apps, bounds, queue_bytes, totals, forget, discovery: None, registrations, shares: None }
    }

    /// Polls the shards that are this instance's until `stop` is cancelled and others have taken over, or until something else
    /// ends the session: `failed` tells what, before the committer can have drained. Dropping the future ends the polls at once.
    async fn poll(
        &self,
        ownership: &mut dyn ShardOwnership,
        context: PollContext,
        stop: &CancellationToken,
        failed: &mut Option<Ended>,
    ) {
        let (mut polling, mut followers) = (JoinSet::new(), Vec::new());
        for index in 0..self.apps.len() {
            // An app that is still at a change lets the next ones wait, and none is dropped.
            let (tell, changes) = mpsc::channel(polls::CHANGES_MAX);
            let (apps, context) = (self.apps.clone(), context.clone());
            polling.spawn(async move { apps[index].poll(changes, context).await });
            followers.push(tell);
        }
        let end = context.end.clone();
        // Taken here, for the coordinator has the ownership from below on. Nothing is done of it before the stop.
        let hand_over = ownership.hand_over();
        let handed_over = async {
            stop.cancelled().await;
            hand_over.await;
        };
        // With the coordinator goes the last sender but those of the polls: the committer drains once every one is gone.
        let coordinator = ShardCoordinator::new(self, ownership, followers, context);
        *failed = tokio::select! {
            () = handed_over => None,
            ended = coordinator.run() => ended,
        };
        // The committer ends when the last page is in its queue, so every app is waited for.
        end.cancel();
        while polling.join_next().await.is_some() {}
    }
}

/// Runs `work` to its end, with `beside` as long as that takes.
async fn run_beside<R>(work: impl Future<Output = R>, beside: impl Future<Output = ()>) -> R {
    tokio::pin!(work, beside);
    tokio::select! {
        // The log failed, or what was owned is to be given back: the polls are dropped where they stand.
        result = &mut work => return result,
        // The polls were told to stop, and have handed on what they had: it becomes durable before the end.
        () = &mut beside => {}
    }
    work.await
}

#[cfg(test)]
mod tests;
