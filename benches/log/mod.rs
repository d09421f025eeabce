//! The log in memory as far as it is needed to own shards: what else is committed is only shown, and kept by nobody.

use std::sync::Arc;

use promoter_connector::commit::log::{CommitError, CommitLog, OpenError, Opened};
use promoter_connector::commit::testing::fault_script::FaultScript;
use promoter_connector::commit::testing::memory_log::MemoryLog;
use promoter_connector::model::batch::Batch;

pub struct ShownLog<F> {
    fences: MemoryLog,
    show: F,
}

impl<F> ShownLog<F> {
    /// Each batch but those that take shards over is shown to `show`, which may block.
    pub fn new(show: F) -> ShownLog<F> {
        ShownLog::beside(MemoryLog::new(Arc::default(), FaultScript::uneventful()), show)
    }

    /// The same, with `fences` for what takes shards over.
    pub fn beside(fences: MemoryLog, show: F) -> ShownLog<F> {
        ShownLog { fences, show }
    }
}

impl<F: Fn(&Batch) + Clone + Send + Sync + 'static> CommitLog for ShownLog<F> {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        self.fences.open().await
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        if !batch.shard_records.is_empty() {
            return self.fences.commit(batch).await;
        }
        let show = self.show.clone();
        tokio::task::spawn_blocking(move || show(&batch)).await.unwrap();
        Ok(())
    }

    async fn release(&mut self) {
        self.fences.release().await;
    }
}
