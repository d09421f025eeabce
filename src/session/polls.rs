//! The polls of one app, for one session: its scheduler, and whom that polls as promoters come and go.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::begin_queue::{BeginGroup, BeginQueue, WaitingPromoter};
use super::begin_times::BeginTimes;
use super::beginning::Beginning;
use super::rewinds::{PromoterRewinds, write_rewinds};
use super::{PolledApp, PolledPromoter, too_early};
use crate::commit::queue::{Closed, WriteSender};
use crate::commit::totals::{CommitTotals, IdleStarts};
use crate::commit::under_way::UnderWay;
use crate::model::age::AgeLimits;
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
use crate::poll::polled_feeds::{PolledFeed, PolledFeeds, SchedulerGone, polled_feeds};
use crate::poll::scheduler::Scheduler;

/// How many changes wait for an app that is at another one.
pub(super) const CHANGES_MAX: usize = 16;
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
}

/// A change as its app is told of it.
#[derive(Debug)]
pub(super) struct ToldChange {
    pub change: PromotersChange,
    /// When the session took it up: who begins "now" begins there, however long it has waited since.
    pub since: Instant,
    /// Dropped when it has been acted on.
    pub under_way: Option<UnderWay>,
}

impl PromotersChange {
    pub fn is_empty(&self) -> bool {
        self.polled.is_empty() && self.gone.is_empty() && self.rewinds.is_empty()
    }
}

impl ToldChange {
    /// Nobody acts on it in this session: whoever it tells of begins in the next one, where he would have.
    pub fn keep_time(self, times: &BeginTimes) {
        let begins_now = self.change.polled.into_iter().filter(PolledPromoter::may_begin_now);
        times.keep(begins_now.map(|polled| (polled.promoter, self.since)));
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
    /// How long somebody who is removed is remembered.
    pub forget: Duration,
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
    /// Who has yet to begin, for others do.
    queue: BeginQueue,
    /// Who has a feed that begins "now", which the upstream's clock is to tell.
    awaiting_clock: HashMap<Promoter, WaitingPromoter>,
    /// Whom the change that acts now tells of, or of whom some begin now.
    in_hand: BeginGroup,
    /// Of whom a change tells who have not begun: they do before it acts.
    unpolled: BeginGroup,
    /// Whose first cursors are being written who may begin "now", and since when they are to be polled.
    beginning: Vec<(Promoter, Instant)>,
    changes: mpsc::Receiver<ToldChange>,
    /// Whether the upstream's clock is known, or was asked for in vain.
    is_clock_known: bool,
}

/// Asking for the upstream's clock, if that has begun.
type ClockLookup<'a> = Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>;

impl PolledApp {
    /// Polls until cancelled whom `changes` tell, each feed once its first cursor is durable.
    pub(super) async fn poll(&self, changes: mpsc::Receiver<ToldChange>, context: PollContext) {
        let (feeds, feeds_changes) = polled_feeds();
        self.reports.begin_needs(context.partitions);
        let PollContext { queue, end, .. } = context.clone();
        let (app, client, reports) = (self.app.clone(), self.client.clone(), self.reports.clone());
        let scheduler = Scheduler::new(app, client, self.parked_for, self.catch_up_spread, reports, queue, end);
        let end = context.end.clone();
        let follower = PromotersFollower {
            app: self,
            context,
            feeds,
            queue: BeginQueue::default(),
            awaiting_clock: HashMap::new(),
            in_hand: BeginGroup::default(),
            unpolled: BeginGroup::default(),
            beginning: Vec::new(),
            changes,
            is_clock_known: false,
        };
        // With the follower goes its place at the queue, which has to be closed before what is in it is the last.
        tokio::join!(scheduler.run(feeds_changes), end.run_until_cancelled(follower.follow()));
    }
}

impl PromotersFollower<'_> {
    /// Returns when nobody tells anything any more, or the session is over. What changes waits for one part of those who begin, and they
    /// for [`CHANGES_MAX`] changes.
    ///
    /// # Errors
    /// [`Over`], which ends the polls of this app and no other's.
    async fn follow(mut self) -> Result<(), Over> {
        let app = self.app;
        let mut clock_lookup: ClockLookup<'_> = None;
        let (mut is_told_all, mut changes_in_a_row) = (false, 0);
        loop {
            tokio::select! {
                biased;
                () = ended(&mut clock_lookup) => {
                    clock_lookup = None;
                    self.clock_decided();
                }
                change = self.changes.recv(), if !is_told_all => match change {
                    Some(change) => {
                        self.change(change).await?;
                        changes_in_a_row += 1;
                        // Or many changes of a few would hold up those who wait.
                        if changes_in_a_row >= CHANGES_MAX {
                            changes_in_a_row = 0;
                            self.begin_next_part().await?;
                        }
                    }
                    // Those who wait still begin.
                    None => is_told_all = true,
                },
                () = std::future::ready(()), if !self.queue.is_empty() => {
                    changes_in_a_row = 0;
                    self.begin_next_part().await?;
                }
            }
            if is_told_all && self.queue.is_empty() && self.awaiting_clock.is_empty() {
                return Ok(());
            }
            // Asked for once, however many changes there are meanwhile.
            if !self.awaiting_clock.is_empty() && clock_lookup.is_none() {
                let failed = |error: &str| app.reports.failed(CLOCK_UNKNOWN, error.to_owned());
                clock_lookup = Some(Box::pin(app.client.await_clock(failed)));
            }
        }
    }

