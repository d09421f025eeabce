//! The polls of one app, for one session: its scheduler, and whom that polls as promoters come and go.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::beginning::{Beginning, WaitingPromoter, moment};
use super::rewinds::{PromoterRewinds, write_rewinds};
use super::{PolledApp, PolledPromoter, too_early};
use crate::commit::queue::{Closed, WriteSender};
use crate::commit::totals::{CommitTotals, IdleStarts};
use crate::commit::under_way::UnderWay;
use crate::model::age::AgeLimits;
use crate::model::parts::in_parts;
use crate::model::promoter::Promoter;
use crate::poll::polled_feeds::{PolledFeed, PolledFeeds, SchedulerGone, polled_feeds};
use crate::poll::scheduler::Scheduler;

/// How many promoters begin together at most. The first of a million are polled while the first cursors of others are still written,
/// and what a beginning needs is held for so many at a time.
const BEGIN_MAX: usize = 10_000;
/// Why a first poll has failed before it could begin.
const CLOCK_UNKNOWN: &str = "clock_unheard";

/// What changes of whom an app polls. Each promoter is named once.
#[derive(Debug, Default)]
pub(super) struct PromotersChange {
    /// As they are polled from now on, whether they were before or not.
    pub polled: Vec<PolledPromoter>,
    /// Who is polled no longer.
    pub gone: Vec<Promoter>,
    /// Feeds of these promoters that are to be asked again, where that was not met before.
    pub rewinds: PromoterRewinds,
    /// Dropped when that is so.
    pub under_way: Option<UnderWay>,
    /// When it came about, if it has waited since: who begins "now" begins there.
    pub since: Option<Instant>,
}

impl PromotersChange {
    pub fn is_empty(&self) -> bool {
        self.polled.is_empty() && self.gone.is_empty() && self.rewinds.is_empty()
    }
}

/// What the polls of a session share.
#[derive(Clone)]
pub(super) struct PollContext {
    pub queue: WriteSender,
    /// Of the registry, and of the state.
    pub partitions: i32,
    pub age_limits: Arc<AgeLimits>,
    pub totals: Arc<CommitTotals>,
    /// Ends the polls.
    pub end: CancellationToken,
}

/// The session is over: nothing is written any more, or nothing polled.
struct Over;

/// Keeps an app's scheduler polling those whom it is told to.
struct PromotersFollower<'a> {
    app: &'a PolledApp,
    context: PollContext,
    feeds: PolledFeeds,
    waiting: HashMap<Promoter, WaitingPromoter>,
    /// Whether the upstream's clock is known, or was asked for in vain.
    is_clock_known: bool,
}

/// Asking for the upstream's clock, if that has begun.
type ClockLookup<'a> = Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>;

impl PolledApp {
    /// Polls until cancelled whom `changes` tell, each feed once its first cursor is durable.
    pub(super) async fn poll(&self, changes: mpsc::Receiver<PromotersChange>, context: PollContext) {
        let (feeds, feeds_changes) = polled_feeds();
        self.reports.begin_needs(context.partitions);
        let PollContext { queue, end, .. } = context.clone();
        let (app, client, reports) = (self.app.clone(), self.client.clone(), self.reports.clone());
        let scheduler = Scheduler::new(app, client, self.parked_for, self.catch_up_spread, reports, queue, end);
        let end = context.end.clone();
        let follower = PromotersFollower { app: self, context, feeds, waiting: HashMap::new(), is_clock_known: false };
        // With the follower goes its place at the queue, which has to be closed before what is in it is the last.
        tokio::join!(scheduler.run(feeds_changes), end.run_until_cancelled(follower.follow(changes)));
    }
}

