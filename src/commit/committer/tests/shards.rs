//! What becomes of a shard's writes when it is lost.

use super::*;
use crate::commit::testing::durable_topics::{DurableTopics, PARTITIONS};
use crate::commit::testing::fault_script::{FaultScript, ScriptedFault};
use crate::commit::testing::memory_group::MemoryGroup;
use crate::commit::testing::memory_log::MemoryLog;
use crate::model::shard::Shard;
use crate::model::state::FirstCursor;

const COMMIT: Duration = Duration::from_secs(3);

/// A committer that knows all shards of a log in memory, whose commits take [`COMMIT`].
struct World {
    durable: Arc<Mutex<DurableTopics>>,
    group: MemoryGroup,
    assigned: Vec<AssignedShard>,
}

impl World {
    async fn open() -> (World, Committer<MemoryLog>) {
        let (durable, group) = (Arc::default(), MemoryGroup::of_one("one", PARTITIONS));
        let script = FaultScript::new(|| (COMMIT, ScriptedFault::None), CancellationToken::new());
        let mut log = MemoryLog::shared(Arc::clone(&durable), script, "one", &group);
        let mut ownership = log.open().await.unwrap().ownership;
        let (mut assigned, mut shards) = (Vec::new(), Shards::new(PARTITIONS));
        while assigned.len() < 3 {
            let OwnershipChange::Assigned(some) = ownership.next().await else { panic!("nothing is revoked yet") };
            some.iter().for_each(|assigned| shards.open(*assigned, State::default()));
            assigned.extend(some);
        }
        let bounds = BatchBounds { linger: Duration::from_secs(60), events_max: 1000, bytes_max: 1 << 30 };
        (World { durable, group, assigned }, Committer::new(log, shards, bounds, Arc::default()))
    }

    /// How many records the state has of the promoters of a shard.
    fn durable(&self, shard: AssignedShard) -> usize {
        let durable = self.durable.lock().unwrap();
        let of_shard = |key: &&String| {
            key.strip_prefix("cursor/").and_then(|key| key.rsplit_once('/')).is_some_and(|(promoter, _)| {
                Shard::of(&Promoter::from_key(promoter).unwrap(), PARTITIONS) == shard.shard
            })
        };
        durable.state.keys().filter(of_shard).count()
    }
}

/// First cursors of ten promoters of a shard.
fn write_of(shard: AssignedShard) -> QueuedWrite {
    let first = |number: usize| -> FirstCursor {
        let promoter = Promoter::from_key(&format!("wx1/o{number}")).unwrap();
        (promoter, Feed::Touches, Cursor::begin(Feed::Touches, UnixTime(0)))
    };
    let of_shard = |first: &FirstCursor| Shard::of(&first.0, PARTITIONS) == shard.shard;
    QueuedWrite::FirstCursors((0..).map(first).filter(of_shard).take(10).collect())
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_of_a_shard_that_is_closed_is_dropped_and_later_writes_come_to_nothing() {
    let (world, committer) = World::open().await;
    let (queue, writes) = write_queue(1 << 20);
    let (closed, kept) = (world.assigned[0], world.assigned[1]);
    let writing = async {
        queue.send(write_of(closed)).await.unwrap();
        queue.send(write_of(kept)).await.unwrap();
        queue.close_shards(vec![closed]).unwrap();
        queue.send(write_of(closed)).await.unwrap();
        drop(queue);
    };
    let ((_, ended), ()) = tokio::join!(committer.run(writes), writing);
    assert_eq!(ended, Ended::Drained);
    assert_eq!((world.durable(closed), world.durable(kept)), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn what_was_planned_of_a_shard_that_is_lost_is_dropped_and_the_rest_committed() {
    let (world, committer) = World::open().await;
    let (queue, writes) = write_queue(1 << 20);
    let (lost, back, kept) = (world.assigned[0], world.assigned[1], world.assigned[2]);
    let writing = async {
        for shard in [kept, lost, back] {
            queue.send(write_of(shard)).await.unwrap();
        }
        world.group.take_away(lost.shard, "two");
        // It comes back, and is still not what was planned on.
        world.group.take_away(back.shard, "two");
        world.group.take_away(back.shard, "one");
        drop(queue);
    };
    let ((_, ended), ()) = tokio::join!(committer.run(writes), writing);
    assert_eq!(ended, Ended::Drained);
    assert_eq!([lost, back, kept].map(|shard| world.durable(shard)), [0, 0, 10]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_write_is_told_when_its_shard_is_lost_whichever_batch_it_stands_in() {
    let (world, committer) = World::open().await;
    let (queue, writes) = write_queue(1 << 20);
    let (lost, kept) = (world.assigned[0], world.assigned[1]);
    let writing = async {
        let ((of_lost, of_kept), ()) = tokio::join!(
            async { tokio::join!(queue.send_durably(write_of(lost)), queue.send_durably(write_of(kept))) },
            async {
                // The first batch is under way, and another grows beside it.
                tokio::time::sleep(COMMIT / 3).await;
                world.group.take_away(lost.shard, "two");
            }
        );
        assert_eq!((of_lost, of_kept), (Ok(WriteOutcome::ShardLost), Ok(WriteOutcome::Durable)));
        assert_eq!(queue.send_durably(write_of(lost)).await, Ok(WriteOutcome::ShardLost), "it is not there any more");
        drop(queue);
    };
    let ((_, ended), ()) = tokio::join!(committer.run(writes), writing);
    assert_eq!(ended, Ended::Drained);
    assert_eq!((world.durable(lost), world.durable(kept)), (0, 10));
}
