//! Rewinds on their way from the registry to the committer: [`crate::model::rewind`] says why each acts once.

use crate::commit::queue::{Closed, WriteSender};
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::queued_write::QueuedWrite;
use crate::model::rewind::Rewind;
use crate::model::state::Cursors;

/// How many rewinds go into one write.
const REWINDS_MAX: usize = 100;

/// In the order in which the registry says them.
pub(super) type PromoterRewinds = Vec<(Promoter, Feed, Rewind)>;

/// Puts them into the queue, and says which of them have moved a cursor: most were met before, by whoever took the shard up then.
/// None of the promoters may be polled meanwhile.
///
/// # Errors
/// [`Closed`] once the session is over.
pub(super) async fn write_rewinds(queue: &WriteSender, rewinds: PromoterRewinds) -> Result<(), Closed> {
    for rewinds in rewinds.chunks(REWINDS_MAX) {
        let promoters = || rewinds.iter().map(|(promoter, ..)| promoter.clone()).collect();
        let before = queue.cursors(promoters()).await?;
        queue.send(QueuedWrite::Rewinds(rewinds.to_vec())).await?;
        let behind = queue.cursors(promoters()).await?;
        for ((promoter, feed, rewind), (before, behind)) in rewinds.iter().zip(before.iter().zip(&behind)) {
            say(promoter, *feed, rewind, before, behind);
        }
    }
    Ok(())
}

fn say(promoter: &Promoter, feed: Feed, rewind: &Rewind, before: &Cursors, behind: &Cursors) {
    let (Some(before), Some(behind)) = (before[feed], behind[feed]) else { return };
    if behind.complete_before < before.complete_before {
        let (pipeline, id, republish) = ("polls", rewind.id, rewind.republish);
        let (from, to) = (before.complete_before, behind.complete_before);
        tracing::info!(pipeline, %promoter, %feed, rewind = %id, %from, %to, republish, "a feed is asked again from an earlier time");
    }
}
