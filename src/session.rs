//! One session: from an open log to its end.
//!
//! ```text
//!   open the log ─> State, Lease
//!        │
//!        ├─ (1) first cursors for feeds that have none ──┐
//!        ├─ (2) a scheduler for each app ── harvests ────┤ queue ──> committer ──> log
//!        │                                               │
//!        └─ ends when: cancelled, recalled, or the log has to be opened again
//! ```
//!
//! Everything a session holds is made when it begins and dropped when it ends: the queue, the schedulers, the polls
//! under way, the state. So nothing of one session can reach the log of the next; in particular, a page whose earlier
//! pages were dropped with an aborted batch can't move the cursor past them.
//!
//! A feed is polled only when its first cursor is durable: (2) begins when the log holds (1). The cursor is what
//! `start_from = "now"` came to. Were a feed polled before that, and the process killed, the next start would take a later
//! now, and what the upstream had shown of the downtime would lie before the start.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::commit::committer::{Bounds, Committer};
use crate::commit::log::{Ended, Lease, Opened, StateLog};
use crate::commit::queue::{Closed, IntakeSender, intake_queue};
use crate::commit::totals::Totals;
use crate::domain::age::{AgeLimit, AgeLimits};
use crate::domain::cursor::Cursor;
use crate::domain::feed::{Feed, StartFrom};
use crate::domain::promoter::{AppId, Promoter};
use crate::domain::roster::Roster;
use crate::domain::state::{FirstCursor, Intake, State};
use crate::domain::time::UnixTime;
use crate::domain::turns::{Rules, Turns};
use crate::poll::reports::Reports;
use crate::poll::scheduler::{PolledFeed, Scheduler};
use crate::supervisor::Lane;
use crate::wechat::client::Client;
use crate::wechat::transport::Transport;

mod summary;

/// How many first cursors go into one intake.
const CURSORS_MAX: usize = 1000;
/// How long refunds that orders have met are remembered at least where nothing polls refunds, in seconds. An order is
/// refunded within a year: a feed of refunds that is polled later knows then which of them are published.
const REFUNDS_MEMORY: i64 = 366 * 24 * 3600;

/// An app with its client and whom to poll for it.
pub struct PolledApp<T> {
    pub app: AppId,
    pub client: Arc<Client<T>>,
    pub promoters: Vec<PolledPromoter>,
    /// How long a promoter with a permanent error is left alone.
    pub parked_for: Duration,
    /// What its polls tell a report.
    pub reports: Arc<Reports>,
}

/// What is polled for one promoter.
#[derive(Clone, Debug)]
pub struct PolledPromoter {
    pub promoter: Promoter,
    /// By [`Feed`]; a feed that is absent is not polled.
    pub feeds: [Option<FeedOrder>; 3],
    /// Of refunds, in seconds, whether they are polled or not: orders meet refunds too.
    pub refunds_lateness: i64,
    pub refunds_start: StartFrom,
}

/// How one feed is polled, and where it begins if it never was.
#[derive(Clone, Copy, Debug)]
pub struct FeedOrder {
    pub rules: Rules,
    pub start_from: StartFrom,
}

pub struct Session<T> {
    pub apps: Arc<Vec<PolledApp<T>>>,
    pub bounds: Bounds,
    pub queue_bytes: usize,
    pub totals: Arc<Totals>,
}

impl<T: Transport, L: StateLog> Lane<L> for Session<T> {
    const PIPELINE: &'static str = "polls";

    fn begins(&self, opened: &Opened, milliseconds: u64) {
        let (pipeline, remembered) = (<Self as Lane<L>>::PIPELINE, opened.state.remembered());
        tracing::info!(pipeline, milliseconds, remembered, "log is open, polling begins");
    }

    async fn run(&self, log: L, opened: Opened, stop: &CancellationToken) -> (Option<L>, Ended) {
        let Opened { state, lease, age_limits } = opened;
        // Ends the polls, and only them: the committer drains what they brought.
        let polls_end = stop.child_token();
        let (queue, intakes) = intake_queue(self.queue_bytes);
        let (first_cursors, feeds) = self.prepare(&state, &lease);
        if let Some(reason) = self.too_early(&first_cursors, &age_limits) {
            return (Some(log), Ended::Stop(reason));
        }
        let committer = Committer::new(log, state, self.bounds, self.totals.clone());
        let committing = committer.run(intakes, lease.recalled.clone());
        let polling = self.poll(first_cursors, feeds, queue, polls_end);
        run_beside(committing, polling).await
    }

    fn summarise(&self) {
        summary::summarise(&self.apps, &self.totals);
    }

    fn say_stopped(&self) {
        self.totals.say_stopped();
    }
}

impl<T: Transport> Session<T> {
    /// Whom it polls, whoever owns them.
    pub fn roster(&self) -> Roster {
        let apps = self.apps.clone();
        Roster::new(move |visit| {
            for promoter in apps.iter().flat_map(|app| &app.promoters) {
                let polled = Feed::ALL.into_iter().filter(|feed| promoter.feeds[*feed as usize].is_some());
                polled.for_each(|feed| visit(&promoter.promoter, feed));
            }
        })
    }

