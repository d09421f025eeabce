//! Polls the promoters of one app: takes what is due, bounds what is under way, and reacts to how polls end.
//!
//! Each app has a scheduler of its own, so what holds one app up (a slow host, wrong credentials, a quota) never
//! takes a place that another app waits for.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::lanes::Lanes;
use super::parked::Parked;
use super::poller::{Job, PollError, poll};
use super::reports::{self, Progress, Reports};
use super::tally::Tally;
use crate::commit::queue::IntakeSender;
use crate::domain::feed::Feed;
use crate::domain::promoter::{AppId, Promoter};
use crate::domain::time::UnixTime;
use crate::domain::turns::{Pulled, Rules, Turns};
use crate::poll::pages::PagesFault;
use crate::wechat::breaker::Readiness;
use crate::wechat::client::Client;
use crate::wechat::error::CallError;
use crate::wechat::transport::Transport;

/// Polls of an interface at once, for each call in flight. More than one, since a poll that pauses before a retry or waits
/// for its budget makes no call; bounded, since each has its pages' rows in memory.
const POLLS_PER_CALL: usize = 4;
/// How old the figures for a report may be.
const REPORT_EVERY: Duration = Duration::from_secs(20);

/// One feed of one promoter, with its cursor.
#[derive(Debug)]
pub struct PolledFeed {
    pub promoter: Promoter,
    pub feed: Feed,
    pub rules: Rules,
    /// For orders, where nothing polls refunds: their lateness in seconds.
    pub refunds_lateness: Option<i64>,
    pub turns: Turns,
}

pub struct Scheduler<T> {
    app: AppId,
    client: Arc<Client<T>>,
    queue: IntakeSender,
    cancel: CancellationToken,
    /// How long a promoter with a permanent error is left alone.
    parked_for: Duration,
    feeds: Vec<PolledFeed>,
    lanes: Lanes<usize>,
    polls: JoinSet<(usize, Result<Pulled, PollError>)>,
    parked: Parked,
    /// By [`Feed`], in Unix seconds.
    cursors: [Tally; Feed::ALL.len()],
    reports: Arc<Reports>,
    began: Instant,
}

impl<T: Transport> Scheduler<T> {
    /// Every feed is due at once, that with the oldest cursor first; the budgets spread the calls.
    pub fn new(
        app: AppId,
        client: Arc<Client<T>>,
        feeds: Vec<PolledFeed>,
        parked_for: Duration,
        reports: Arc<Reports>,
        queue: IntakeSender,
        cancel: CancellationToken,
    ) -> Scheduler<T> {
        let began = Instant::now();
        let mut lanes = Lanes::new(client.in_flight() * POLLS_PER_CALL, began);
        for index in oldest_first(&feeds, client.now()) {
            lanes.put(feeds[index].feed.interface(), index, Duration::ZERO);
        }
        let mut cursors: [Tally; Feed::ALL.len()] = Default::default();
        for feed in &feeds {
            cursors[feed.feed as usize].add(feed.turns.cursor.complete_before.0);
        }
        let (polls, parked) = (JoinSet::new(), Parked::default());
        Scheduler { app, client, queue, cancel, parked_for, feeds, lanes, polls, parked, cursors, reports, began }
    }

