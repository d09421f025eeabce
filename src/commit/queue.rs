//! The bounded queue between those who ask the upstream and the one who writes.
//!
//! The bound is in bytes, not in writes: a page may be tiny or as large as `http.response_max`. Who sends waits
//! while the queue is full, so a slow Kafka slows the polling instead of filling the memory.

use std::sync::{Arc, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::model::batch::ShardRecord;
use crate::model::page_facts::PageFacts;
use crate::model::parts::in_parts;
use crate::model::promoter::Promoter;
use crate::model::queued_write::QueuedWrite;
use crate::model::shard::AssignedShard;
use crate::model::state::{Cursors, State};
use crate::telemetry::traces::TracedPoll;

/// Permits are counted in this many bytes, so that their number stays within what a semaphore can count.
const PERMIT_BYTES: usize = 1024;
/// Of how many promoters cursors are asked for at once: meanwhile the committer takes no write.
const CURSORS_OF_MAX: usize = 1000;

/// The other end is gone: the session is over, and nothing more will be written in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the write queue is closed")]
pub struct Closed;

/// What has become of a write whose end was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The log holds what came of it, and of all that were sent before.
    Durable,
    /// It came to nothing, or part of it: a shard of it is not this instance's any more.
    ShardLost,
}

/// Puts fences into the queue, and nothing else.
#[derive(Clone)]
pub struct FenceSender(WriteSender);

impl FenceSender {
    /// Returns when the log holds them, or never will.
    ///
    /// # Errors
    /// [`Closed`] once the session is over.
    pub async fn write(&self, fences: Vec<ShardRecord>) -> Result<WriteOutcome, Closed> {
        self.0.send_durably(QueuedWrite::ShardRecords(fences)).await
    }
}

/// Where polls put what they bring. The committer drains once the last of its clones is dropped.
#[derive(Clone)]
pub struct WriteSender {
    writes: mpsc::UnboundedSender<Received>,
    room: Arc<Semaphore>,
    permits_max: usize,
}

/// The committer's end. Once it is dropped every send fails.
pub struct WriteReceiver {
    writes: mpsc::UnboundedReceiver<Received>,
    room: Arc<Semaphore>,
}

/// How full a queue is, for whoever looks.
#[derive(Debug)]
pub struct QueueGauge {
    room: Weak<Semaphore>,
    permits_max: usize,
}

impl QueueGauge {
    /// About how many bytes it holds, and may hold at most. One that is gone holds nothing.
    pub fn bytes(&self) -> (usize, usize) {
        let free = self.room.upgrade().map_or(self.permits_max, |room| room.available_permits());
        (self.permits_max.saturating_sub(free) * PERMIT_BYTES, self.permits_max * PERMIT_BYTES)
    }
}

/// What comes out of the queue, in the order in which it was put in.
pub enum Received {
    Write(ReceivedWrite),
    CursorsRequest(CursorsRequest),
    /// Shards whose states were read whole: what is written of them is planned from here on.
    ShardsOpened(Vec<(AssignedShard, State)>),
    /// Shards that are this instance's no more.
    ShardsClosed(Vec<AssignedShard>),
}

/// Asks for the cursors of some promoters, as the writes before it leave them.
pub struct CursorsRequest {
    pub promoters: Vec<Promoter>,
    /// To be told those of each promoter, in the order of `promoters`.
    pub reply: oneshot::Sender<Vec<Cursors>>,
}

/// A write and its place in the queue, which is free again when this is dropped.
pub struct ReceivedWrite {
    pub write: QueuedWrite,
    /// To be told what has become of the write. It is dropped untold if nobody knows before the session is over.
    pub outcome: Option<oneshot::Sender<WriteOutcome>>,
    /// Whose page it is, where that is told.
    pub poll: Option<TracedPoll>,
    _room: OwnedSemaphorePermit,
}

/// A queue of about `bytes_max` bytes. A write larger than the whole queue is let in when the queue is empty.
pub fn write_queue(bytes_max: usize) -> (WriteSender, WriteReceiver) {
    // No more than one call can take: a write as large as the queue takes all of them.
    let permits_max = (bytes_max / PERMIT_BYTES).clamp(1, u32::MAX as usize);
    let room = Arc::new(Semaphore::new(permits_max));
    // Unbounded in number, but every element holds a permit: the semaphore is the bound.
    let (sender, receiver) = mpsc::unbounded_channel();
    (WriteSender { writes: sender, room: room.clone(), permits_max }, WriteReceiver { writes: receiver, room })
}

impl WriteSender {
    /// Sends a write, and waits for room before. Whether the log ever holds what comes of it is not told.
    ///
    /// # Errors
    /// [`Closed`] once the session is over.
    pub async fn send(&self, write: QueuedWrite) -> Result<(), Closed> {
        self.put(write, None, None).await
    }