    /// Polls until cancelled. Dropping the future ends the polls at once.
    async fn poll(
        &self,
        first_cursors: Vec<FirstCursor>,
        feeds: Vec<Vec<PolledFeed>>,
        queue: IntakeSender,
        end: CancellationToken,
    ) {
        let Some(Ok(())) = end.run_until_cancelled(begin(&queue, &first_cursors)).await else { return };
        let mut schedulers = JoinSet::new();
        for (app, feeds) in self.apps.iter().zip(feeds) {
            let (client, reports) = (app.client.clone(), app.reports.clone());
            let (queue, end) = (queue.clone(), end.clone());
            let scheduler = Scheduler::new(app.app.clone(), client, feeds, app.parked_for, reports, queue, end);
            schedulers.spawn(scheduler.run());
        }
        // The committer drains once every sender is gone.
        drop(queue);
        while schedulers.join_next().await.is_some() {}
    }

    /// Why a feed that begins now may not begin where it should: its topic would not take or not keep its facts. Looked
    /// at before its first cursor is written, after which there is no way back.
    fn too_early(&self, first_cursors: &[FirstCursor], limits: &AgeLimits) -> Option<String> {
        first_cursors.iter().filter(|(.., cursor)| cursor.polled).find_map(|(promoter, feed, cursor)| {
            let app = self.apps.iter().find(|app| app.app.as_str() == promoter.app_id())?;
            let AgeLimit { seconds, set_by, consequence } = limits.passed(*feed, cursor.start, app.client.now())?;
            Some(format!(
                "the {feed} of {promoter} begin at {} by their start_from, and {set_by} than {seconds} s: {consequence}. \
                 Change that setting, or start_from",
                cursor.start
            ))
        })
    }

    /// The first cursors that are missing, and the feeds to poll for each app.
    fn prepare(&self, state: &State, lease: &Lease) -> (Vec<FirstCursor>, Vec<Vec<PolledFeed>>) {
        let mut first_cursors = Vec::new();
        let mut feeds = Vec::with_capacity(self.apps.len());
        for app in self.apps.iter() {
            let now = app.client.now();
            let mut polled = Vec::new();
            for promoter in app.promoters.iter().filter(|promoter| lease.owns(&promoter.promoter)) {
                promoter.prepare(state, now, &mut first_cursors, &mut polled);
            }
            feeds.push(polled);
            self.totals
                .say_idle_starts(&app.app, app.promoters.iter().flat_map(|promoter| promoter.idle_starts(state)));
        }
        (first_cursors, feeds)
    }
}

impl PolledPromoter {
    /// The feeds that began elsewhere than `start_from` says now, each with where that was. What "now" was when a feed
    /// began nobody knows any more, so that one never differs.
    fn idle_starts(&self, state: &State) -> impl Iterator<Item = (&Promoter, Feed, UnixTime)> {
        Feed::ALL.into_iter().filter_map(|feed| {
            let start_from = self.feeds[feed as usize]?.start_from;
            let began = state.cursor(&self.promoter, feed).filter(|cursor| cursor.polled)?.start;
            (start_time(start_from, began) != began).then_some((&self.promoter, feed, began))
        })
    }

    fn prepare(
        &self,
        state: &State,
        now: UnixTime,
        first_cursors: &mut Vec<FirstCursor>,
        polled: &mut Vec<PolledFeed>,
    ) {
        let mut begin = |feed: Feed, cursor: Cursor| {
            first_cursors.push((self.promoter.clone(), feed, cursor));
            cursor
        };
        let refunds_polled = self.feeds[Feed::Refunds as usize].is_some();
        let refunds_met = self.feeds[Feed::Orders as usize].is_some() && !refunds_polled;
        if refunds_met && state.cursor(&self.promoter, Feed::Refunds).is_none() {
            begin(Feed::Refunds, Cursor::memory(start_time(self.refunds_start, now)));
        }
        let refunds_lateness = self.refunds_lateness.max(REFUNDS_MEMORY);
        for feed in Feed::ALL {
            let Some(order) = self.feeds[feed as usize] else { continue };
            let start = start_time(order.start_from, now);
            let cursor = match state.cursor(&self.promoter, feed) {
                Some(cursor) if cursor.polled => cursor,
                Some(memory) => begin(feed, Cursor::begin_with(memory, feed, start)),
                None => begin(feed, Cursor::begin(feed, start)),
            };
            polled.push(PolledFeed {
                promoter: self.promoter.clone(),
                feed,
                rules: order.rules,
                refunds_lateness: (feed == Feed::Orders && refunds_met).then_some(refunds_lateness),
                turns: Turns::new(cursor, order.rules),
            });
        }
    }
}

/// Makes first cursors durable. Whoever wants to poll a feed that has none comes through here before.
async fn begin(queue: &IntakeSender, first_cursors: &[FirstCursor]) -> Result<(), Closed> {
    let mut chunks = first_cursors.chunks(CURSORS_MAX).peekable();
    while let Some(chunk) = chunks.next() {
        let intake = Intake::Begin(chunk.to_vec());
        // Batches become durable one after the other, so the last intake speaks for all.
        if chunks.peek().is_some() {
            queue.send(intake).await?;
        } else {
            queue.send_durably(intake).await?;
        }
    }
    Ok(())
}

fn start_time(start_from: StartFrom, now: UnixTime) -> UnixTime {
    match start_from {
        StartFrom::Now => now,
        StartFrom::Earliest => UnixTime::EARLIEST,
        StartFrom::At(time) => time,
    }
}

/// Runs `work` to its end, with `beside` as long as that takes.
async fn run_beside<R>(work: impl Future<Output = R>, beside: impl Future<Output = ()>) -> R {
    tokio::pin!(work, beside);
    tokio::select! {
        result = &mut work => return result,
        () = &mut beside => {}
    }
    work.await
}

#[cfg(test)]
mod tests;
