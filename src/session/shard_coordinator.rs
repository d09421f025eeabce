//! Takes up the shards that are assigned to this instance, and drops those that are revoked, while it polls the others.
//!
//! ```text
//!  assigned ──> restore, beside what runs ──> the committer knows the shard ──> its promoters are polled
//!  revoked  ──> its polls end ──> the committer forgets the shard, and what is still planned of it
//! ```
//!
//! Whatever goes through the queue does so in this order, so the committer never meets a page of a shard before its state, and
//! has met the last one when the shard is closed. A shard that is revoked while it is still being restored was polled by
//! nobody here. Of shards that were assigned together each is polled as soon as it is whole, and what can't be restored now
//! is tried again beside those that are.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use super::configured::ConfigurationFollower;
use super::polls::{PollContext, ToldChange};
use super::registration_query::{RegistrationQuery, RegistrationView, ShardStanding};
use super::restores::{RestoreAttempt, RestoreEvent, RestoreProgress, ShardRestores, WholeShards};
use super::shard_promoters::{AppChanges, RegistryNews, ShardPromoters, add_rewinds};
use super::share_exchange::ShareExchange;
use super::{PollPipeline, PolledApp, shard_writes, too_early};
use crate::allocator;
use crate::commit::log::{Ended, OpenError, OwnershipChange, RestoredShard, ShardOwnership};
use crate::commit::log_state::until;
use crate::commit::queue::Closed;
use crate::commit::under_way::{UnderWay, under_way};
use crate::model::feed::PerFeed;
use crate::model::queued_write::QueuedWrite;
use crate::model::shard::{AssignedShard, Shard};
use crate::model::state::State;
use crate::registry::event::EventBurst;

/// How often is looked who was removed, and who long ago.
const REMOVALS_EVERY: Duration = Duration::from_secs(30);
/// A session that owns nothing for so long stands by: what was assigned when its log was opened may be another's already.
const STANDBY_AFTER: Duration = Duration::from_secs(2);

/// Why it coordinates no more.
enum Stopped {
    /// The committer or the polls have ended first, and tell why themselves.
    Over,
    Ended(Ended),
}

impl From<Closed> for Stopped {
    fn from(_: Closed) -> Stopped {
        Stopped::Over
    }
}

impl From<OpenError> for Stopped {
    fn from(error: OpenError) -> Stopped {
        Stopped::Ended(error.into())
    }
}

pub(super) struct ShardCoordinator<'a> {
    pipeline: &'a PollPipeline,
    ownership: &'a mut dyn ShardOwnership,
    /// The followers of the apps, in the order of the pipeline's.
    followers: Vec<mpsc::Sender<ToldChange>>,
    context: PollContext,
    configured: ConfigurationFollower,
    promoters: ShardPromoters,
    restores: ShardRestores,
    removals: Interval,
    /// When it is looked whether it owns something; nothing once that is known.
    standby_at: Option<Instant>,
    queries: mpsc::Receiver<RegistrationQuery>,
    /// While this instance owns the shard whose owner discovers.
    discovering: Option<AbortOnDropHandle<()>>,
    /// Absent where budgets are not divided.
    exchange: Option<ShareExchange>,
}