    /// Runs until cancelled; polls under way then end at their next wait.
    pub async fn run(mut self) {
        let cancel = self.cancel.clone();
        let client = self.client.clone();
        let mut changes = client.breakers().changes();
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next_begin = self.begin_due_polls();
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(ended) = self.polls.join_next() => {
                    let (index, result) = ended.expect("nobody aborts a poll, and a panic ends the process");
                    self.end_poll(index, result);
                }
                // The client, which holds the other end, is held here.
                _ = changes.changed() => self.lanes.breakers_changed(),
                _ = report.tick() => self.tell_progress(),
                () = until(self.began, next_begin) => {}
            }
        }
        cancel.cancel();
        while self.polls.join_next().await.is_some() {}
    }

    /// Tells when the next one may begin.
    fn begin_due_polls(&mut self) -> Option<Duration> {
        let client = self.client.clone();
        let readiness = |interface| client.breakers().readiness(interface);
        while let Some(index) = self.lanes.begin(self.began.elapsed(), readiness) {
            self.begin_poll(index);
        }
        self.lanes.next_begin(readiness)
    }

    fn begin_poll(&mut self, index: usize) {
        let feed = &self.feeds[index];
        let job = Job {
            promoter: feed.promoter.clone(),
            scope: feed.turns.scope(feed.feed, feed.rules, self.client.now()),
            cursor: feed.turns.cursor,
            lateness: feed.rules.lateness,
            refunds_lateness: feed.refunds_lateness,
        };
        let span = tracing::info_span!("poll", app = %self.app, promoter = %feed.promoter, feed = %feed.feed);
        let (client, queue, cancel) = (self.client.clone(), self.queue.clone(), self.cancel.clone());
        let polling = async move {
            let result = poll(&client, &job, &queue, &cancel).await;
            (index, result)
        };
        self.polls.spawn(polling.instrument(span));
    }

    fn end_poll(&mut self, index: usize, result: Result<Pulled, PollError>) {
        let clock = self.began.elapsed();
        self.lanes.ended(self.feeds[index].feed.interface(), index);
        let due = match result {
            Ok(pulled) => Some(self.pulled(index, pulled, clock)),
            Err(error) => self.failed(index, &error, clock),
        };
        if let Some(due) = due {
            self.lanes.put(self.feeds[index].feed.interface(), index, due);
        }
    }

    /// When the next turn comes.
    fn pulled(&mut self, index: usize, pulled: Pulled, clock: Duration) -> Duration {
        self.reports.completed();
        let PolledFeed { promoter, feed, rules, turns, .. } = &mut self.feeds[index];
        if self.parked.answered(promoter, *feed) {
            tracing::info!(app = %self.app, %promoter, "promoter answers again");
        }
        let cursors = &mut self.cursors[*feed as usize];
        cursors.remove(turns.cursor.complete_before.0);
        let due = turns.after(pulled, *rules, clock);
        cursors.add(turns.cursor.complete_before.0);
        due
    }

    fn is_held(&self, feed: Feed) -> bool {
        self.client.breakers().readiness(feed.interface()) != Readiness::Closed
    }

    /// When the next turn comes; nothing where that is taken care of, or the session is over.
    fn failed(&mut self, index: usize, error: &PollError, clock: Duration) -> Option<Duration> {
        let PolledFeed { promoter, feed, turns, .. } = &self.feeds[index];
        if let Some(cause) = reports::cause(error) {
            tracing::debug!(app = %self.app, %promoter, %feed, reason = cause, %error, "poll failed");
            self.reports.failed(cause, error.to_string());
        }
        match error {
            PollError::Closed(_) | PollError::Call(CallError::Cancelled) => None,
            // Behind those that have waited longer, as soon as the breaker lets it.
            PollError::Call(CallError::Held { .. }) => Some(clock),
            // The breaker says when it may be asked again, and not its usual pause.
            PollError::Call(CallError::Exhausted { .. }) if self.is_held(*feed) => {
                self.lanes.put_doubtful(feed.interface(), index, clock);
                None
            }
            PollError::Call(CallError::ParkPromoter(_)) => {
                if self.parked.park(promoter, *feed) {
                    tracing::warn!(app = %self.app, %promoter, %feed, %error, "promoter is parked");
                }
                Some(clock + self.parked_for)
            }
            PollError::Pages(PagesFault::WithoutEnd) => {
                self.feeds[index].turns.ask_for_less();
                Some(self.feeds[index].turns.after_failure(clock))
            }
            PollError::Pages(_) | PollError::Call(_) => Some(turns.after_failure(clock)),
        }
    }

    fn tell_progress(&self) {
        self.reports.set_progress(Progress {
            feeds: self.feeds.len(),
            polls: self.lanes.polls(),
            overdue: self.lanes.overdue(self.began.elapsed()),
            parked: self.parked.promoters(),
            oldest: Feed::ALL.map(|feed| self.cursors[feed as usize].earliest().map(UnixTime)),
        });
    }
}

/// The order in which feeds are polled for the first time: so restarts starve nobody, however short the lives between
/// them are. Of equally old cursors (a poll that finds nothing may leave its cursor where it was) others come first each
/// time.
fn oldest_first(feeds: &[PolledFeed], now: UnixTime) -> Vec<usize> {
    let mut order: Vec<usize> = (0..feeds.len()).collect();
    order.sort_by_cached_key(|index| {
        let PolledFeed { promoter, feed, turns, .. } = &feeds[*index];
        let mut shuffled = DefaultHasher::new();
        (promoter, feed, now.0).hash(&mut shuffled);
        (turns.cursor.complete_before, shuffled.finish())
    });
    order
}

/// Until something is due; for ever when nothing is.
async fn until(began: Instant, due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep_until(began + due).await,
        None => std::future::pending().await,
    }
}
