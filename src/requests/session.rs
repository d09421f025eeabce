//! The pipeline: takes requests as they come, has them answered side by side, and commits the answers.
//!
//! An answer is committed at once, with all that have come meanwhile; while one transaction commits, the next is
//! gathered. Reading goes on whatever waits: a request whose app has no room left in memory is parked, which leaves its
//! offset in that app's tracker, and is read again when the room is half empty (`again`); one whose schema is not known
//! yet begins a bucket, or waits in one ([`crate::model::request::schema_bucket`]), and is read again when the schema is known (`buckets`). So
//! bounded are the requests in memory, app by app ([`super::memory_quota`]), what is noted of those that are answered out of
//! order ([`crate::model::request::offset_tracker`]), and, by the permits that come with them, the answers of calls.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::reread::Rereads;
use super::executor::{AnswerPermit, DecodedRecord, DecodedRequest, Executor};
use super::log::{AnswerBatch, AnswerLog, FetchRange, OpenedRequests};
use super::memory_quota::{MemoryQuotas, QuotaOwner};
use super::partition::Partition;
use super::totals::RequestTotals;
use crate::commit::committer::{REVOCATION_GRACE, attempts};
use crate::commit::log::{CommitError, Ended};
use crate::model::request::record::{RecordOffset, RequestAnswer, RequestRecord};
use crate::model::request::schema_bucket::{BucketNumber, TrackerKey};
use crate::upstream::transport::Transport;

mod reread;
mod schemas;

/// How often it is looked whether something parked is to be read again, besides whenever a transaction has committed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

struct EndedCall {
    record: Arc<RequestRecord>,
    key: TrackerKey,
    /// Absent where the pipeline ended first.
    answer: Option<(RequestAnswer, Option<AnswerPermit>)>,
}

/// An answer that no transaction holds yet.
struct UncommittedAnswer {
    record: Arc<RequestRecord>,
    owner: QuotaOwner,
    answer: RequestAnswer,
}

type Commit<L> = Pin<Box<dyn Future<Output = (L, Vec<QuotaOwner>, Arc<AnswerBatch>, Result<(), CommitError>)> + Send>>;

/// One session: from an open log to its end. Everything it holds is dropped with it.
struct AnsweringSession<L, T> {
    executor: Arc<Executor<T>>,
    totals: Arc<RequestTotals>,
    partitions: BTreeMap<i32, Partition>,
    quotas: MemoryQuotas,
    tasks: JoinSet<EndedCall>,
    rereads: Rereads,
    again: mpsc::Sender<FetchRange>,
    gathered: Vec<UncommittedAnswer>,
    /// With the answers that were gathered.
    permits: Vec<AnswerPermit>,
    /// Absent while a transaction commits.
    log: Option<L>,
    /// Ends the calls.
    cancel: CancellationToken,
}

/// Runs until `stop` is cancelled, the partitions are revoked, or the log has to be opened again. Gives the log back
/// unless it is lost in a transaction that did not end in time.
pub async fn run<L: AnswerLog, T: Transport>(
    log: L,
    opened: OpenedRequests,
    executor: Arc<Executor<T>>,
    totals: Arc<RequestTotals>,
    stop: &CancellationToken,
) -> (Option<L>, Ended) {
    let OpenedRequests { answered, mut records, again, revoked } = opened;
    let partitions = answered.into_iter().map(|answered| (answered.partition, Partition::resume(answered)));
    let session = AnsweringSession {
        executor,
        totals,
        partitions: partitions.collect(),
        quotas: MemoryQuotas::default(),
        tasks: JoinSet::new(),
        rereads: Rereads::default(),
        again,
        gathered: Vec::new(),
        permits: Vec::new(),
        log: Some(log),
        cancel: CancellationToken::new(),
    };
    session.run(&mut records, &revoked, stop).await
}

