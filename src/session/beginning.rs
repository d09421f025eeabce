//! What an app's polls begin with: its feeds, and first cursors for those that have none.
//!
//! A feed that begins "now" must not begin by a clock that is ahead: what happens until the other clocks come to that time
//! would lie before its start, and be left out for ever. So where the upstream has not been heard yet, a promoter with
//! such a feed waits for an answer, whose `Date` tells its clock, however long that takes: its polls would have had no
//! answer either. It begins where "now" was when it began to wait. Promoters whose cursors are there, or begin at a time
//! that was named, are polled meanwhile.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::{PolledApp, PolledPromoter, start_time};
use crate::commit::log::Lease;
use crate::commit::queue::{Closed, WriteSender};
use crate::model::cursor::Cursor;
use crate::model::feed::{Feed, PerFeed, StartFrom};
use crate::model::pacing::Pacing;
use crate::model::state::{FirstCursor, QueuedWrite, State};
use crate::model::time::UnixTime;
use crate::poll::scheduler::PolledFeed;
use crate::upstream::transport::Transport;

/// How many first cursors go into one write.
const CURSORS_MAX: usize = 1000;
/// How long refunds that orders have met are remembered at least where nothing polls refunds, in seconds. An order is
/// refunded within a year: a feed of refunds that is polled later knows then which of them are published.
const REFUNDS_MEMORY: i64 = 366 * 24 * 3600;
/// Why a first poll has failed before it could begin.
const UNHEARD: &str = "clock_unheard";

/// A promoter's cursors.
pub(super) type Cursors = PerFeed<Option<Cursor>>;

/// Of one app.
pub(super) struct Beginning {
    ready: Made,
    /// Those that begin when the upstream's clock is known,
    waiting: Vec<(PolledPromoter, Cursors)>,
    /// and their first cursors as they would be by this host's clock.
    provisional: Vec<FirstCursor>,
    since: Instant,
}

/// Feeds, with the first cursors that have to be durable before they are polled.
#[derive(Default)]
struct Made {
    first_cursors: Vec<FirstCursor>,
    feeds: Vec<PolledFeed>,
}

impl Beginning {
    pub fn of<T: Transport>(app: &PolledApp<T>, state: &State, lease: &Lease) -> Beginning {
        let now = app.client.now();
        let is_heard = app.client.upstream_skew_seconds().is_some();
        let owned = app.promoters.iter().filter(|promoter| lease.owns(&promoter.promoter));
        let owned = owned.map(|promoter| (promoter, promoter.cursors(state)));
        let (waiting, ready): (Vec<_>, Vec<_>) =
            owned.partition(|(promoter, cursors)| !is_heard && promoter.begins_now(cursors));
        Beginning {
            ready: Made::of(ready, now),
            provisional: Made::of(waiting.iter().copied(), now).first_cursors,
            waiting: waiting.into_iter().map(|(promoter, cursors)| (promoter.clone(), cursors)).collect(),
            since: Instant::now(),
        }
    }

    /// The first cursors to be written, as far as that is known.
    pub fn first_cursors(&self) -> impl Iterator<Item = &FirstCursor> {
        self.ready.first_cursors.iter().chain(&self.provisional)
    }

    /// The feeds to poll, once their first cursors are durable; and those that follow when the upstream's clock is known.
    pub async fn made_durable<T: Transport>(
        self,
        app: &PolledApp<T>,
        queue: &WriteSender,
    ) -> Result<(Vec<PolledFeed>, impl Future<Output = Vec<PolledFeed>>), Closed> {
        let Beginning { ready, waiting, since, .. } = self;
        let feeds = ready.made_durable(queue).await?;
        let later = async move {
            if waiting.is_empty() {
                return vec![];
            }
            // Where the session is over nothing is polled any more.
            Made::when_heard(app, &waiting, since).await.made_durable(queue).await.unwrap_or_default()
        };
        Ok((feeds, later))
    }
}

