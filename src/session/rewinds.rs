//! Rewinds on their way from the registry to the committer: [`crate::model::rewind`] says why each acts once.

use crate::commit::queue::{Closed, WriteSender};
use crate::model::age::{AgeLimit, AgeLimits};
use crate::model::feed::{Feed, PulledBy};
use crate::model::promoter::Promoter;
use crate::model::queued_write::QueuedWrite;
use crate::model::rewind::Rewind;
use crate::model::shard::Shard;
use crate::model::state::Cursors;
use crate::model::time::{Day, UnixTime};
use crate::telemetry::pipeline;

/// How many rewinds go into one write.
const REWINDS_MAX: usize = 100;

/// In the order in which the registry says them.
pub(super) type PromoterRewinds = Vec<(Promoter, Feed, Rewind)>;

/// Puts them into the queue, at `now`, and says which of them have moved a cursor: most were met before, by whoever took the shard up
/// then. None of the promoters may be polled meanwhile. No cursor goes further back than its topic takes and keeps facts.
///
/// Each write is of one shard of `partitions`: should that be lost, the others' are written all the same. Those in one with it would
/// be dropped, while the cursors that they have moved in memory go on from there.
///
/// # Errors
/// [`Closed`] once the session is over.
pub(super) async fn write_rewinds(
    queue: &WriteSender,
    mut rewinds: PromoterRewinds,
    partitions: i32,
    limits: &AgeLimits,
    now: UnixTime,
) -> Result<(), Closed> {
    for rewinds in of_single_shards(&mut rewinds, partitions) {
        let promoters = || rewinds.iter().map(|(promoter, ..)| promoter.clone()).collect();
        let kept = |(promoter, feed, rewind): &(Promoter, Feed, Rewind)| {
            (promoter.clone(), *feed, kept(*feed, *rewind, limits, now).0)
        };
        let before = queue.cursors(promoters()).await?;
        // Not waited for: the cursor and that the rewind was met are records of one write, so both become durable or neither.
        queue.send(QueuedWrite::Rewinds(rewinds.iter().map(kept).collect())).await?;
        let behind = queue.cursors(promoters()).await?;
        for ((promoter, feed, rewind), (before, behind)) in rewinds.iter().zip(before.iter().zip(&behind)) {
            let (_, limit) = self::kept(*feed, *rewind, limits, now);
            say(promoter, *feed, rewind, limit, [before, behind]);
        }
    }
    Ok(())
}

/// In writes of one shard each, within which their order stays.
fn of_single_shards(
    rewinds: &mut [(Promoter, Feed, Rewind)],
    partitions: i32,
) -> impl Iterator<Item = &[(Promoter, Feed, Rewind)]> {
    let shard = move |(promoter, ..): &(Promoter, Feed, Rewind)| Shard::of(promoter, partitions);
    rewinds.sort_by_key(shard);
    let of_shards = rewinds.chunk_by(move |one, other| shard(one) == shard(other));
    of_shards.flat_map(|of_shard| of_shard.chunks(REWINDS_MAX))
}

/// The rewind as far as its topic takes and keeps the facts that are asked for, and what bounds it. Without that they would be
/// published to be deleted at once. Orders come by whole days, so of theirs the first whole one counts.
fn kept(feed: Feed, rewind: Rewind, limits: &AgeLimits, now: UnixTime) -> (Rewind, Option<&AgeLimit>) {
    let Some(limit) = limits.passed(feed, rewind.to, now) else { return (rewind, None) };
    let oldest = now.minus(limit.seconds);
    let to = match feed.pulled_by() {
        PulledBy::Window | PulledBy::Promoter => oldest,
        PulledBy::Day => Day::in_beijing(oldest).next().beijing_start(),
    };
    (Rewind { to, ..rewind }, Some(limit))
}