    /// Whoever was polled before stops first: a promoter's feed is never polled twice at once, and the cursors that are asked
    /// for then are the last that its polls have moved. And whoever has not begun yet is given his first cursors before: he begins
    /// where now was when he was first told of, and a rewind finds something to move.
    /// A rewind falls between: behind the last page of the polls that were, and before the cursors of those that will be.
    ///
    /// # Errors
    /// [`Over`] where the committer or the scheduler has ended.
    async fn change(&mut self, told: ToldChange) -> Result<(), Over> {
        let ToldChange { change: PromotersChange { polled, gone, rewinds }, since, under_way } = told;
        let mut changed = gone;
        changed.extend(polled.iter().map(|polled| polled.promoter.clone()));
        self.in_hand = BeginGroup::new(polled.into_iter().map(|promoter| WaitingPromoter::new(promoter, since)));
        self.begin_unpolled(&changed).await?;
        let awaiting_clock = &mut self.awaiting_clock;
        let waited =
            changed.iter().filter_map(|promoter| Some((promoter.clone(), awaiting_clock.remove(promoter)?.since)));
        self.app.begin_times.keep(waited);
        self.in_hand.wait_since(&self.app.begin_times, self.context.forget);
        self.feeds.remove(changed).await?;
        // Before whoever waits for the end of these polls goes on: what it puts into the queue comes behind.
        let now = self.app.client.now();
        let context = &self.context;
        write_rewinds(&context.queue, rewinds, context.partitions, &context.age_limits, now).await?;
        // No poll of them is under way any more, which is what whoever waits for this is to know.
        drop(under_way);
        if self.in_hand.is_large() {
            // Shards that come one after the other: behind the last of them may be a change of a few.
            self.queue.push(std::mem::take(&mut self.in_hand));
        } else if !self.in_hand.is_begun() {
            self.begin_part().await?;
        }
        Ok(())
    }

    /// Begins with some of those who wait, if anybody does.
    ///
    /// # Errors
    /// [`Over`] where the committer or the scheduler has ended.
    async fn begin_next_part(&mut self) -> Result<(), Over> {
        match self.queue.pop() {
            Some(group) => {
                self.in_hand = group;
                self.begin_part().await
            }
            None => Ok(()),
        }
    }

    /// Writes the first cursors of those among `changed` who have not begun yet, and has them forgotten by the queue: what the change
    /// says of them is all that is to be done. They are polled by nobody meanwhile.
    ///
    /// # Errors
    /// [`Over`] where the committer has ended.
    async fn begin_unpolled(&mut self, changed: &[Promoter]) -> Result<(), Over> {
        if self.queue.is_empty() {
            return Ok(());
        }
        self.unpolled = BeginGroup::new(self.queue.take(&changed.iter().collect::<HashSet<_>>()));
        while !self.unpolled.is_begun() {
            let part = self.unpolled.next_part();
            self.begun(part, &mut IdleStarts::default()).await?;
        }
        Ok(())
    }