impl<L: AnswerLog, T: Transport> AnsweringSession<L, T> {
    async fn run(
        mut self,
        records: &mut mpsc::Receiver<RequestRecord>,
        revoked: &CancellationToken,
        stop: &CancellationToken,
    ) -> (Option<L>, Ended) {
        let mut commit: Option<Commit<L>> = None;
        let mut ended = None;
        let mut patience = None;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if commit.is_none() {
                let log = self.log.take().expect("the log is here while nothing commits");
                if self.gathered.is_empty() {
                    if let Some(ended) = ended {
                        return (Some(log), ended);
                    }
                    self.log = Some(log);
                } else {
                    commit = Some(self.commit(log));
                }
            }
            let may_gather = ended.is_none() && self.gathered.len() < self.executor.at_once.most();
            let has_room = may_gather && self.quotas.has_room_for_others();
            tokio::select! {
                biased;
                (log, owners, batch, result) = finished(&mut commit) => {
                    commit = None;
                    if let Err(error) = result {
                        return (Some(log), error.into());
                    }
                    self.log = Some(log);
                    self.committed(&owners, &batch);
                    self.look_back(ended.is_some());
                }
                () = stop.cancelled(), if ended.is_none() => ended = Some(self.stop_calls(Ended::Drained)),
                () = revoked.cancelled(), if patience.is_none() => {
                    patience = Some(Instant::now() + REVOCATION_GRACE);
                    if ended.is_none() {
                        ended = Some(self.stop_calls(Ended::Revoked));
                    }
                }
                () = come(patience) => return (None, Ended::Revoked),
                Some(task) = self.tasks.join_next(), if may_gather => {
                    self.finish(task.expect("nobody aborts a task, and a panic ends the process"));
                }
                Some(read) = self.rereads.running.join_next(), if may_gather => {
                    match read.expect("nobody aborts a job, and a panic ends the process") {
                        (job, Some(read)) => {
                            self.take_back(job, read);
                            self.look_back(false);
                        }
                        (_, None) => ended = Some(self.stop_calls(unreadable())),
                    }
                }
                Some(lookup) = self.rereads.schemas.running.join_next(), if ended.is_none() => {
                    self.reconsider(lookup.expect("nobody aborts a lookup before the end, and a panic ends the process"));
                }
                record = records.recv(), if has_room => match record {
                    Some(record) => self.take(record),
                    None => ended = Some(self.stop_calls(unreadable())),
                },
                _ = look.tick(), if ended.is_none() => {
                    self.totals.schemas_asked.store(self.rereads.schemas.asked_count() as u64, Ordering::Relaxed);
                    self.look_back(false);
                }
            }
        }
    }

    /// Answers a request that has come, begins it, or leaves it for later.
    fn take(&mut self, record: RequestRecord) {
        let RecordOffset { partition, offset } = record.location;
        // A partition that was not handed over with the others is not this session's.
        let Some(partition) = self.partitions.get_mut(&partition) else { return };
        if !partition.read(&record) {
            return;
        }
        let bucket = partition.bucket_of(offset, self.executor.schema_id(&record));
        if bucket.is_some_and(|bucket| partition.is_behind(bucket)) {
            // Its turn comes behind those before it.
            return;
        }
        bucket.into_iter().for_each(|bucket| partition.extend(bucket, offset));
        match self.executor.read(&record) {
            DecodedRecord::Request(request) => self.give(record, request, bucket),
            DecodedRecord::DeadLetter(letter) => self.answer_at_once(record, RequestAnswer::DeadLetter(letter)),
            DecodedRecord::UnknownSchema(id) => self.put_off(record.location, id),
        }
    }

    /// Gives a request that can be read to the tracker of its app: one of a bucket, or of none.
    fn give(&mut self, record: RequestRecord, request: Box<DecodedRequest>, bucket: Option<BucketNumber>) {
        let RecordOffset { partition, offset } = record.location;
        let Some(partition) = self.partitions.get_mut(&partition) else { return };
        let key = TrackerKey::new(bucket, request.app_id());
        let room = self.executor.room(&key.app);
        let answer = self.executor.without_a_call(&request, self.executor.now());
        let Some(tracker) = partition.tracker_for(&key, room.is_some()) else {
            let answer = answer.expect("the check refuses an app that is not known");
            return self.answer_at_once(record, answer);
        };
        let has_room = tracker.parked_from().is_none()
            && tracker.has_room()
            && room.is_none_or(|room| self.quotas.has_room(&key.app, room));
        match answer {
            Some(answer) => {
                if tracker.answer_at_once(offset) {
                    self.answer_at_once(record, answer);
                } else {
                    tracker.park(offset, request.deadline());
                }
            }
            None if has_room => {
                tracker.begin(offset);
                self.begin(record, request, key);
            }
            None => tracker.park(offset, request.deadline()),
        }
    }

    fn answer_at_once(&mut self, record: RequestRecord, answer: RequestAnswer) {
        let (record, owner) = (Arc::new(record), QuotaOwner::Nobody);
        self.quotas.acquire(&owner, record.bytes());
        self.gathered.push(UncommittedAnswer { record, owner, answer });
    }

    fn begin(&mut self, record: RequestRecord, request: Box<DecodedRequest>, key: TrackerKey) {
        let (executor, cancel, record) = (self.executor.clone(), self.cancel.clone(), Arc::new(record));
        self.quotas.acquire(&QuotaOwner::App(key.clone()), record.bytes());
        self.tasks.spawn(async move {
            let answer = executor.carry_out(&request, &cancel).await;
            EndedCall { record, key, answer }
        });
    }

    fn finish(&mut self, EndedCall { record, key, answer }: EndedCall) {
        let Some((answer, permit)) = answer else { return };
        let RecordOffset { partition, offset } = record.location;
        let tracker = self.partitions.get_mut(&partition).and_then(|partition| partition.tracker(&key));
        tracker.into_iter().for_each(|tracker| tracker.answer(offset));
        self.permits.extend(permit);
        self.gathered.push(UncommittedAnswer { record, owner: QuotaOwner::App(key), answer });
    }

    /// All that is gathered, as one transaction. Tried again as long as it is certain that nothing was written.
    fn commit(&mut self, mut log: L) -> Commit<L> {
        let (mut answers, mut owners) = (Vec::new(), Vec::new());
        for UncommittedAnswer { record, owner, answer } in std::mem::take(&mut self.gathered) {
            answers.push((record, answer));
            owners.push(owner);
        }
        let touched: BTreeSet<i32> = answers.iter().map(|(record, _)| record.location.partition).collect();
        let (mut offset_records, mut positions) = (Vec::new(), Vec::new());
        for number in touched {
            let Some(partition) = self.partitions.get_mut(&number) else { continue };
            positions.push((number, partition.first()));
            offset_records.extend(partition.take_records());
        }
        let batch = Arc::new(AnswerBatch { answers, offset_records, positions });
        self.permits.clear();
        let records = batch.answers.len();
        let span = tracing::info_span!("commit", pipeline = "requests", records);
        let executor = self.executor.clone();
        let committing = async move {
            let result = attempts(&mut log, batch.clone(), records, records > 1).await;
            executor.at_once.learn(&result, records);
            (log, owners, batch, result)
        };
        Box::pin(committing.instrument(span))
    }

    fn committed(&mut self, owners: &[QuotaOwner], batch: &AnswerBatch) {
        self.totals.add(batch);
        for ((record, _), owner) in batch.answers.iter().zip(owners) {
            self.quotas.release(owner, record.bytes());
        }
    }

    /// Calls under way are given up: asked again later, their material is only made twice.
    fn stop_calls(&mut self, ended: Ended) -> Ended {
        self.cancel.cancel();
        self.tasks.abort_all();
        self.rereads.running.abort_all();
        self.rereads.schemas.running.abort_all();
        ended
    }
}

fn unreadable() -> Ended {
    Ended::Reopen("the requests can't be read any more".into())
}

/// For ever where there is no such time.
async fn come(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// For ever where nothing commits.
async fn finished<L>(
    commit: &mut Option<Commit<L>>,
) -> (L, Vec<QuotaOwner>, Arc<AnswerBatch>, Result<(), CommitError>) {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
