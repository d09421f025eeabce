//! Shards that are assigned together begin one by one, and what can't be restored now is tried again beside those that run; all
//! of them are polled until others have taken over.

use futures_util::future::BoxFuture;

use super::registered::{NotingUpstream, SECOND};
use super::*;
use crate::commit::log::{CommitError, NotesReader, OpenError, OwnershipChange, Restore, Restores};
use crate::commit::queue::FenceSender;
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::commit::testing::memory_group::{MemoryGroup, unnoted};
use crate::model::shard::{AssignedShard, Shard};
use crate::registry::record::PromoterRecord;

/// What holds up one shard, such as somebody's open transaction.
const HELD_UP: Duration = Duration::from_secs(100);
/// How long others take to take over.
const HANDED_OVER_AFTER: Duration = Duration::from_secs(90);
const AGAIN: &str = "shards can't be restored now, and are tried again";
const OPEN: &str = "log is open, polling begins";

/// A log whose shard 1 is held up, and whose shard 2 fails some times before it is restored.
struct UnevenLog {
    log: MemoryLog,
    failures: Arc<Mutex<u32>>,
}

struct UnevenShards {
    ownership: Box<dyn ShardOwnership>,
    failures: Arc<Mutex<u32>>,
}

impl CommitLog for UnevenLog {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        let opened = self.log.open().await?;
        let ownership = UnevenShards { ownership: opened.ownership, failures: self.failures.clone() };
        Ok(Opened { ownership: Box::new(ownership), ..opened })
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        self.log.commit(batch).await
    }

    async fn release(&mut self) {
        self.log.release().await;
    }
}

impl UnevenShards {
    fn uneven(&self, restore: Restore) -> Restore {
        let failures = self.failures.clone();
        Box::pin(async move {
            let (assigned, restored) = restore.await;
            if assigned.shard == Shard(1) {
                tokio::time::sleep(HELD_UP).await;
            }
            let mut left = failures.lock().unwrap();
            if assigned.shard == Shard(2) && *left > 0 {
                *left -= 1;
                return (assigned, Err(OpenError::Again("no leader".into())));
            }
            (assigned, restored)
        })
    }
}

impl ShardOwnership for UnevenShards {
    fn next(&mut self) -> BoxFuture<'_, OwnershipChange> {
        self.ownership.next()
    }

    fn restore(&self, shards: Vec<AssignedShard>, fences: FenceSender, given_up: CancellationToken) -> Restores {
        let restores = self.ownership.restore(shards, fences, given_up);
        restores.into_iter().map(|restore| self.uneven(restore)).collect()
    }

    fn notes(&self) -> NotesReader {
        unnoted()
    }

    fn hand_over(&self) -> BoxFuture<'static, ()> {
        Box::pin(async { tokio::time::sleep(HANDED_OVER_AFTER).await })
    }
}

/// A promoter of this shard.
fn of(shard: i32) -> Promoter {
    let promoters = (0..).map(|number| Promoter::from_key(&format!("wx1/p{number}")).unwrap());
    promoters.into_iter().find(|promoter| Shard::of(promoter, PARTITIONS) == Shard(shard)).unwrap()
}

/// Ten minutes in which shard 2 fails so often; with what is asked of each.
async fn live(failures: u32, doing: impl Future<Output = ()>, group: &MemoryGroup) -> NotingUpstream {
    for shard in 0..PARTITIONS {
        group.register(&of(shard), Some(PromoterRecord::default()));
    }
    let upstream = NotingUpstream::begin();
    let polls = pipeline(&upstream, promoter(touches_only(plan(StartFrom::At(NOW)))));
    let stop = CancellationToken::new();
    let failures = Arc::new(Mutex::new(failures));
    let make_log = || {
        let log = MemoryLog::shared(Arc::default(), FaultScript::uneventful(), "one", group);
        UnevenLog { log, failures: failures.clone() }
    };
    let end = async {
        tokio::join!(doing, tokio::time::sleep(600 * SECOND));
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(supervisor::run(&polls, make_log, &stop, retry()), end);
    ended.unwrap();
    upstream
}

#[tokio::test(start_paused = true)]
async fn each_shard_is_polled_as_soon_as_it_is_restored() {
    let captured = Captured::start();
    let upstream = live(0, async {}, &MemoryGroup::of_one("one", PARTITIONS)).await;
    let asked = |shard, from, to| upstream.asked(of(shard).promoter_id(), from * SECOND, to * SECOND);
    for shard in [0, 2] {
        assert!(asked(shard, 0, 5) >= 1, "shard {shard} waits for another");
        assert!(asked(shard, 5, 600) >= 9, "shard {shard} misses no turn when another begins");
    }
    assert_eq!(asked(1, 0, 100), 0);
    assert!(asked(1, 100, 105) >= 1);
    let open = captured.events(OPEN);
    let told: Vec<_> =
        open.iter().map(|line| (&line["shards"], line["milliseconds"].as_u64().unwrap() / 100_000)).collect();
    assert_eq!(told, [(&PARTITIONS.into(), 1)], "once, when all are open");
}

/// Otherwise they would stand still until the others have taken them up.
#[tokio::test(start_paused = true)]
async fn one_that_is_told_to_stop_polls_on_until_others_have_taken_over() {
    let upstream = live(0, async {}, &MemoryGroup::of_one("one", PARTITIONS)).await;
    for shard in 0..PARTITIONS {
        let asked = |from, to| upstream.asked(of(shard).promoter_id(), from * SECOND, to * SECOND);
        assert!(asked(601, 690) >= 1 && asked(691, 9999) == 0, "shard {shard}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_can_not_be_restored_now_is_tried_again_and_disturbs_nobody() {
    let captured = Captured::start();
    // Together with one that is held up, whose end the first further attempt waits for.
    let upstream = live(8, async {}, &MemoryGroup::of_one("one", PARTITIONS)).await;
    let asked = |shard, from, to| upstream.asked(of(shard).promoter_id(), from * SECOND, to * SECOND);
    assert!(asked(0, 0, 5) >= 1 && asked(0, 5, 600) >= 9, "it goes on");
    assert_eq!(asked(2, 0, 100), 0);
    assert!(asked(2, 100, 170) >= 1 && asked(2, 170, 600) >= 7, "it is polled once it can be");
    let again = captured.events(AGAIN);
    let told: Vec<_> = again.iter().map(|line| (&line["attempt"], &line["retry_in_ms"])).collect();
    let expected: Vec<_> = (1..).zip([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]).collect();
    let expected: Vec<(Value, Value)> = expected.into_iter().map(|(n, ms): (u32, u32)| (n.into(), ms.into())).collect();
    assert_eq!(told, expected.iter().map(|(n, ms)| (n, ms)).collect::<Vec<_>>());
    assert!(again.iter().all(|line| line["error"] == "no leader" && line["level"] == "WARN"), "{again:?}");
    assert_eq!(captured.events(OPEN).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_taken_away_while_it_waits_for_another_attempt_is_left() {
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let taken = async {
        tokio::time::sleep(103 * SECOND).await;
        group.take_away(Shard(2), "two");
        tokio::time::sleep(200 * SECOND).await;
        group.take_away(Shard(2), "one");
    };
    let upstream = live(6, taken, &group).await;
    let asked = |shard, from, to| upstream.asked(of(shard).promoter_id(), from * SECOND, to * SECOND);
    assert!(asked(0, 0, 5) >= 1 && asked(0, 5, 600) >= 9, "it goes on");
    assert_eq!(asked(2, 0, 303), 0);
    assert!(asked(2, 303, 340) >= 1);
}
