use std::sync::Mutex;

use tokio_util::sync::CancellationToken;

use super::super::queue::write_queue;
use super::*;
use crate::commit::attempts::ATTEMPTS_MAX;
use crate::commit::log::{CommitLog, OpenError, Opened, OwnershipChange};
use crate::model::cursor::Cursor;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::queued_write::QueuedWrite;
use crate::model::shard::Shard;
use crate::model::state::State;
use crate::model::time::UnixTime;

mod shards;
mod traced;

/// More records than this in one transaction take too long.
const MOST: usize = 50;
const LATE: Duration = Duration::from_secs(30);
const SLOW: Duration = Duration::from_secs(10);

/// How many records a transaction had, and what of it was written.
type Transaction = (usize, Option<Arc<Batch>>);

#[derive(Clone, Default)]
struct Tried(Arc<Mutex<Vec<Transaction>>>);

struct SlowLog {
    tried: Tried,
    /// Of the transactions that would do, how many until one fails.
    fails_after: usize,
}

impl CommitLog for SlowLog {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        Err(OpenError::Stop("it is open".into()))
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        let records = batch.records();
        let late = records > MOST;
        tokio::time::sleep(if late { LATE } else { SLOW }).await;
        let fails = !late && self.fails_after == 0;
        let written = (!late && !fails).then_some(batch);
        self.tried.0.lock().unwrap().push((records, written));
        if late {
            return Err(CommitError::TooSlow("not acknowledged".into()));
        }
        if fails {
            return Err(CommitError::Reopen("lost".into()));
        }
        self.fails_after -= 1;
        Ok(())
    }

    async fn release(&mut self) {}
}

fn write(first: usize, cursors: usize) -> QueuedWrite {
    let cursor = |number| {
        let promoter = Promoter::from_key(&format!("wx1/o{number}")).unwrap();
        (promoter, Feed::Touches, Cursor::begin(Feed::Touches, UnixTime(1_700_000_000)))
    };
    QueuedWrite::FirstCursors((0..cursors).map(|number| cursor(first.wrapping_add(number))).collect())
}

fn bounds() -> BatchBounds {
    BatchBounds { linger: Duration::from_secs(1), events_max: 1000, bytes_max: 1 << 30 }
}

/// All promoters are in it.
fn one_shard() -> Shards {
    let mut shards = Shards::new(1);
    shards.open(AssignedShard { shard: Shard(0), number: 1 }, State::default());
    // With whom its days begin: or the first write would have these records, too.
    shards.take(write(usize::MAX, 1), &mut Batch::default());
    shards
}

/// Runs `waves` of writes through a committer; each wave waits until the last one has been written.
async fn run(waves: &[&[usize]], fails_after: usize) -> (Tried, Ended) {
    let tried = Tried::default();
    let log = SlowLog { tried: tried.clone(), fails_after };
    let (sender, receiver) = write_queue(1 << 30);
    let committer = Committer::new(log, one_shard(), bounds(), Arc::default());
    let sending = async move {
        let mut number = 0;
        for wave in waves {
            for cursors in *wave {
                sender.send(write(number, *cursors)).await.unwrap();
                number += cursors;
            }
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
    };
    let ((_, ended), ()) = tokio::join!(committer.run(receiver), sending);
    (tried, ended)
}

fn keys(tried: &Tried) -> Vec<String> {
    let tried = tried.0.lock().unwrap();
    let written = tried.iter().filter_map(|(_, batch)| batch.clone());
    written.flat_map(|batch| batch.state.iter().map(|record| record.key.encode()).collect::<Vec<_>>()).collect()
}

fn sizes(tried: &Tried) -> Vec<usize> {
    tried.0.lock().unwrap().iter().map(|(records, _)| *records).collect()
}

fn whole(cursors: usize) -> Vec<String> {
    let mut batch = Batch::default();
    one_shard().take(write(0, cursors), &mut batch);
    batch.state.iter().map(|record| record.key.encode()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_takes_too_long_is_halved_until_it_goes_in_order_and_whole() {
    let (tried, ended) = run(&[&[10; 16]], usize::MAX).await;
    assert_eq!(ended, Ended::Drained);
    assert_eq!(sizes(&tried), [160, 80, 40, 40, 40, 40]);
    assert_eq!(keys(&tried), whole(160));
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_split_is_not_tried_at_the_same_size_again() {
    let (tried, ended) = run(&[&[10; 16], &[10; 16]], usize::MAX).await;
    assert_eq!(ended, Ended::Drained);
    assert_eq!(sizes(&tried)[6..], [40, 40, 40, 40]);
    assert_eq!(keys(&tried), whole(320));
}

#[tokio::test(start_paused = true)]
async fn what_comes_from_one_write_is_never_split() {
    let (tried, ended) = run(&[&[10, 60, 10]], usize::MAX).await;
    assert!(matches!(ended, Ended::Reopen(_)), "{ended:?}");
    let sizes = sizes(&tried);
    assert_eq!(sizes[..3], [80, 70, 10], "cut where a write ends");
    assert_eq!(sizes[3..], [60; ATTEMPTS_MAX as usize], "tried again as it is");
    assert_eq!(keys(&tried), whole(10));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_leaves_the_parts_before_it_and_nothing_behind_it() {
    let (tried, ended) = run(&[&[10; 16]], 1).await;
    assert_eq!(ended, Ended::Reopen("lost".into()));
    assert_eq!(keys(&tried), whole(40));
}
