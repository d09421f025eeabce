//! Polls the promoters of one app: takes what is due, bounds what is under way, and reacts to how polls end.
//!
//! Each app has a scheduler of its own, so what holds one app up (a slow host, wrong credentials, a quota) never
//! takes a place that another app waits for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::progress::LastingShortage;
use super::catching_up::CatchingUp;
use super::due_queue::{PollBounds, Reach};
use super::due_queues::DueQueues;
use super::feed_slots::{FeedSlot, FeedSlots, SlotNumber, feed_of};
use super::first_turns::FEW_MAX;
use super::freshness::FeedStanding;
use super::minute_counts::MinuteCounts;
use super::outcome::{PollError, Polled};
use super::parked::ParkedPromoters;
use super::poll_trace::PollTrace;
use super::polled_feeds::{FeedsChange, FeedsChanges, FirstRank, PolledFeed};
use super::poller::poll;
use super::reports::Reports;
use crate::commit::queue::WriteSender;
use crate::commit::under_way::UnderWay;
use crate::model::feed::{Interface, PerFeed, PerInterface};
use crate::model::promoter::{AppId, Promoter};
use crate::model::pull::Pull;
use crate::model::time::UnixTime;
use crate::upstream::client::Client;

mod answers;
mod ended_polls;
mod progress;

/// Polls of an interface at once, for each call in flight. More than one, since a poll that pauses before a retry or waits
/// for its budget makes no call; bounded, since each has its pages' rows in memory.
const POLLS_PER_CALL: usize = 4;
/// One pull of an interface may read its further pages for so many calls in flight.
const CALLS_PER_LONG_PULL: usize = 4;
/// So many pulls are kept to be taken up, for each poll of an interface at once. Most have read one page.
const KEPT_PER_POLL: usize = 2;
/// How old the figures for a report may be.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(20);

/// Polls the feeds of one app, for one session. It owns all that is due: one entry for each feed, either in a queue or with
/// the poll that has begun, so no feed is ever polled twice at once. What it holds beside is only pace, and may be lost.
pub struct Scheduler {
    app: AppId,
    client: Arc<Client>,
    writes: WriteSender,
    cancel: CancellationToken,
    /// How long a promoter with a permanent error is left alone.
    parked_for: Duration,
    feeds: FeedSlots,
    due_queues: DueQueues<SlotNumber>,
    polls: JoinSet<EndedPoll>,
    /// What ends a poll that is under way, by its feed.
    ends: HashMap<SlotNumber, CancellationToken>,
    /// Who waits for the polls of feeds that were given up.
    leaving: HashMap<SlotNumber, UnderWay>,
    /// Pulls to be taken up behind their last page.
    kept: HashMap<SlotNumber, Pull>,
    kept_max: usize,
    parked: ParkedPromoters,
    catching_up: CatchingUp,
    /// Whose budget is known to be too small.
    short: PerInterface<LastingShortage>,
    /// Where the cursors stand, in Unix seconds.
    cursors: PerFeed<MinuteCounts>,
    reports: Arc<Reports>,
    began: Instant,
}

/// A poll that has ended.
struct EndedPoll {
    index: SlotNumber,
    pull: Pull,
    /// Pages that were read.
    pages: u32,
    result: Result<Polled, PollError>,
}

impl Scheduler {
    /// Polls nobody yet. In a backfill cursors keep within `catch_up_spread` of each other.
    pub fn new(
        app: AppId,
        client: Arc<Client>,
        parked_for: Duration,
        catch_up_spread: Duration,
        reports: Arc<Reports>,
        writes: WriteSender,
        cancel: CancellationToken,
    ) -> Scheduler {
        let began = Instant::now();
        let in_flight = client.in_flight();
        let bounds =
            PollBounds { polls: in_flight * POLLS_PER_CALL, to_the_end: in_flight.div_ceil(CALLS_PER_LONG_PULL) };
        Scheduler {
            app,
            client,
            writes,
            cancel,
            parked_for,
            feeds: FeedSlots::default(),
            due_queues: DueQueues::new(bounds, began),
            polls: JoinSet::new(),
            ends: HashMap::new(),
            leaving: HashMap::new(),
            kept: HashMap::new(),
            kept_max: KEPT_PER_POLL * bounds.polls,
            parked: ParkedPromoters::default(),
            catching_up: CatchingUp::new(catch_up_spread),
            short: PerInterface::default(),
            cursors: PerFeed::default(),
            reports,
            began,
        }
    }

