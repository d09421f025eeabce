//! What an app's polls begin with: its feeds, and first cursors for those that have none.
//!
//! A feed that begins "now" must not begin by a clock that is ahead: what happens until the other clocks come to that time
//! would lie before its start, and be left out for ever. So where the upstream has not been heard yet, such an app
//! waits for an answer, whose `Date` tells its clock. It begins where "now" was when it began to wait; and its polls would
//! have had no answer either. After [`CLOCK_PATIENCE`] this host's clock is all there is.

use std::time::Duration;

use tokio::time::Instant;

use super::{PolledApp, PolledPromoter, start_time};
use crate::commit::log::Lease;
use crate::commit::queue::{Closed, IntakeSender};
use crate::domain::cursor::Cursor;
use crate::domain::feed::{Feed, StartFrom};
use crate::domain::state::{FirstCursor, Intake, State};
use crate::domain::time::UnixTime;
use crate::domain::turns::Turns;
use crate::poll::scheduler::PolledFeed;
use crate::wechat::transport::Transport;

/// How many first cursors go into one intake.
const CURSORS_MAX: usize = 1000;
/// How long refunds that orders have met are remembered at least where nothing polls refunds, in seconds. An order is
/// refunded within a year: a feed of refunds that is polled later knows then which of them are published.
const REFUNDS_MEMORY: i64 = 366 * 24 * 3600;
/// How long a first cursor waits for the upstream's clock.
const CLOCK_PATIENCE: Duration = Duration::from_secs(30);

/// A promoter's cursors by [`Feed`].
pub(super) type Cursors = [Option<Cursor>; 3];

/// Of one app.
#[derive(Default)]
pub(super) struct Beginning {
    pub first_cursors: Vec<FirstCursor>,
    feeds: Vec<PolledFeed>,
    /// What all this is made of, where it has to be made again when the upstream's clock is known.
    waiting: Option<Waiting>,
}

struct Waiting {
    promoters: Vec<(PolledPromoter, Cursors)>,
    since: Instant,
}

impl Beginning {
    pub fn of<T: Transport>(app: &PolledApp<T>, state: &State, lease: &Lease) -> Beginning {
        let owned = app.promoters.iter().filter(|promoter| lease.owns(&promoter.promoter));
        let owned = owned.map(|promoter| (promoter, promoter.cursors(state)));
        let mut beginning = Beginning::made_of(owned.clone(), app.client.now());
        let begins_now = owned.clone().any(|(promoter, cursors)| promoter.begins_now(&cursors));
        if begins_now && app.client.upstream_skew_seconds().is_none() {
            let promoters = owned.map(|(promoter, cursors)| (promoter.clone(), cursors)).collect();
            beginning.waiting = Some(Waiting { promoters, since: Instant::now() });
        }
        beginning
    }

    fn made_of<'a>(promoters: impl Iterator<Item = (&'a PolledPromoter, Cursors)>, now: UnixTime) -> Beginning {
        let mut made = Beginning::default();
        for (promoter, cursors) in promoters {
            promoter.prepare(cursors, now, &mut made.first_cursors, &mut made.feeds);
        }
        made
    }

    /// The feeds to poll, once their first cursors are durable.
    pub async fn made_durable<T: Transport>(
        self,
        app: &PolledApp<T>,
        queue: &IntakeSender,
    ) -> Result<Vec<PolledFeed>, Closed> {
        let Beginning { first_cursors, feeds, .. } = self.settled(app).await;
        begin(queue, &first_cursors).await?;
        Ok(feeds)
    }

    /// With "now" as both clocks tell it.
    async fn settled<T: Transport>(self, app: &PolledApp<T>) -> Beginning {
        let Some(Waiting { promoters, since }) = self.waiting else { return self };
        if tokio::time::timeout(CLOCK_PATIENCE, app.client.hear()).await.is_err() {
            tracing::warn!(app = %app.app, "the upstream's clock is not known: feeds that begin now begin by this host's");
        }
        // Rounded up: "now" is cut to a whole second as well, and must not come to lie behind the moment of the start.
        let waited = since.elapsed() + Duration::from_millis(999);
        let waited = i64::try_from(waited.as_secs()).unwrap_or(i64::MAX);
        let promoters = promoters.iter().map(|(promoter, cursors)| (promoter, *cursors));
        Beginning::made_of(promoters, app.client.now().minus(waited))
    }
}

impl PolledPromoter {
    pub(super) fn cursors(&self, state: &State) -> Cursors {
        Feed::ALL.map(|feed| state.cursor(&self.promoter, feed))
    }

    /// Whether it has a feed without a cursor that begins "now".
    fn begins_now(&self, cursors: &Cursors) -> bool {
        Feed::ALL.into_iter().any(|feed| {
            let begun = cursors[feed as usize].is_some_and(|cursor| cursor.polled);
            !begun && self.feeds[feed as usize].is_some_and(|order| order.start_from == StartFrom::Now)
        })
    }

    /// Adds the first cursors that are missing beside the `cursors` it has, and the feeds to poll. Where a feed begins "now"
    /// that is `now`.
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
        let refunds_polled = self.feeds[Feed::Refunds as usize].is_some();
        let refunds_met = self.feeds[Feed::Orders as usize].is_some() && !refunds_polled;
        if refunds_met && cursors[Feed::Refunds as usize].is_none() {
            begin(Feed::Refunds, Cursor::memory(start_time(self.refunds_start, now)));
        }
        let refunds_lateness = self.refunds_lateness.max(REFUNDS_MEMORY);
        for feed in Feed::ALL {
            let Some(order) = self.feeds[feed as usize] else { continue };
            let start = start_time(order.start_from, now);
            let cursor = match cursors[feed as usize] {
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