impl Made {
    /// With `now` where a feed begins "now".
    fn of<'a>(promoters: impl IntoIterator<Item = (&'a PolledPromoter, Cursors)>, now: UnixTime) -> Made {
        let mut made = Made::default();
        for (promoter, cursors) in promoters {
            promoter.prepare(cursors, now, &mut made.first_cursors, &mut made.feeds);
        }
        made
    }

    /// Of promoters that have waited `since` then, with "now" as both clocks tell it.
    async fn when_heard<T: Transport>(
        app: &PolledApp<T>,
        waiting: &[(PolledPromoter, Cursors)],
        since: Instant,
    ) -> Made {
        app.client.hear(|error| app.reports.failed(UNHEARD, error.to_owned())).await;
        if app.client.upstream_skew_seconds().is_none() {
            tracing::warn!(app = %app.app, "the upstream's clock is not known: feeds that begin now begin by this host's");
        }
        // Rounded up: "now" is cut to a whole second as well, and must not come to lie behind the moment of the start.
        let waited = since.elapsed() + Duration::from_millis(999);
        let waited = i64::try_from(waited.as_secs()).unwrap_or(i64::MAX);
        let waiting = waiting.iter().map(|(promoter, cursors)| (promoter, *cursors));
        Made::of(waiting, app.client.now().minus(waited))
    }

    async fn made_durable(self, queue: &WriteSender) -> Result<Vec<PolledFeed>, Closed> {
        begin(queue, &self.first_cursors).await?;
        Ok(self.feeds)
    }
}

impl PolledPromoter {
    pub(super) fn cursors(&self, state: &State) -> Cursors {
        PerFeed::new(|feed| state.cursor(&self.promoter, feed))
    }

    /// Whether it has a feed without a cursor that begins "now", or a memory of refunds that does.
    fn begins_now(&self, cursors: &Cursors) -> bool {
        let feed_begins = Feed::ALL.into_iter().any(|feed| {
            let begun = cursors[feed].is_some();
            !begun && self.feeds[feed].is_some_and(|plan| plan.start_from == StartFrom::Now)
        });
        feed_begins || (self.begins_memory(cursors) && self.refunds_start == StartFrom::Now)
    }

    /// Whether orders meet refunds that nobody polls.
    fn meets_refunds(&self) -> bool {
        self.feeds.orders.is_some() && self.feeds.refunds.is_none()
    }

    fn begins_memory(&self, cursors: &Cursors) -> bool {
        self.meets_refunds() && cursors.refunds.is_none()
    }

    /// Adds the first cursors that are missing beside the `cursors` it has, and the feeds to poll. Where a feed begins "now"
    /// that is `now`; or when another one began to meet its facts, for what that would have met must not be lost.
    pub(super) fn prepare(
        &self,
        cursors: Cursors,
        now: UnixTime,
        first_cursors: &mut Vec<FirstCursor>,
        polled: &mut Vec<PolledFeed>,
    ) {
        let mut begin = |feed: Feed, cursor: Cursor| {
            first_cursors.push((self.promoter.clone(), feed, cursor));
            cursor
        };
        let refunds_met = self.meets_refunds();
        if self.begins_memory(&cursors) {
            begin(Feed::Refunds, Cursor::memory(start_time(self.refunds_start, now)));
        }
        let refunds_lateness = self.refunds_lateness.max(REFUNDS_MEMORY);
        for feed in Feed::ALL {
            let Some(plan) = self.feeds[feed] else { continue };
            let start = |now| start_time(plan.start_from, now);
            let cursor = match cursors[feed] {
                Some(cursor) if cursor.polled => cursor,
                Some(memory) => begin(feed, Cursor::begin_with(memory, feed, start(memory.start))),
                None => begin(feed, Cursor::begin(feed, start(now))),
            };
            polled.push(PolledFeed {
                promoter: self.promoter.clone(),
                feed,
                settings: plan.settings,
                refunds_lateness: (feed == Feed::Orders && refunds_met).then_some(refunds_lateness),
                pacing: Pacing::new(cursor, plan.settings),
            });
        }
    }
}

/// Makes first cursors durable. Whoever wants to poll a feed that has none comes through here before.
async fn begin(queue: &WriteSender, first_cursors: &[FirstCursor]) -> Result<(), Closed> {
    let mut chunks = first_cursors.chunks(CURSORS_MAX).peekable();
    while let Some(chunk) = chunks.next() {
        let write = QueuedWrite::FirstCursors(chunk.to_vec());
        // Batches become durable one after the other, so the last write speaks for all.
        if chunks.peek().is_some() {
            queue.send(write).await?;
        } else {
            queue.send_durably(write).await?;
        }
    }
    Ok(())
}