    /// Runs until cancelled, with the feeds that `changes` adds and takes away; polls under way then end at their next wait.
    pub async fn run(mut self, mut changes: FeedsChanges) {
        let cancel = self.cancel.clone();
        let client = self.client.clone();
        let mut breakers = client.breakers().changes();
        let mut queries = self.reports.queries.open();
        let mut report = tokio::time::interval(REPORT_EVERY);
        // Late figures are told once, and not once for each time that was missed.
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Whatever woke it up may have made room or let a breaker pass, so each round begins what can begin.
            let next_begin = self.begin_due_polls();
            tokio::select! {
                // A stop first, whatever else is ready: nothing more begins then.
                biased;
                () = cancel.cancelled() => break,
                Some(ended) = self.polls.join_next() => {
                    self.end_poll(ended.expect("nobody aborts a poll, and a panic ends the process"));
                }
                // The client, which holds the other end, is held here.
                _ = breakers.changed() => self.due_queues.breakers_changed(),
                // Where nobody is left who tells of changes, those who are polled stay polled.
                Some(change) = changes.changes.recv() => self.change(change),
                Some(query) = queries.recv() => self.answer(query),
                _ = report.tick() => {
                    // In this very loop: one that hangs is seen by its silence.
                    self.reports.heartbeat();
                    self.tell_progress();
                    self.tell_shortage();
                }
                () = until(self.began, next_begin) => {}
            }
        }
        // Nothing is aborted: each poll ends at its next wait, and hands on what it has read.
        while self.polls.join_next().await.is_some() {}
    }

    fn change(&mut self, change: FeedsChange) {
        match change {
            FeedsChange::Add(feeds) => self.add(feeds),
            FeedsChange::Remove(promoters, under_way) => {
                promoters.iter().for_each(|promoter| self.remove(promoter, &under_way));
            }
        }
    }

    /// Each is due at once, of all that were not polled yet that with the oldest cursor first, or one of a few that have just begun; the
    /// budgets spread the calls.
    fn add(&mut self, feeds: Vec<PolledFeed>) {
        let (clock, now) = (self.began.elapsed(), self.client.now());
        let are_few = feeds.len() <= FEW_MAX;
        for feed in feeds {
            let interface = feed.feed.interface();
            let standing = FeedStanding::before_first_poll(feed.feed, feed.settings.poll, &feed.pacing, now);
            let standing = if feed.begins { standing.begun(now) } else { standing };
            self.reports.stands(&feed.promoter, feed.feed, feed.settings.poll, [None, Some(standing)]);
            self.cursors[feed.feed].add(feed.pacing.complete_before().0);
            let class = self.due_queues[interface].join(feed.settings.poll.bounds());
            let rank = FirstRank::new(&feed, now);
            let is_of_few = are_few && feed.begins && self.due_queues[interface].has_room_for_few();
            let index = self.feeds.insert(feed, class, standing);
            let complete_before = self.feeds[index].pacing.complete_before();
            self.catching_up.add(index, complete_before, self.feeds.settings(index), now);
            if is_of_few {
                self.due_queues[interface].put_few(index, clock);
            } else {
                self.due_queues[interface].put_first(index, rank, clock);
            }
        }
    }

    /// The queues let go of a feed when its turn comes.
    fn remove(&mut self, promoter: &Promoter, under_way: &UnderWay) {
        for index in self.feeds.give_up(promoter) {
            let (feed, FeedSlot { pacing, class, standing, .. }) = (feed_of(index), &self.feeds[index]);
            self.cursors[feed].remove(pacing.complete_before().0);
            self.reports.stands(promoter, feed, self.feeds.settings(index), [Some(*standing), None]);
            self.due_queues[feed.interface()].give_up(index);
            self.due_queues[feed.interface()].leave(*class);
            self.kept.remove(&index);
            if self.catching_up.leave(index) {
                // No queue has it.
                self.feeds.free(index);
            }
            if let Some(end) = self.ends.get(&index) {
                // Whoever takes the promoter away waits for that end: what is written then has to come behind the last page.
                end.cancel();
                self.leaving.insert(index, under_way.clone());
            }
        }
        self.parked.forget(promoter);
    }

    /// Tells when the next one may begin.
    fn begin_due_polls(&mut self) -> Option<Duration> {
        let client = self.client.clone();
        let clock = self.began.elapsed();
        // Before the queues are asked: whoever waited for slower ones is due at once, and may be the next one to begin.
        while let Some((index, interface)) = self.catching_up.let_go() {
            self.due_queues[interface].put(index, clock);
        }
        // Each round anew: shares, quotas and the time that is left of the day change while nothing is polled, too.
        for interface in Interface::ALL {
            self.due_queues[interface].set_rates(client.call_rates(interface), clock);
        }
        let readiness = |interface| client.breakers().readiness(interface);
        while let Some((index, reach)) = self.due_queues.begin(self.began.elapsed(), readiness) {
            match self.feeds.is_given_up(index) {
                true => self.let_go(index),
                false => self.begin_poll(index, reach),
            }
        }
        self.due_queues.next_begin(readiness)
    }

    fn begin_poll(&mut self, index: SlotNumber, reach: Reach) {
        let Some(mut pull) = self.kept.remove(&index).or_else(|| self.begin_pull(index)) else {
            return self.take_back(index);
        };
        let (promoter, feed) = (self.feeds.promoter(index), feed_of(index));
        let span = tracing::info_span!("poll", app = %self.app, %promoter, %feed);
        // An end of its own, so that a promoter who is taken away ends no other's poll.
        let (client, writes, end) = (self.client.clone(), self.writes.clone(), self.cancel.child_token());
        self.ends.insert(index, end.clone());
        let mut trace = PollTrace::begin(promoter, feed);
        let polling = async move {
            // Of a pull that is taken up, the pages of earlier polls are spent already.
            let before = pull.pages();
            let result = poll(&client, &mut pull, reach, &writes, &end, &mut trace).await;
            trace.end(&result);
            let pages = pull.pages().saturating_sub(before);
            EndedPoll { index, pull, pages, result }
        };
        self.polls.spawn(polling.instrument(span));
    }

    /// Nothing where it waits for slower ones.
    fn begin_pull(&mut self, index: SlotNumber) -> Option<Pull> {
        let (settings, now) = (self.feeds.settings(index), self.client.now());
        let complete_before = self.feeds[index].pacing.complete_before();
        let bound = self.catching_up.bound(index, complete_before, settings, now)?;
        Some(self.feeds.begin_pull(index, (now, self.began.elapsed()), bound))
    }

    /// A feed has left its queue, and no poll of it begins.
    fn take_back(&mut self, index: SlotNumber) {
        let interface = feed_of(index).interface();
        self.due_queues.ended(interface, index);
        // The queue has counted a call as it let go of the feed, which is not made now.
        self.due_queues[interface].spent(0, self.began.elapsed());
    }

    /// A feed that was given up has left its queue, and no poll of it is under way.
    fn let_go(&mut self, index: SlotNumber) {
        self.take_back(index);
        self.leaving.remove(&index);
        self.feeds.free(index);
    }

    pub(super) fn now(&self) -> UnixTime {
        self.client.local_now().as_seconds()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.reports.forget_standings();
    }
}

/// Until something is due; for ever when nothing is.
async fn until(began: Instant, due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep_until(began + due).await,
        None => std::future::pending().await,
    }
}