    /// As [`send`](Self::send), of a `poll` that may be told.
    ///
    /// # Errors
    /// [`Closed`] once the session is over.
    pub(crate) async fn send_page(&self, page: PageFacts, poll: Option<TracedPoll>) -> Result<(), Closed> {
        self.put(QueuedWrite::PageFacts(page), None, poll).await
    }

    pub fn gauge(&self) -> QueueGauge {
        QueueGauge { room: Arc::downgrade(&self.room), permits_max: self.permits_max }
    }

    pub fn fences(&self) -> FenceSender {
        FenceSender(self.clone())
    }

    /// Sends a write and waits until the log holds what came of it, and of all that were sent before; or until it is known that
    /// it will not.
    ///
    /// # Errors
    /// [`Closed`] once the session is over: whether the log holds it is not known then.
    pub async fn send_durably(&self, write: QueuedWrite) -> Result<WriteOutcome, Closed> {
        let (tell, told) = oneshot::channel();
        self.put(write, Some(tell), None).await?;
        told.await.map_err(|_| Closed)
    }

    /// The cursors of each of `promoters`, as all that was sent before leaves them. They may not be durable yet.
    ///
    /// # Errors
    /// [`Closed`] once the session is over.
    pub async fn cursors(&self, promoters: Vec<Promoter>) -> Result<Vec<Cursors>, Closed> {
        let mut cursors = Vec::with_capacity(promoters.len());
        for promoters in in_parts(promoters, CURSORS_OF_MAX) {
            let (reply, told) = oneshot::channel();
            // Takes no room: whoever asks waits for the answer before it asks again.
            let request = Received::CursorsRequest(CursorsRequest { promoters, reply });
            self.writes.send(request).map_err(|_| Closed)?;
            cursors.extend(told.await.map_err(|_| Closed)?);
        }
        Ok(cursors)
    }

    /// From here on writes of these shards count.
    ///
    /// # Errors
    /// [`Closed`] once the session is over.
    pub fn open_shards(&self, opened: Vec<(AssignedShard, State)>) -> Result<(), Closed> {
        // Takes no room: the states are there already.
        self.writes.send(Received::ShardsOpened(opened)).map_err(|_| Closed)
    }

    /// From here on writes of these shards come to nothing, and those sent before that are not on their way to the log.
    ///
    /// # Errors
    /// [`Closed`] once the session is over.
    pub fn close_shards(&self, closed: Vec<AssignedShard>) -> Result<(), Closed> {
        // Takes no room: a revocation must not wait until a slow log has made some.
        self.writes.send(Received::ShardsClosed(closed)).map_err(|_| Closed)
    }

    /// # Errors
    /// [`Closed`] where the committer has ended.
    async fn put(
        &self,
        write: QueuedWrite,
        outcome: Option<oneshot::Sender<WriteOutcome>>,
        poll: Option<TracedPoll>,
    ) -> Result<(), Closed> {
        let permits = (write.weight() / PERMIT_BYTES + 1).min(self.permits_max);
        let permits = u32::try_from(permits).map_err(|_| Closed)?;
        // First come, first served: a large page is not overtaken for ever by small ones.
        let room = self.room.clone().acquire_many_owned(permits).await.map_err(|_| Closed)?;
        let received = ReceivedWrite { write, outcome, poll, _room: room };
        self.writes.send(Received::Write(received)).map_err(|_| Closed)
    }
}

impl WriteReceiver {
    /// What comes next, or nothing when every sender is gone and the queue is empty.
    pub async fn receive(&mut self) -> Option<Received> {
        self.writes.recv().await
    }
}

impl Drop for WriteReceiver {
    /// Wakes those who wait for room: there will be none.
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> QueuedWrite {
        QueuedWrite::FirstCursors(Vec::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_holds_its_sender_until_a_write_is_done_with() {
        let (sender, mut receiver) = write_queue(PERMIT_BYTES);
        sender.send(small()).await.unwrap();
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(small()).await }
        });
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        assert!(!waiting.is_finished());
        let gauge = sender.gauge();
        assert_eq!(gauge.bytes(), (PERMIT_BYTES, PERMIT_BYTES));
        drop(receiver.receive().await);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn a_sender_learns_that_the_session_is_over() {
        let (sender, receiver) = write_queue(PERMIT_BYTES);
        sender.send(small()).await.unwrap();
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(small()).await }
        });
        tokio::task::yield_now().await;
        drop(receiver);
        assert_eq!(waiting.await.unwrap(), Err(Closed));
    }
}