    /// Has the next of the group in hand polled, once their first cursors are durable; the others wait behind whoever waits already.
    ///
    /// # Errors
    /// [`Over`] where the committer or the scheduler has ended.
    async fn begin_part(&mut self) -> Result<(), Over> {
        let part = self.in_hand.next_part();
        let mut idle_starts = std::mem::take(&mut self.in_hand.idle_starts);
        let feeds = self.begun(part, &mut idle_starts).await?;
        let (spread, now) = (self.app.catch_up_spread, self.app.client.now());
        let (far_behind, others) = feeds.into_iter().partition(|feed| feed.is_far_behind(spread, now));
        self.feeds.add(others).await?;
        let mut group = std::mem::take(&mut self.in_hand);
        group.far_behind.extend::<Vec<PolledFeed>>(far_behind);
        if !group.is_begun() {
            group.idle_starts = idle_starts;
            self.queue.push(group);
            return Ok(());
        }
        self.context.totals.say_idle_starts(&self.app.app, idle_starts);
        Ok(self.feeds.add(group.far_behind).await?)
    }

    /// The feeds of some promoters, once their first cursors are durable; nothing of those who wait for the upstream's clock now, nor of
    /// those whose shard is lost. The shard may come back to this instance, and nobody else have begun with them meanwhile: so it is kept
    /// since when they were to be polled.
    ///
    /// # Errors
    /// [`Over`] where the committer has ended.
    async fn begun(
        &mut self,
        part: Vec<WaitingPromoter>,
        idle_starts: &mut IdleStarts,
    ) -> Result<Vec<PolledFeed>, Over> {
        let begins_now = part.iter().filter(|waiting| waiting.promoter.may_begin_now());
        self.beginning = begins_now.map(|waiting| (waiting.promoter.promoter.clone(), waiting.since)).collect();
        let beginning = self.beginning(part, idle_starts).await?;
        let partitions = self.context.partitions;
        let (feeds, lost) = beginning.made_durable(&self.context.queue, partitions).await?;
        let is_lost = |(promoter, _): &(Promoter, Instant)| lost.contains(&Shard::of(promoter, partitions));
        self.app.begin_times.keep(std::mem::take(&mut self.beginning).into_iter().filter(is_lost));
        Ok(feeds)
    }

    /// What some promoters begin with: a feed that begins "now" begins where now was when he began to wait. Who has to wait for the
    /// upstream's clock does so from here on.
    ///
    /// # Errors
    /// [`Over`] where the committer has ended.
    async fn beginning(&mut self, part: Vec<WaitingPromoter>, idle_starts: &mut IdleStarts) -> Result<Beginning, Over> {
        let promoters = part.iter().map(|waiting| waiting.promoter.promoter.clone()).collect();
        let cursors = self.context.queue.cursors(promoters).await?;
        self.is_clock_known |= self.app.client.upstream_skew_seconds().is_some();
        let now = self.app.client.now();
        let mut beginning = Beginning::default();
        for (waiting, cursors) in part.into_iter().zip(cursors) {
            let promoter = &waiting.promoter;
            promoter.note_idle_starts(&cursors, idle_starts);
            let begun = waiting.begins_at(&cursors, now, self.context.forget, &self.context.age_limits);
            if !self.is_clock_known && promoter.begins_now(&cursors) {
                self.awaiting_clock.insert(promoter.promoter.clone(), waiting);
            } else if let Some(reason) = too_early(promoter, cursors, &self.context.age_limits, &begun) {
                tracing::warn!(app = %self.app.app, promoter = %promoter.promoter, reason, "promoter is not polled");
            } else {
                beginning.add(promoter, cursors, &begun);
            }
        }
        Ok(beginning)
    }

    /// The upstream's clock is known, or can't be: who has waited for it waits for his turn.
    fn clock_decided(&mut self) {
        self.is_clock_known = true;
        if self.app.client.upstream_skew_seconds().is_none() {
            tracing::warn!(app = %self.app.app, "the upstream's clock is not known: feeds that begin now begin by this host's");
        }
        // With its room, which at a start may have been for all promoters, and is hardly needed again.
        self.queue.push(BeginGroup::new(std::mem::take(&mut self.awaiting_clock).into_values()));
    }
}

/// With it the session ends, or the promoters' polls do. Whoever has not begun by then does so in the next one.
impl Drop for PromotersFollower<'_> {
    fn drop(&mut self) {
        // Before what is in it is taken: whoever tells one more keeps it itself.
        self.changes.close();
        let times = &self.app.begin_times;
        times.keep(std::mem::take(&mut self.beginning));
        self.queue.push(std::mem::take(&mut self.in_hand));
        self.queue.push(std::mem::take(&mut self.unpolled));
        self.queue.push(BeginGroup::new(std::mem::take(&mut self.awaiting_clock).into_values()));
        while let Some(group) = self.queue.pop() {
            times.keep(group.times());
        }
        while let Ok(told) = self.changes.try_recv() {
            told.keep_time(times);
        }
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
