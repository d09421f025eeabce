//! A double for tests, in no release (feature `testing`): a request topic in memory. It keeps what Kafka
//! promises, without Kafka, and has every way in which it can fail at hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::commit::failpoint::Failpoint;
use crate::commit::log::{CommitError, CommitLog, OpenError};
use crate::commit::testing::fault_script::FaultScript;
use crate::model::request::answered_offsets::{AnsweredOffsets, RestoredOffsets};
use crate::model::request::record::{RecordOffset, RequestAnswer, RequestRecord};
use crate::requests::log::{
    AnswerBatch, FETCH_RECORDS_MAX, FetchRange, FetchedRange, OpenedRequests, PartitionEnds, RangeFetcher,
};

/// What survives a crash: the records, how far they are answered, and their answers as a `read_committed` consumer sees
/// them. Clones are the same topic.
#[derive(Clone)]
pub struct MemoryRequestTopic(Arc<Mutex<TopicContent>>);

struct TopicContent {
    records: BTreeMap<i32, BTreeMap<i64, RequestRecord>>,
    /// The records that compaction leaves.
    offset_records: BTreeMap<String, Vec<u8>>,
    answers: Vec<CommittedAnswer>,
    /// How often the topic has lost its tail.
    cuts: usize,
    /// The places of the records that were read again, each as often as it was.
    read_again: Vec<RecordOffset>,
    /// Records that are read again at once, at most.
    piece_max: usize,
    /// Told of each record that comes.
    grown: watch::Sender<()>,
    /// Whoever opened last; an earlier one is refused.
    epoch: u64,
    /// The right of whoever opened last.
    revoked: CancellationToken,
}

/// A committed answer.
#[derive(Clone, Debug)]
pub struct CommittedAnswer {
    pub location: RecordOffset,
    /// Of the record at that place: the topic may have lost it, and have another one there by now.
    pub fingerprint: u64,
    pub answer: RequestAnswer,
    /// When it was committed.
    pub at: Instant,
}

impl MemoryRequestTopic {
    pub fn new(partitions: i32) -> MemoryRequestTopic {
        MemoryRequestTopic(Arc::new(Mutex::new(TopicContent {
            records: (0..partitions).map(|partition| (partition, BTreeMap::new())).collect(),
            offset_records: BTreeMap::new(),
            answers: Vec::new(),
            cuts: 0,
            read_again: Vec::new(),
            piece_max: PIECE_MAX,
            grown: watch::Sender::new(()),
            epoch: 0,
            revoked: CancellationToken::new(),
        })))
    }

    fn with<R>(&self, act: impl FnOnce(&mut TopicContent) -> R) -> R {
        act(&mut self.0.lock())
    }

    /// A record comes. Its partition is one of the topic's, its offset behind those before it.
    pub fn put(&self, record: RequestRecord) {
        let RecordOffset { partition, offset } = record.location;
        self.with(|content| {
            content.records.entry(partition).or_default().insert(offset, record);
            content.grown.send_replace(());
        });
    }

    /// The partition loses its records from `offset` on, as with the broker that led it.
    pub fn cut(&self, partition: i32, offset: i64) {
        self.with(|content| {
            content.records.entry(partition).or_default().split_off(&offset);
            content.cuts += 1;
            content.grown.send_replace(());
        });
    }

    /// Up to where each partition reaches now.
    fn ends(&self) -> PartitionEnds {
        let ends = PartitionEnds::default();
        self.with(|content| {
            let last = |records: &BTreeMap<i64, RequestRecord>| records.keys().next_back().copied();
            let reached = content.records.iter().filter_map(|(partition, records)| Some((*partition, last(records)?)));
            reached.for_each(|(partition, last)| ends.note(partition, last + 1));
        });
        ends
    }

    /// Asks whoever opened the topic last to give it back.
    pub fn revoke(&self) {
        self.with(|content| content.revoked.cancel());
    }

    /// Where all records stand that have come.
    pub fn locations(&self) -> Vec<RecordOffset> {
        self.with(|content| content.records.values().flat_map(BTreeMap::values).map(|record| record.location).collect())
    }

    /// In the order in which they were committed.
    pub fn answers(&self) -> Vec<CommittedAnswer> {
        self.with(|content| content.answers.clone())
    }

    /// The places of the records that were read again, each as often as it was.
    pub fn read_again(&self) -> Vec<RecordOffset> {
        self.with(|content| content.read_again.clone())
    }

    /// Gives as many records at once as Kafka does to whoever reads again.
    pub fn give_large_pieces(&self) {
        self.with(|content| content.piece_max = FETCH_RECORDS_MAX);
    }

    pub fn answers_count(&self) -> usize {
        self.with(|content| content.answers.len())
    }

    /// How far each partition is answered, as whoever opens the topic finds it.
    pub fn answered(&self) -> BTreeMap<i32, AnsweredOffsets> {
        self.with(|content| {
            let mut restored = RestoredOffsets::default();
            content.offset_records.iter().for_each(|(key, value)| restored.take(key, Some(value)));
            let settled = content.records.iter().map(|(partition, records)| {
                let answered = restored.answered(*partition).unwrap_or_else(|error| unreachable!("{error}"));
                let mut answered = answered.unwrap_or_else(|| AnsweredOffsets::at(*partition, 0));
                let found = records.iter().map(|(offset, record)| (*offset, record.fingerprint()));
                answered.settle(0, &found.collect());
                (*partition, answered)
            });
            settled.collect()
        })
    }

