//! What the polls of promoters begin with: their feeds, and first cursors for those that have none.
//!
//! A feed that begins "now" must not begin by a clock that is ahead: what happens until the other clocks come to that time
//! would lie before its start, and be left out for ever. So where the upstream has not been heard yet, a promoter with
//! such a feed waits for an answer, whose `Date` tells its clock, however long that takes: its polls would have had no
//! answer either. It begins where "now" was when it began to wait. Promoters whose cursors are there, or begin at a time
//! that was named, are polled meanwhile.

use std::collections::HashSet;

use super::polled_promoter::{PolledPromoter, start_time};
use crate::commit::queue::{Closed, WriteOutcome, WriteSender};
use crate::model::age::{AgeLimit, AgeLimits};
use crate::model::cursor::Cursor;
use crate::model::feed::{Feed, PerFeed, StartFrom};
use crate::model::pacing::Pacing;
use crate::model::promoter::Promoter;
use crate::model::queued_write::QueuedWrite;
use crate::model::shard::Shard;
use crate::model::state::{Cursors, FirstCursor};
use crate::model::time::UnixTime;
use crate::poll::polled_feeds::{FeedSettings, PolledFeed};

/// How many first cursors go into one write.
const CURSORS_MAX: usize = 1000;
/// How long refunds that orders have met are remembered at least where nothing polls refunds, in seconds. An order is
/// refunded within a year: a feed of refunds that is polled later knows then which of them are published.
const REFUNDS_MEMORY: i64 = 366 * 24 * 3600;

/// Feeds, with the first cursors that have to be durable before they are polled.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    pub first_cursors: Vec<FirstCursor>,
    feeds: Vec<PolledFeed>,
}

impl Beginning {
    /// The feeds to poll, once their first cursors are durable; without those of shards that are lost meanwhile, which come beside.
    ///
    /// # Errors
    /// [`Closed`] once the session is over.
    pub async fn made_durable(
        mut self,
        queue: &WriteSender,
        partitions: i32,
    ) -> Result<(Vec<PolledFeed>, HashSet<Shard>), Closed> {
        // Each write is of one shard: should that be lost, the others' are written all the same.
        let shard_of = |promoter: &Promoter| Shard::of(promoter, partitions);
        let shard = |(promoter, ..): &FirstCursor| shard_of(promoter);
        self.first_cursors.sort_by_key(shard);
        let of_shards = self.first_cursors.chunk_by(|one, other| shard(one) == shard(other));
        let writing = of_shards.map(|first_cursors| async move {
            let is_lost = written(first_cursors, queue).await? == WriteOutcome::ShardLost;
            Ok::<_, Closed>(first_cursors.first().filter(|_| is_lost).map(shard))
        });
        // At once: one after the other, each shard would wait for a transaction of its own.
        let lost = futures_util::future::try_join_all(writing).await?;
        let lost: HashSet<Shard> = lost.into_iter().flatten().collect();
        self.feeds.retain(|feed| !lost.contains(&shard_of(&feed.promoter)));
        Ok((self.feeds, lost))
    }

    /// Adds the first cursors that a promoter lacks beside the `cursors` it has, and the feeds to poll. Where a feed begins
    /// "now" that is its `now`; or when another one began to meet its facts, for what that would have met must not be lost.
    pub fn add(&mut self, promoter: &PolledPromoter, cursors: Cursors, now: &PerFeed<UnixTime>) {
        let mut begin = |feed: Feed, cursor: Cursor| {
            self.first_cursors.push((promoter.promoter.clone(), feed, cursor));
            cursor
        };
        let refunds_met = promoter.meets_refunds();
        if promoter.begins_memory(&cursors) {
            begin(Feed::Refunds, Cursor::memory(start_time(promoter.refunds_start, now.refunds)));
        }
        let refunds_lateness = promoter.refunds_lateness.max(REFUNDS_MEMORY);
        for feed in Feed::ALL {
            let Some(plan) = promoter.feeds[feed] else { continue };
            let start = |now| start_time(plan.start_from, now);
            let (cursor, begins) = match cursors[feed] {
                Some(cursor) if cursor.polled => (cursor, false),
                Some(memory) => (begin(feed, Cursor::begin_with(memory, feed, start(memory.start))), true),
                None => (begin(feed, Cursor::begin(feed, start(now[feed]))), true),
            };
            let refunds_lateness = (feed == Feed::Orders && refunds_met).then_some(refunds_lateness);
            let settings = FeedSettings { poll: plan.settings, refunds_lateness };
            let (promoter, pacing) = (promoter.promoter.clone(), Pacing::new(cursor));
            self.feeds.push(PolledFeed { promoter, feed, settings, pacing, begins });
        }
    }

    #[cfg(test)]
    pub fn feeds(&self) -> &[PolledFeed] {
        &self.feeds
    }
}

/// Why `promoter`, which has `cursors` at `now`, may not begin where it should: its topic would not take or keep such facts.
pub(crate) fn too_early(
    promoter: &PolledPromoter,
    cursors: Cursors,
    limits: &AgeLimits,
    now: &PerFeed<UnixTime>,
) -> Option<String> {
    let mut beginning = Beginning::default();
    beginning.add(promoter, cursors, now);
    let mut begun = beginning.first_cursors.iter().filter(|(.., cursor)| cursor.polled);
    begun.find_map(|(promoter, feed, cursor)| {
        let AgeLimit { seconds, set_by, consequence } = limits.passed(*feed, cursor.start, now[*feed])?;
        Some(format!(
            "the {feed} of {promoter} begin at {} by their start_from, and {set_by} than {seconds} s: {consequence}. \
             Change that setting, or start_from",
            cursor.start
        ))
    })
}

/// Writes the first cursors of one shard, and waits for them.
///
/// # Errors
/// [`Closed`] where the session is over.
async fn written(first_cursors: &[FirstCursor], queue: &WriteSender) -> Result<WriteOutcome, Closed> {
    let mut chunks = first_cursors.chunks(CURSORS_MAX).peekable();
    while let Some(chunk) = chunks.next() {
        let write = QueuedWrite::FirstCursors(chunk.to_vec());
        // Batches become durable one after the other, so the last write speaks for all of the shard.
        match chunks.peek() {
            Some(_) => queue.send(write).await?,
            None => return queue.send_durably(write).await,
        }
    }
    Ok(WriteOutcome::Durable)
}

impl PolledPromoter {
    /// Whether it has a feed without a cursor that begins "now", or a memory of refunds that does.
    pub(super) fn begins_now(&self, cursors: &Cursors) -> bool {
        let feed_begins = Feed::ALL.into_iter().any(|feed| {
            let begun = cursors[feed].is_some();
            !begun && self.feeds[feed].is_some_and(|plan| plan.start_from == StartFrom::Now)
        });
        feed_begins || (self.begins_memory(cursors) && self.refunds_start == StartFrom::Now)
    }

    fn begins_memory(&self, cursors: &Cursors) -> bool {
        self.meets_refunds() && cursors.refunds.is_none()
    }
}