impl PromotersFollower<'_> {
    /// Returns when nobody tells anything any more, or the session is over.
    ///
    /// # Errors
    /// [`Over`], which ends the polls of this app and no other's.
    async fn follow(mut self, mut changes: mpsc::Receiver<PromotersChange>) -> Result<(), Over> {
        let app = self.app;
        let mut clock_lookup: ClockLookup<'_> = None;
        loop {
            tokio::select! {
                biased;
                () = ended(&mut clock_lookup) => {
                    clock_lookup = None;
                    self.clock_decided().await?;
                }
                change = changes.recv() => match change {
                    Some(change) => self.change(change).await?,
                    None if self.waiting.is_empty() => return Ok(()),
                    // No change will come any more, but those that wait for the clock still begin.
                    None => {
                        ended(&mut clock_lookup).await;
                        return self.clock_decided().await;
                    }
                },
            }
            // Asked for once, however many changes there are meanwhile.
            if !self.waiting.is_empty() && clock_lookup.is_none() {
                let failed = |error: &str| app.reports.failed(CLOCK_UNKNOWN, error.to_owned());
                clock_lookup = Some(Box::pin(app.client.await_clock(failed)));
            }
        }
    }

    /// Whoever was polled before stops first: a promoter's feed is never polled twice at once, and the cursors that are asked
    /// for then are the last that its polls have moved.
    /// A rewind falls between: behind the last page of the polls that were, and before the cursors of those that will be.
    ///
    /// # Errors
    /// [`Over`] where the committer or the scheduler has ended.
    async fn change(&mut self, change: PromotersChange) -> Result<(), Over> {
        let PromotersChange { polled, gone, rewinds, under_way, since } = change;
        let since = since.unwrap_or_else(Instant::now);
        let mut changed = gone;
        changed.extend(polled.iter().map(|polled| polled.promoter.clone()));
        // Whoever waits for the clock has begun where he began to wait, whatever changes of him meanwhile.
        let mut waited = HashMap::new();
        for promoter in &changed {
            waited.extend(self.waiting.remove(promoter).map(|waiting| (promoter.clone(), waiting.since())));
        }
        self.feeds.remove(changed).await?;
        // Before whoever waits for the end of these polls goes on: what it puts into the queue comes behind.
        let now = self.app.client.now();
        let context = &self.context;
        write_rewinds(&context.queue, rewinds, context.partitions, &context.age_limits, now).await?;
        // No poll of them is under way any more, which is what whoever waits for this is to know.
        drop(under_way);
        let (mut far_behind, mut idle_starts) = (Vec::new(), IdleStarts::default());
        for part in in_parts(polled, BEGIN_MAX) {
            let since_of = |promoter: &Promoter| waited.get(promoter).copied().unwrap_or(since);
            let beginning = self.beginning(part, since_of, &mut idle_starts).await?;
            far_behind.extend(self.begin(beginning).await?);
        }
        self.context.totals.say_idle_starts(&self.app.app, idle_starts);
        Ok(self.feeds.add(far_behind).await?)
    }

    /// What some promoters begin with who are to be polled `since` then, though others came first: a feed that begins "now" begins
    /// where now was. Who has to wait for the upstream's clock does so from here on.
    ///
    /// # Errors
    /// [`Over`] where the committer has ended.
    async fn beginning(
        &mut self,
        polled: Vec<PolledPromoter>,
        since: impl Fn(&Promoter) -> Instant,
        idle_starts: &mut IdleStarts,
    ) -> Result<Beginning, Over> {
        let cursors = self.context.queue.cursors(polled.iter().map(|polled| polled.promoter.clone()).collect()).await?;
        self.is_clock_known |= self.app.client.upstream_skew_seconds().is_some();
        let now = self.app.client.now();
        let mut beginning = Beginning::default();
        for (promoter, cursors) in polled.into_iter().zip(cursors) {
            promoter.note_idle_starts(&cursors, idle_starts);
            let since = since(&promoter.promoter);
            let begun = moment(since, now);
            if !self.is_clock_known && promoter.begins_now(&cursors) {
                let waiting = WaitingPromoter::new(promoter, cursors, since);
                self.waiting.insert(waiting.promoter().clone(), waiting);
            } else if let Some(reason) = too_early(&promoter, cursors, &self.context.age_limits, begun) {
                tracing::warn!(app = %self.app.app, promoter = %promoter.promoter, reason, "promoter is not polled");
            } else {
                beginning.add(&promoter, cursors, begun);
            }
        }
        Ok(beginning)
    }

    /// The upstream's clock is known, or can't be.
    ///
    /// # Errors
    /// [`Over`] where the committer or the scheduler has ended.
    async fn clock_decided(&mut self) -> Result<(), Over> {
        self.is_clock_known = true;
        if self.app.client.upstream_skew_seconds().is_none() {
            tracing::warn!(app = %self.app.app, "the upstream's clock is not known: feeds that begin now begin by this host's");
        }
        let mut far_behind = Vec::new();
        // With its room, which at a start may have been for all promoters, and is hardly needed again.
        let waiting = std::mem::take(&mut self.waiting);
        for part in in_parts(waiting.into_values(), BEGIN_MAX) {
            let (mut beginning, now) = (Beginning::default(), self.app.client.now());
            part.iter().for_each(|waiting| waiting.begin(now, &mut beginning));
            far_behind.extend(self.begin(beginning).await?);
        }
        Ok(self.feeds.add(far_behind).await?)
    }

    /// Has feeds polled, once their first cursors are durable. Gives back those that are far behind, to be told when all are
    /// known that begin with them: they go through time together, and whoever came first would run ahead of the others.
    ///
    /// # Errors
    /// [`Over`] where the committer or the scheduler has ended.
    async fn begin(&self, beginning: Beginning) -> Result<Vec<PolledFeed>, Over> {
        let feeds = beginning.made_durable(&self.context.queue, self.context.partitions).await?;
        let (spread, now) = (self.app.catch_up_spread, self.app.client.now());
        let (far_behind, others) = feeds.into_iter().partition(|feed| feed.is_far_behind(spread, now));
        self.feeds.add(others).await?;
        Ok(far_behind)
    }
}

/// Until what was begun has ended.
async fn ended(clock_lookup: &mut ClockLookup<'_>) {
    match clock_lookup {
        Some(clock_lookup) => clock_lookup.await,
        None => std::future::pending().await,
    }
}

impl From<Closed> for Over {
    fn from(_: Closed) -> Over {
        Over
    }
}

impl From<SchedulerGone> for Over {
    fn from(_: SchedulerGone) -> Over {
        Over
    }
}
