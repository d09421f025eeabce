//! What the pipeline takes from its log, and what it writes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::commit::log::CommitLog;
use crate::model::request::answered_offsets::{AnsweredOffsets, OffsetRecord};
use crate::model::request::record::{RequestAnswer, RequestRecord};

/// The most that is read again at once: requests, and about their bytes.
pub(crate) const FETCH_RECORDS_MAX: usize = 512;
pub(crate) const FETCH_BYTES_MAX: usize = 1024 * 1024;

/// A log of the requests.
pub(crate) trait AnswerLog: CommitLog<Opened = OpenedRequests, Batch = AnswerBatch> {}

impl<L: CommitLog<Opened = OpenedRequests, Batch = AnswerBatch>> AnswerLog for L {}

/// What an open log of the requests hands over.
pub struct OpenedRequests {
    /// Of each partition that is owned.
    pub answered: Vec<AnsweredOffsets>,
    /// The records of these partitions from there on, each partition's in order. Ends when reading failed.
    pub records: mpsc::Receiver<RequestRecord>,
    /// Reads again what was read before, until reading fails.
    pub again: RangeFetcher,
    /// Up to where these partitions reach, as far as that is known.
    pub ends: Arc<PartitionEnds>,
    /// Cancelled when the partitions are to be given back.
    pub revoked: CancellationToken,
}

/// The offset behind the last record of partitions, as it was last heard.
#[derive(Debug, Default)]
pub struct PartitionEnds(Mutex<HashMap<i32, i64>>);

impl PartitionEnds {
    pub fn note(&self, partition: i32, end: i64) {
        self.0.lock().insert(partition, end);
    }

    /// Nothing where none was heard.
    pub fn of(&self, partition: i32) -> Option<i64> {
        self.0.lock().get(&partition).copied()
    }
}

/// Has ranges of the topic read again.
#[derive(Clone, Debug)]
pub struct RangeFetcher(mpsc::Sender<FetchRange>);

impl RangeFetcher {
    /// With the wishes of all its clones, for whoever reads. No more than one waits.
    pub fn new() -> (RangeFetcher, mpsc::Receiver<FetchRange>) {
        let (wishes, wished) = mpsc::channel(1);
        (RangeFetcher(wishes), wished)
    }

    /// The records of a partition at these offsets, all of which have been there before, or the first `most` of them. Nothing where
    /// nobody reads any more.
    pub async fn fetch(&self, partition: i32, offsets: Range<i64>, most: usize) -> Option<FetchedRange> {
        let (chunk, answer) = oneshot::channel();
        self.0.send(FetchRange { partition, from: offsets.start, to: offsets.end, most, chunk }).await.ok()?;
        answer.await.ok()
    }
}

/// A wish for the records of a partition from one offset to before another, or the first `most` of them.
#[derive(Debug)]
pub struct FetchRange {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
    pub most: usize,
    pub chunk: oneshot::Sender<FetchedRange>,
}

/// Records in their order, [`FETCH_RECORDS_MAX`] at most.
#[derive(Debug, Default)]
pub struct FetchedRange {
    pub records: Vec<RequestRecord>,
    /// There is nothing else between these and this offset. It is where the chunk begins where nothing could be read now.
    pub next: i64,
}

/// What becomes durable together.
#[derive(Debug, Default)]
pub struct AnswerBatch {
    pub answers: Vec<(Arc<RequestRecord>, RequestAnswer)>,
    /// How far each partition is answered that these answers stand in, with them.
    pub offset_records: Vec<OffsetRecord>,
    /// Of each of these partitions the offset of the first request without an answer.
    pub positions: Vec<(i32, i64)>,
}