/// Nothing of one that has moved no cursor, and no start.
fn say(promoter: &Promoter, feed: Feed, rewind: &Rewind, limit: Option<&AgeLimit>, [before, behind]: [&Cursors; 2]) {
    let (Some(before), Some(behind)) = (before[feed], behind[feed]) else { return };
    if behind.complete_before >= before.complete_before && behind.start >= before.start {
        return;
    }
    let (pipeline, id, republish) = (pipeline::POLLS, rewind.id, rewind.republish);
    let (from, to, start) = (before.complete_before, behind.complete_before, behind.start);
    tracing::info!(pipeline, %promoter, %feed, rewind = %id, %from, %to, %start, republish, "a feed is asked again from an earlier time");
    if let Some(AgeLimit { set_by, consequence, .. }) = limit {
        let asked = rewind.to;
        tracing::warn!(pipeline, %promoter, %feed, rewind = %id, %asked, set_by, consequence, "a rewind goes no further back than its topic keeps facts");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::feed::PerEventTopic;
    use crate::model::rewind::RewindId;
    use crate::telemetry::captured::Captured;

    /// 2022-11-17 12:00 in Beijing.
    const NOON: UnixTime = UnixTime(1_668_657_600);
    const HOUR: i64 = 3600;

    #[test]
    fn no_write_of_rewinds_is_of_two_shards_and_each_shard_keeps_their_order() {
        let rewind = |number: u32| {
            let promoter = Promoter::from_key(&format!("wx1/o{}", number % 7)).unwrap();
            (promoter, Feed::Touches, Rewind { id: RewindId(number.into()), to: NOON, republish: false })
        };
        let mut rewinds: PromoterRewinds = (0..1000).map(rewind).collect();
        let shard = |(promoter, ..): &(Promoter, Feed, Rewind)| Shard::of(promoter, 3);
        let id = |(_, _, rewind): &(Promoter, Feed, Rewind)| rewind.id.0;
        let mut all = 0;
        for write in of_single_shards(&mut rewinds, 3) {
            assert!(write.len() <= REWINDS_MAX);
            assert!(write.windows(2).all(|two| shard(&two[0]) == shard(&two[1]) && id(&two[0]) < id(&two[1])));
            all += write.len();
        }
        assert_eq!(all, 1000);
    }

    #[test]
    fn a_cursor_goes_no_further_back_than_its_topic_keeps_facts() {
        let limit = || AgeLimit { seconds: 30 * HOUR, set_by: "retention.ms".into(), consequence: String::new() };
        let limits = AgeLimits(PerEventTopic { touches: vec![limit()], orders: vec![limit()] });
        let kept = |feed, hours: i64| {
            let rewind = Rewind { id: RewindId(1), to: NOON.minus(hours * HOUR), republish: true };
            let (bounded, limit) = kept(feed, rewind, &limits, NOON);
            assert_eq!((bounded.id, bounded.republish), (rewind.id, rewind.republish));
            (NOON.0 - bounded.to.0, limit.is_some())
        };
        assert_eq!(kept(Feed::Touches, 30), (30 * HOUR, false));
        assert_eq!(kept(Feed::Touches, 300), (30 * HOUR, true));
        assert_eq!(kept(Feed::Refunds, 300), (30 * HOUR, true));
        // Thirty hours ago the day of the 16th had begun.
        assert_eq!(kept(Feed::Orders, 300), (12 * HOUR, true));
    }

    #[test]
    fn a_start_that_moves_alone_is_told_and_what_moves_nothing_is_not() {
        let captured = Captured::start();
        let (promoter, rewind) =
            (Promoter::from_key("wx1/o1").unwrap(), Rewind { id: RewindId(1), to: NOON.minus(HOUR), republish: false });
        let orders = |cursor| Cursors { orders: Some(cursor), ..Cursors::default() };
        let begun = Cursor::begin(Feed::Orders, NOON);
        let rewound = begun.rewound(Feed::Orders, rewind.to);
        assert_eq!(rewound.complete_before, begun.complete_before);
        say(&promoter, Feed::Orders, &rewind, None, [&orders(begun), &orders(rewound)]);
        say(&promoter, Feed::Orders, &rewind, None, [&orders(rewound), &orders(rewound)]);
        let told = captured.events("a feed is asked again from an earlier time");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["start"], rewind.to.to_string());
    }
}
