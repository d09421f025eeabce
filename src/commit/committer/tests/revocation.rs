//! What becomes of a transaction under way when its partitions are given back.

use std::sync::Mutex;

use super::super::*;
use crate::commit::log::CommitLog;
use crate::commit::queue::write_queue;
use crate::commit::testing::fault_script::{FaultScript, ScriptedFault};
use crate::commit::testing::memory_log::{DurableTopics, MemoryLog};
use crate::model::cursor::Cursor;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::state::QueuedWrite;
use crate::model::time::UnixTime;

/// How a session ends whose partitions are revoked after a second, while each commit takes `commit`.
async fn revoked(commit: Duration) -> (bool, Ended) {
    let script = FaultScript::new(move || (commit, ScriptedFault::None), CancellationToken::new());
    let mut log = MemoryLog::new(Arc::new(Mutex::new(DurableTopics::default())), script);
    log.open().await.unwrap();
    let bounds = BatchBounds { linger: Duration::ZERO, events_max: 1, bytes_max: 1 };
    let (queue, writes) = write_queue(1 << 20);
    let first = Cursor::begin(Feed::Touches, UnixTime(0));
    queue
        .send(QueuedWrite::FirstCursors(vec![(Promoter::from_key("wx1/o1").unwrap(), Feed::Touches, first)]))
        .await
        .unwrap();
    let revoked = CancellationToken::new();
    let revocation = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        revoked.cancel();
    };
    let committer = Committer::new(log, State::default(), bounds, Arc::default());
    let ((log, ended), ()) = tokio::join!(committer.run(writes, revoked.clone()), revocation);
    (log.is_some(), ended)
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_ends_in_time_ends_a_recall_in_order() {
    assert_eq!(revoked(REVOCATION_GRACE).await, (true, Ended::Revoked));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_outlasts_a_recall_is_no_end_in_order() {
    let (log_is_back, ended) = revoked(2 * REVOCATION_GRACE).await;
    assert!(!log_is_back && matches!(ended, Ended::Reopen(_)), "{ended:?}");
}
