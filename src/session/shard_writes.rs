//! What the coordinator puts into the queue besides opening and closing shards.

use super::shard_promoters::{ShardRemovals, UnreadableRegistrations};
use crate::commit::queue::{Closed, WriteSender};
use crate::model::queued_write::QueuedWrite;
use crate::model::shard::AssignedShard;

/// Promoters in one write of removals: what is forgotten of each may be some thousand records, and a batch ends between writes.
const REMOVALS_OF_WRITE_MAX: usize = 10;

/// # Errors
/// [`Closed`] once the session is over.
pub(super) async fn removals(queue: &WriteSender, removals: ShardRemovals) -> Result<(), Closed> {
    for (assigned, removals) in removals {
        for removals in removals.chunks(REMOVALS_OF_WRITE_MAX) {
            queue.send(QueuedWrite::Removals(assigned, removals.to_vec())).await?;
        }
    }
    Ok(())
}

/// # Errors
/// [`Closed`] once the session is over.
pub(super) async fn unreadable(
    queue: &WriteSender,
    assigned: AssignedShard,
    letters: UnreadableRegistrations,
) -> Result<(), Closed> {
    if letters.is_empty() {
        return Ok(());
    }
    queue.send(QueuedWrite::UnreadableRegistrations(assigned, letters)).await
}