    /// The first record at `offset` or behind it.
    fn record(&self, partition: i32, offset: i64) -> Option<RequestRecord> {
        self.with(|content| Some(content.records.get(&partition)?.range(offset..).next()?.1.clone()))
    }

    fn chunk(&self, partition: i32, from: i64, to: i64, most: usize) -> FetchedRange {
        let most = self.with(|content| most.min(content.piece_max));
        let range = |content: &mut TopicContent| {
            let records = content.records.get(&partition).map(|records| records.range(from..to.max(from)));
            records.into_iter().flatten().take(most).map(|(_, record)| record.clone()).collect()
        };
        let records: Vec<RequestRecord> = self.with(range);
        self.with(|content| content.read_again.extend(records.iter().map(|record| record.location)));
        let last = records.last().filter(|_| records.len() == most);
        FetchedRange { next: last.map_or(to, |last| last.location.offset + 1), records }
    }
}

impl TopicContent {
    /// # Errors
    /// [`CommitError::Reopen`] where the topic was opened again since `epoch`.
    fn write(&mut self, batch: &AnswerBatch, epoch: u64) -> Result<(), CommitError> {
        if self.epoch != epoch {
            return Err(CommitError::Reopen("fenced".into()));
        }
        let at = Instant::now();
        let answered = |(record, answer): &(Arc<RequestRecord>, RequestAnswer)| {
            let (location, fingerprint) = (record.location, record.fingerprint());
            CommittedAnswer { location, fingerprint, answer: answer.clone(), at }
        };
        self.answers.extend(batch.answers.iter().map(answered));
        for record in &batch.offset_records {
            match &record.value {
                Some(value) => drop(self.offset_records.insert(record.key.clone(), value.clone())),
                None => drop(self.offset_records.remove(&record.key)),
            }
        }
        Ok(())
    }
}

/// The topic as one process opens it, and answers it.
pub struct MemoryAnswerLog {
    topic: MemoryRequestTopic,
    script: FaultScript,
    epoch: u64,
}

impl MemoryAnswerLog {
    pub fn new(topic: MemoryRequestTopic, script: FaultScript) -> MemoryAnswerLog {
        MemoryAnswerLog { topic, script, epoch: 0 }
    }
}

impl CommitLog for MemoryAnswerLog {
    type Opened = OpenedRequests;
    type Batch = AnswerBatch;

    async fn open(&mut self) -> Result<OpenedRequests, OpenError> {
        let fault = self.script.next().await;
        self.epoch = self.topic.with(|content| {
            content.epoch += 1;
            content.epoch
        });
        self.script.reach(Failpoint::RequestsFenced, fault).await;
        let answered: Vec<AnsweredOffsets> = self.topic.answered().into_values().collect();
        self.script.reach(Failpoint::ProgressRead, fault).await;
        self.script.opens(fault)?;
        let revoked = CancellationToken::new();
        self.topic.with(|content| content.revoked = revoked.clone());
        let (records, receiver) = mpsc::channel(1);
        let (again, wishes) = RangeFetcher::new();
        let cuts = self.topic.with(|content| content.cuts);
        let ends = Arc::new(self.topic.ends());
        for AnsweredOffsets { partition, next, .. } in &answered {
            tokio::spawn(deliver(self.topic.clone(), cuts, *partition, *next, records.clone()));
        }
        tokio::spawn(deliver_again(self.topic.clone(), wishes));
        Ok(OpenedRequests { answered, records: receiver, again, ends, revoked })
    }

    async fn commit(&mut self, batch: Arc<AnswerBatch>) -> Result<(), CommitError> {
        let (topic, epoch) = (&self.topic, self.epoch);
        self.script.commit(|| topic.with(|content| content.write(&batch, epoch))).await
    }

    async fn release(&mut self) {}
}

/// Fewer than Kafka gives, so that a backlog has many pieces.
const PIECE_MAX: usize = 16;

/// The records of one partition from `offset` on as they come, until nobody takes them or the topic has lost some.
async fn deliver(
    topic: MemoryRequestTopic,
    cuts: usize,
    partition: i32,
    mut offset: i64,
    records: mpsc::Sender<RequestRecord>,
) {
    let mut grown = topic.with(|content| content.grown.subscribe());
    while topic.with(|content| content.cuts) == cuts {
        grown.mark_unchanged();
        let Some(record) = topic.record(partition, offset) else {
            tokio::select! {
                biased;
                () = records.closed() => return,
                _ = grown.changed() => continue,
            }
        };
        offset = record.location.offset + 1;
        if records.send(record).await.is_err() {
            return;
        }
    }
}

async fn deliver_again(topic: MemoryRequestTopic, mut wishes: mpsc::Receiver<FetchRange>) {
    while let Some(FetchRange { partition, from, to, most, chunk }) = wishes.recv().await {
        // Whoever wished for it may be gone.
        let _ = chunk.send(topic.chunk(partition, from, to, most));
    }
}
