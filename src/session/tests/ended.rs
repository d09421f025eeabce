//! What ends a session is what is told of it.

use futures_util::future::BoxFuture;

use super::*;
use crate::commit::log::{CommitError, NotesReader, OpenError, OwnershipChange, Restore, Restores};
use crate::commit::queue::FenceSender;
use crate::commit::testing::memory_group::unnoted;
use crate::model::age::AgeLimits;
use crate::model::shard::{AssignedShard, Shard};
use crate::supervisor::GivenUp;

/// Has shards that can't be restored.
struct UnreadableShards {
    is_told: bool,
}

impl ShardOwnership for UnreadableShards {
    fn next(&mut self) -> BoxFuture<'_, OwnershipChange> {
        match std::mem::replace(&mut self.is_told, true) {
            true => Box::pin(std::future::pending()),
            false => {
                let assigned = vec![AssignedShard { shard: Shard(0), number: 1 }];
                Box::pin(std::future::ready(OwnershipChange::Assigned(assigned)))
            }
        }
    }

    fn restore(&self, shards: Vec<AssignedShard>, _: FenceSender, _: CancellationToken) -> Restores {
        let failed =
            |shard| Box::pin(std::future::ready((shard, Err(OpenError::Stop("it was emptied".into()))))) as Restore;
        shards.into_iter().map(failed).collect()
    }

    fn notes(&self) -> NotesReader {
        unnoted()
    }

    fn hand_over(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

struct UnreadableLog;

impl CommitLog for UnreadableLog {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        let ownership = Box::new(UnreadableShards { is_told: false });
        Ok(Opened { partitions: 1, age_limits: AgeLimits::default(), ownership })
    }

    async fn commit(&mut self, _: Arc<Batch>) -> Result<(), CommitError> {
        unreachable!("nothing is polled")
    }

    async fn release(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn shards_that_can_not_be_restored_stop_the_process_with_the_reason() {
    // However the end of the polls and that of the committer fall together.
    for _ in 0..50 {
        let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
        let polls = pipeline(&upstream, promoter(touches_only(plan(StartFrom::Now))));
        let stop = CancellationToken::new();
        let began = tokio::time::Instant::now();
        let ended = supervisor::run(&polls, || UnreadableLog, &stop, retry()).await;
        assert_eq!(ended, Err(GivenUp::Failed("it was emptied".into())));
        assert!(began.elapsed() < Duration::from_millis(1), "at the first attempt");
    }
}
