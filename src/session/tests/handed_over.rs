//! In which order polls end, cursors are asked for, and shards are closed.

use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::registered::SECOND;
use super::reported::Same;
use super::*;
use crate::commit::log::{NotesReader, OwnershipChange, Restore, RestoredShard, Restores};
use crate::commit::queue::{FenceSender, Received, ReceivedWrite, WriteOutcome, WriteReceiver, WriteSender};
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::commit::testing::memory_group::{MemoryGroup, unnoted};
use crate::commit::under_way::under_way;
use crate::model::queued_write::QueuedWrite;
use crate::model::shard::{AssignedShard, Shard};
use crate::session::polls::{PromotersChange, ToldChange};
use crate::session::shard_coordinator::ShardCoordinator;
use crate::telemetry::health::WorkStanding;

/// A row that is a dead letter, so that its page has something to write.
const A_ROW: &str = r#"{"errcode":0,"total_cnt":1,"relation_list":[{"openid":"o"}]}"#;

const SHARD: AssignedShard = AssignedShard { shard: Shard(0), number: 1 };

fn upstream() -> Same {
    Same { began: tokio::time::Instant::now(), answer: Some(A_ROW) }
}

fn polled() -> PolledPromoter {
    promoter(touches_only(plan(StartFrom::At(NOW))))
}

fn context(queue: WriteSender) -> PollContext {
    PollContext {
        queue,
        partitions: 1,
        age_limits: Arc::default(),
        totals: Arc::default(),
        forget: Duration::from_secs(86_400),
        end: CancellationToken::new(),
    }
}

/// Of a group that says what a test says; a shard is restored at once, and nothing is known of it.
struct ToldShards(mpsc::UnboundedReceiver<OwnershipChange>);

impl ShardOwnership for ToldShards {
    fn next(&mut self) -> BoxFuture<'_, OwnershipChange> {
        Box::pin(async { self.0.recv().await.unwrap() })
    }

    fn restore(&self, shards: Vec<AssignedShard>, _: FenceSender, _: CancellationToken) -> Restores {
        let restored = || RestoredShard { state: State::default(), registered: Vec::new() };
        let restored = |shard| Box::pin(std::future::ready((shard, Ok(restored())))) as Restore;
        shards.into_iter().map(restored).collect()
    }

    fn notes(&self) -> NotesReader {
        unnoted()
    }

    fn hand_over(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Should it come back, what is read of it then must meet no page of a poll that began before.
#[tokio::test(start_paused = true)]
async fn a_shard_is_closed_only_when_its_polls_have_ended() {
    let polls = pipeline(&upstream(), polled());
    let (queue, mut writes) = write_queue(1 << 20);
    let (group, changes) = mpsc::unbounded_channel();
    let (tell, mut told) = mpsc::channel(1);
    let mut ownership = ToldShards(changes);
    let coordinator = ShardCoordinator::new(&polls, &mut ownership, vec![tell], context(queue));
    let script = async {
        group.send(OwnershipChange::Assigned(vec![SHARD])).unwrap();
        assert_eq!(told.recv().await.unwrap().change.polled.len(), 1);
        assert!(matches!(writes.receive().await, Some(Received::ShardsOpened(_))));
        group.send(OwnershipChange::Revoked(vec![SHARD])).unwrap();
        let ending = told.recv().await.unwrap();
        assert_eq!(ending.change.gone.len(), 1);
        assert!(timeout(MINUTE, writes.receive()).await.is_err(), "closed while its polls are under way");
        drop(ending);
        assert!(matches!(writes.receive().await, Some(Received::ShardsClosed(closed)) if closed == [SHARD]));
    };
    tokio::select! {
        ended = coordinator.run() => panic!("{ended:?}"),
        () = script => {}
    }
}

/// Takes what comes next, which has to be a write.
async fn write(writes: &mut WriteReceiver) -> ReceivedWrite {
    match timeout(MINUTE, writes.receive()).await {
        Ok(Some(Received::Write(write))) => write,
        _ => panic!("a write comes next"),
    }
}

/// Answers who asks for cursors, which has to come next.
async fn no_cursors(writes: &mut WriteReceiver) {
    match timeout(MINUTE, writes.receive()).await {
        Ok(Some(Received::CursorsRequest(asked))) => asked.reply.send(vec![Cursors::default()]).unwrap(),
        _ => panic!("cursors are asked for next"),
    }
}

/// Or a feed would be polled twice at once, the second time from where the first has not been yet.
#[tokio::test(start_paused = true)]
async fn whoever_is_polled_otherwise_begins_behind_the_last_page_of_before() {
    let polls = pipeline(&upstream(), polled());
    // With room for one write.
    let (queue, mut writes) = write_queue(1);
    let (tell, changes) = mpsc::channel(1);
    let change = |under_way| {
        let change = PromotersChange { polled: vec![polled()], ..PromotersChange::default() };
        ToldChange { change, since: tokio::time::Instant::now(), under_way }
    };
    let script = async {
        tell.send(change(None)).await.unwrap();
        no_cursors(&mut writes).await;
        let ReceivedWrite { outcome, .. } = write(&mut writes).await;
        // The queue is full before the first page is read.
        queue.send(QueuedWrite::FirstCursors(Vec::new())).await.unwrap();
        outcome.unwrap().send(WriteOutcome::Durable).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (held, mut ended) = under_way();
        tell.send(change(Some(held))).await.unwrap();
        assert!(timeout(MINUTE, ended.wait()).await.is_err(), "a page waits for room, so its poll is under way");
        drop(write(&mut writes).await);
        assert!(matches!(write(&mut writes).await.write, QueuedWrite::PageFacts(_)));
        ended.wait().await;
        no_cursors(&mut writes).await;
    };
    tokio::select! {
        () = polls.apps[0].poll(changes, context(queue.clone())) => panic!("it goes on"),
        () = script => {}
    }
}

/// What was assigned when its log was opened may be another's when its session begins: it is as ready then as it will be.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_given_nothing_stands_by() {
    let group = MemoryGroup::of_one("other", PARTITIONS);
    let polls = pipeline(&upstream(), polled());
    let stop = CancellationToken::new();
    let make_log = || MemoryLog::shared(Arc::default(), FaultScript::uneventful(), "one", &group);
    let running = supervisor::run(&polls, make_log, &stop, retry());
    let standing = || polls.totals.health.snapshot().standing;
    let looking = async {
        tokio::time::sleep(SECOND).await;
        assert_eq!(standing(), WorkStanding::Starting, "what it is to have may be on its way");
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(standing(), WorkStanding::Standby);
        group.take_away(Shard(0), "one");
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(standing(), WorkStanding::Working);
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(running, looking);
    ended.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_shards_are_taken_away_before_they_are_restored_stands_by() {
    let polls = pipeline(&upstream(), polled());
    let (queue, _writes) = write_queue(1 << 20);
    let (group, changes) = mpsc::unbounded_channel();
    let (tell, mut told) = mpsc::channel(1);
    let mut ownership = ToldShards(changes);
    let context = context(queue);
    let health = context.totals.health.clone();
    let coordinator = ShardCoordinator::new(&polls, &mut ownership, vec![tell], context);
    let script = async {
        group.send(OwnershipChange::Assigned(vec![SHARD])).unwrap();
        group.send(OwnershipChange::Revoked(vec![SHARD])).unwrap();
        drop(told.recv().await);
        tokio::time::sleep(SECOND).await;
        assert_eq!(health.snapshot().standing, WorkStanding::Standby);
    };
    tokio::select! {
        ended = coordinator.run() => panic!("{ended:?}"),
        () = script => {}
    }
}