impl<'a> ShardCoordinator<'a> {
    pub fn new(
        pipeline: &'a PollPipeline,
        ownership: &'a mut dyn ShardOwnership,
        followers: Vec<mpsc::Sender<ToldChange>>,
        context: PollContext,
    ) -> ShardCoordinator<'a> {
        let (restores, promoters) = (ShardRestores::default(), ShardPromoters::default());
        let configured = ConfigurationFollower::new(&pipeline.apps);
        let mut removals = tokio::time::interval(REMOVALS_EVERY);
        // A shard that takes long to be taken up holds ticks up, and one look makes up for all of them.
        removals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (queries, discovering) = (pipeline.registrations.open(), None);
        let exchange = ShareExchange::begin(pipeline, &*ownership, context.queue.clone(), context.partitions);
        ShardCoordinator {
            pipeline,
            ownership,
            followers,
            context,
            configured,
            promoters,
            restores,
            removals,
            standby_at: Some(Instant::now() + STANDBY_AFTER),
            queries,
            discovering,
            exchange,
        }
    }

    /// Runs until something ends the session, which is nothing where the committer or the polls have ended first: they tell why
    /// themselves.
    pub async fn run(mut self) -> Option<Ended> {
        loop {
            // In each round: every arm may have changed them.
            self.note_shards();
            // What an arm has begun runs to its end before the next event is looked at: what changes acts one after the other.
            let acted = tokio::select! {
                // A revocation before a shard is taken up: whoever has it next is at work already.
                biased;
                change = self.ownership.next() => match change {
                    OwnershipChange::Assigned(shards) => {
                        self.restore(shards);
                        Ok(())
                    }
                    OwnershipChange::Revoked(shards) => {
                        let dropped = self.drop_shards(&shards).await;
                        self.note_standby();
                        dropped
                    }
                    OwnershipChange::Registered(shard, burst) => self.register(shard, burst).await,
                    OwnershipChange::Failed(error) => Err(error.into()),
                },
                // Before what changes of shards that run: one that is whole is polled by nobody until it is taken up.
                event = self.restores.next() => match event {
                    RestoreEvent::Whole(shards) => self.take_up(shards).await,
                    RestoreEvent::Due => {
                        self.restores.begin_due(reading(&*self.ownership, &self.context));
                        Ok(())
                    }
                    RestoreEvent::Failed(error) => Err(error.into()),
                },
                // What the configuration says of shards that are not whole yet acts when they are taken up.
                () = self.configured.changed() => self.reconfigure().await,
                _ = self.removals.tick() => self.write_due_removals().await,
                () = until(self.standby_at) => {
                    self.standby_at = None;
                    self.note_standby();
                    Ok(())
                }
                // Last: who looks waits for what is polled. The pipeline, which holds the other end, outlives the session.
                Some(query) = self.queries.recv() => {
                    self.answer(query);
                    Ok(())
                }
            };
            match acted {
                Ok(()) => {}
                Err(Stopped::Over) => return None,
                Err(Stopped::Ended(ended)) => return Some(ended),
            }
        }
    }

    /// Nobody waits for what is never given: an instance that is one too many is as ready as it will be.
    fn note_standby(&self) {
        if self.restores.shards() + self.promoters.shards() == 0 {
            self.context.totals.health.stands_by();
        }
    }

    fn note_shards(&self) {
        let figures = &self.context.totals.figures.shards;
        figures.set(self.context.partitions, self.restores.shards(), self.promoters.shards());
        let apps = &self.pipeline.apps;
        let paused = self.promoters.paused(apps);
        apps.iter().zip(paused).for_each(|(app, paused)| app.reports.set_paused(paused));
    }

    /// Whoever asked may be gone meanwhile.
    fn answer(&self, RegistrationQuery { promoter, reply }: RegistrationQuery) {
        let shard = Shard::of(&promoter, self.context.partitions);
        let standing = match self.promoters.known(shard, &promoter) {
            Some(known) => ShardStanding::Here(known),
            None if self.restores.has(shard) => ShardStanding::Restoring,
            None => ShardStanding::Elsewhere,
        };
        drop(reply.send(RegistrationView { partition: shard.0, standing }));
    }

    /// Begins to restore shards. What fails of that is an event of the restore.
    fn restore(&mut self, shards: Vec<AssignedShard>) {
        // A restore ends with the last of its shards, so one of none would never end.
        if !shards.is_empty() {
            self.restores.begin(shards, reading(&*self.ownership, &self.context));
        }
    }

    /// # Errors
    /// [`Ended::Stop`] where a feed may not begin where the configuration says; else [`Stopped::Over`].
    async fn take_up(&mut self, whole: WholeShards) -> Result<(), Stopped> {
        let (mut shards, mut states, mut registered) = (Vec::new(), Vec::new(), Vec::new());
        for (assigned, RestoredShard { state, registered: events }) in whole {
            shards.push(assigned);
            states.push((assigned, state));
            registered.push((assigned, events));
        }
        let beside = self.promoters.open(self.configured.promoters(), self.context.partitions, registered);
        // Here, for it takes the marks of removals out of the states, which are the committer's alone from then on.
        let returned = self.promoters.compare(&mut states);
        let changes = self.promoters.polled(&self.pipeline.apps, &shards);
        let mut untold_changes = self.untold(changes, Instant::now());
        if let Some(reason) = self.too_early(&states, &untold_changes.changes) {
            return Err(Stopped::Ended(Ended::Stop(reason.into())));
        }
        let ledger = states.iter_mut().filter(|(assigned, _)| assigned.shard == Shard::DIVIDING);
        let ledger = ledger.filter_map(|(_, state)| state.take_ledger()).last();
        // Counted while they are here: with the next line the states are the committer's.
        let remembered: usize = states.iter().map(|(_, state)| state.facts()).sum();
        let untold: Vec<_> =
            states.iter().filter(|(_, state)| state.has_untold_days()).map(|(assigned, _)| *assigned).collect();
        self.context.queue.open_shards(states)?;
        for assigned in untold {
            self.context.queue.send(QueuedWrite::UntoldDays(assigned)).await?;
        }
        // Behind the opening in the queue: the committer drops what is written of a shard that it does not have.
        for (assigned, beside) in beside {
            shard_writes::unreadable(&self.context.queue, assigned, beside.unreadable).await?;
            add_rewinds(&self.pipeline.apps, beside.rewinds, &mut untold_changes.changes);
        }
        // And before anybody polls those who have returned: see [`crate::registry::removed`].
        shard_writes::removals(&self.context.queue, returned).await?;
        let progress = self.restores.opened(&shards, remembered);
        if let Some(progress) = &progress {
            progress.say();
        }
        if shards.iter().any(|assigned| assigned.shard == Shard::DISCOVERING) {
            self.discovering = self.discover();
        }
        if let Some(exchange) = &self.exchange {
            exchange.opened(&shards, ledger);
        }
        // Last: with it the polls begin, which write first cursors by what the committer knows. Whoever begins "now" does so where now
        // was when the shard came, however long it took to be read.
        untold_changes.since = progress.as_ref().map_or_else(Instant::now, |progress| progress.began);
        self.tell(untold_changes, None).await?;
        // Behind the telling: what counts is how long nobody has polled them, and not how long they were read.
        if let Some(RestoreProgress { left: 0, began, .. }) = progress {
            self.context.totals.figures.shards.restored(began.elapsed());
            // What was read is taken up by now, and is not needed again as it was. Beside the loop, which it would hold up.
            tokio::task::spawn_blocking(allocator::give_back);
        }
        self.context.totals.health.works();
        Ok(())
    }

    /// Acts on what the registry has said in a shard.
    ///
    /// # Errors
    /// [`Stopped::Over`].
    async fn register(&mut self, assigned: AssignedShard, burst: EventBurst) -> Result<(), Stopped> {
        let EventBurst { received, events } = burst;
        let RegistryNews { changes, returned, unreadable } = self.promoters.take(&self.pipeline.apps, assigned, events);
        let untold = self.untold(changes, received);
        shard_writes::unreadable(&self.context.queue, assigned, unreadable).await?;
        // Before anybody polls them: see [`crate::registry::removed`].
        shard_writes::removals(&self.context.queue, vec![(assigned, returned)]).await?;
        self.tell(untold, None).await
    }

    /// Acts on what the configuration says otherwise than before.
    ///
    /// # Errors
    /// [`Stopped::Over`].
    async fn reconfigure(&mut self) -> Result<(), Stopped> {
        let since = Instant::now();
        let updates = self.configured.take();
        let (changes, returned) = self.promoters.update(&self.pipeline.apps, self.context.partitions, updates);
        let untold = self.untold(changes, since);
        // As where the registry names somebody again: first the mark goes, and then the polls begin.
        shard_writes::removals(&self.context.queue, returned).await?;
        self.tell(untold, None).await
    }

    fn discover(&self) -> Option<AbortOnDropHandle<()>> {
        let discovery = self.pipeline.discovery.clone()?;
        Some(AbortOnDropHandle::new(tokio::spawn(async move { discovery.run().await })))
    }

    /// # Errors
    /// [`Stopped::Over`].
    async fn write_due_removals(&mut self) -> Result<(), Stopped> {
        // By a clock of this host alone, which may be wrong, nobody is marked and nobody forgotten.
        let Some(clocks) = self.pipeline.known_clocks() else { return Ok(()) };
        let due = self.promoters.due_removals(clocks, self.pipeline.forget);
        Ok(shard_writes::removals(&self.context.queue, due).await?)
    }

    /// Ends the polls of these shards, and only then has the committer forget them: should one come back, no page of a poll that
    /// began before reaches what is read of it then.
    ///
    /// # Errors
    /// [`Stopped::Over`].
    async fn drop_shards(&mut self, revoked: &[AssignedShard]) -> Result<(), Stopped> {
        // Before the polls are waited for: the shard's next owner is about to discover as well.
        if revoked.iter().any(|assigned| assigned.shard == Shard::DISCOVERING) {
            self.discovering = None;
        }
        if let Some(exchange) = &self.exchange {
            exchange.closed(revoked);
        }
        // First, so that none of them becomes whole behind this; what was read together with them begins anew.
        self.restores.give_up(revoked, reading(&*self.ownership, &self.context));
        let (polls, mut ended) = under_way();
        let gone = self.promoters.close(&self.pipeline.apps, revoked);
        let untold = self.untold(gone, Instant::now());
        self.tell(untold, Some(polls)).await?;
        // No longer than the polls take to their next wait, and the next change waits as long.
        ended.wait().await;
        Ok(self.context.queue.close_shards(revoked.to_vec())?)
    }

    /// What changes for each app since then, before anything is waited for: whoever is to begin "now" begins there, though the session
    /// ends before that is told.
    fn untold(&self, changes: AppChanges, since: Instant) -> UntoldChanges<'a> {
        UntoldChanges { apps: &self.pipeline.apps, changes, since }
    }

    /// Tells each app what changes for it. `under_way` is dropped when all of them have acted on it, and on what they were told
    /// before: one for which nothing changes now may still be at the removal of a promoter of the same shard.
    ///
    /// # Errors
    /// [`Stopped::Over`], where an app's polls have ended.
    async fn tell(&mut self, mut untold: UntoldChanges<'a>, under_way: Option<UnderWay>) -> Result<(), Stopped> {
        let since = untold.since;
        for (change, follower) in untold.changes.iter_mut().zip(&self.followers) {
            if !change.is_empty() || under_way.is_some() {
                // An app that is still at its last change holds this up: the changes of a promoter come in order.
                let room = follower.reserve().await.map_err(|_| Stopped::Over)?;
                room.send(ToldChange { change: std::mem::take(change), since, under_way: under_way.clone() });
            }
        }
        Ok(())
    }

    /// Why a feed that begins now may not begin where it should: its topic would not take or not keep its facts. Looked
    /// at before its first cursor is written, after which there is no way back. Only where the configuration of the start says
    /// where it begins: what the registry says, or is read while others are polled, may stop nobody else, and is looked at by the
    /// app itself.
    fn too_early(&self, states: &[(AssignedShard, State)], changes: &AppChanges) -> Option<String> {
        let apps = self.pipeline.apps.iter().zip(changes).enumerate();
        apps.filter(|(index, _)| !self.configured.is_reloaded(*index)).find_map(|(_, (app, change))| {
            change.polled.iter().find_map(|promoter| {
                let shard = Shard::of(&promoter.promoter, self.context.partitions);
                let (assigned, state) = states.iter().find(|(assigned, _)| assigned.shard == shard)?;
                if !self.promoters.begins_as_configured(*assigned, &promoter.promoter) {
                    return None;
                }
                let now = PerFeed::of_each(app.client.now());
                too_early(promoter, state.cursors(&promoter.promoter), &self.context.age_limits, &now)
            })
        })
    }
}

/// What is still to be told, where a session may end before it is.
struct UntoldChanges<'a> {
    apps: &'a [PolledApp],
    changes: AppChanges,
    since: Instant,
}

impl Drop for UntoldChanges<'_> {
    fn drop(&mut self) {
        for (app, change) in self.apps.iter().zip(std::mem::take(&mut self.changes)) {
            ToldChange { change, since: self.since, under_way: None }.keep_time(&app.begin_times);
        }
    }
}

/// Begins an attempt to restore shards.
fn reading(ownership: &dyn ShardOwnership, context: &PollContext) -> impl Fn(Vec<AssignedShard>) -> RestoreAttempt {
    move |shards| RestoreAttempt::begin(ownership, shards, context.queue.fences())
}
