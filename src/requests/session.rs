//! The pipeline: takes requests as they come, has them answered side by side, and commits the answers.
//!
//! An answer is committed at once, with all that have come meanwhile; while one transaction commits, the next is
//! gathered. Reading goes on whatever waits: a request whose app has no room left in memory is parked, which leaves its
//! offset in that app's tracker, and is read again when the room is half empty (`reread`); one whose schema is not
//! known yet begins a bucket, or waits in one ([`crate::model::request::schema_bucket`]), and is read again when the
//! schema is known (`schemas`). What was read again goes the same ways (`returned`). So bounded are the requests in
//! memory, app by app ([`super::memory_quota`]), what is noted of those that are answered out of order
//! ([`crate::model::request::offset_tracker`]), and, by the permits that come with them, the answers of calls.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::batch::{AnswersOutcome, UncommittedAnswer};
use self::reread::{RereadJob, RereadRecords, Rereads};
use self::schemas::PendingSchemas;
use super::executor::{AnswerPermit, DecodedRecord, DecodedRequest, Executor};
use super::log::{AnswerLog, OpenedRequests, PartitionEnds, RangeFetcher};
use super::memory_quota::{MemoryQuotas, QuotaOwner};
use super::partition::Partition;
use super::totals::RequestTotals;
use crate::commit::log::Ended;
use crate::commit::log_state::{LogState, until};
use crate::model::request::offset_tracker::TrackerKey;
use crate::model::request::record::{RecordOffset, RequestAnswer, RequestRecord};
use crate::model::request::schema_bucket::BucketNumber;

mod batch;
mod reread;
mod returned;
mod schemas;

/// How often it is looked whether something parked is to be read again, besides whenever a transaction has committed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a transaction under way is waited for when what was owned is revoked.
const REVOCATION_GRACE: Duration = Duration::from_secs(10);

struct EndedCall {
    record: Arc<RequestRecord>,
    key: TrackerKey,
    /// Absent where the session ended first.
    answer: Option<(RequestAnswer, Option<AnswerPermit>)>,
}

/// One session: from an open log to its end. Everything it holds is dropped with it.
struct AnsweringSession {
    executor: Arc<Executor>,
    totals: Arc<RequestTotals>,
    records: mpsc::Receiver<RequestRecord>,
    partitions: BTreeMap<i32, Partition>,
    quotas: MemoryQuotas,
    calls: JoinSet<EndedCall>,
    rereads: Rereads,
    schemas: PendingSchemas,
    again: RangeFetcher,
    ends: Arc<PartitionEnds>,
    gathered: Vec<UncommittedAnswer>,
    /// With the answers that were gathered.
    permits: Vec<AnswerPermit>,
    /// Ends the calls.
    cancel: CancellationToken,
    /// Why it ends as soon as what is gathered is durable.
    ended: Option<Ended>,
    /// By when the partitions have to be given back, since they are revoked.
    give_back_by: Option<Instant>,
}

/// Runs until `stop` is cancelled, the partitions are revoked, or the log has to be opened again. Gives the log back
/// unless it is lost in a transaction that did not end in time.
pub async fn run<L: AnswerLog>(
    log: L,
    opened: OpenedRequests,
    executor: Arc<Executor>,
    totals: Arc<RequestTotals>,
    stop: &CancellationToken,
) -> (Option<L>, Ended) {
    let (revoked, waiting) = (opened.revoked.clone(), totals.clone());
    let ended = AnsweringSession::new(opened, executor, totals).run(log, &revoked, stop).await;
    waiting.waiting.clear();
    ended
}

impl AnsweringSession {
    fn new(opened: OpenedRequests, executor: Arc<Executor>, totals: Arc<RequestTotals>) -> AnsweringSession {
        let OpenedRequests { answered, records, again, ends, .. } = opened;
        let partitions = answered.into_iter().map(|answered| (answered.partition, Partition::resume(answered)));
        AnsweringSession {
            executor,
            totals,
            records,
            partitions: partitions.collect(),
            quotas: MemoryQuotas::default(),
            calls: JoinSet::new(),
            rereads: Rereads::default(),
            schemas: PendingSchemas::default(),
            again,
            ends,
            gathered: Vec::new(),
            permits: Vec::new(),
            cancel: CancellationToken::new(),
            ended: None,
            give_back_by: None,
        }
    }

    async fn run<L: AnswerLog>(
        mut self,
        log: L,
        revoked: &CancellationToken,
        stop: &CancellationToken,
    ) -> (Option<L>, Ended) {
        let mut log = LogState::Idle(log);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // In each round, so that a loop that hangs is seen by its silence.
            self.totals.health.work_waits(!log.is_idle() || !self.gathered.is_empty());
            // Whatever is gathered goes at once: under load the transaction before it is what lets answers gather.
            if let LogState::Idle(idle) = log {
                log = match self.commit_or_end(idle) {
                    ControlFlow::Continue(log) => log,
                    ControlFlow::Break((idle, ended)) => return (Some(idle), ended),
                };
            }
            // What has ended waits in its set while the next batch is full, and its permits with it: so a slow log slows the
            // calls. Nothing is read meanwhile that might be answered at once.
            let may_gather = self.ended.is_none() && self.gathered.len() < self.executor.at_once.most();
            let may_read = may_gather && self.quotas.has_room_for_others();
            // In this order, so that a transaction that has ended makes room first, and an end is seen before more is begun.
            tokio::select! {
                biased;
                (idle, outcome) = log.committed() => {
                    log = LogState::Idle(idle);
                    if let Err(error) = self.conclude(outcome) {
                        return (log.idle(), error.into());
                    }
                }
                () = stop.cancelled(), if self.ended.is_none() => self.end(Ended::Drained),
                // Also while it drains: whoever gets the partitions waits for no longer than the grace.
                () = revoked.cancelled(), if self.give_back_by.is_none() => self.give_back(),
                // The log is lost in its transaction. The next owner finds out what became of it.
                () = until(self.give_back_by) => return (None, Ended::Revoked),
                // Before more is read: what these hold in memory is freed by nothing but their answers.
                Some(call) = self.calls.join_next(), if may_gather => self.finish(joined(call)),
                Some(read) = self.rereads.running.join_next(), if may_gather => self.reread(joined(read)),
                // However full the next batch is: of itself a schema that is known answers nothing, and others may be asked for.
                Some(lookup) = self.schemas.running.join_next(), if self.ended.is_none() => {
                    self.reconsider(joined(lookup));
                }
                record = self.records.recv(), if may_read => match record {
                    Some(record) => self.take(record),
                    None => self.end(unreadable()),
                },
                // Deadlines pass while nothing else happens.
                _ = look.tick(), if self.ended.is_none() => {
                    self.totals.schema_lookups.store(self.schemas.count() as u64, Ordering::Relaxed);
                    self.note_waiting();
                    self.look_back();
                }
            }
        }
    }

    /// Notes what waits, for whoever looks.
    fn note_waiting(&self) {
        let waiting = &self.totals.waiting;
        let groups = self.partitions.values().map(Partition::buckets_behind).sum();
        waiting.schema_groups.store(groups, Ordering::Relaxed);
        let unanswered = |(number, partition): (&i32, &Partition)| {
            let end = self.ends.of(*number).map_or(partition.next(), |end| end.max(partition.next()));
            end.saturating_sub(partition.first()).max(0).cast_unsigned()
        };
        waiting.lag_records.store(self.partitions.iter().map(unanswered).sum(), Ordering::Relaxed);
    }

    /// Begins a transaction of what is gathered. Where nothing is, and the session has ended, it is over.
    fn commit_or_end<L: AnswerLog>(&mut self, log: L) -> ControlFlow<(L, Ended), LogState<L, AnswersOutcome>> {
        // Also after the end: an answer that is gathered has cost a call, and is not to be asked for again.
        if !self.gathered.is_empty() {
            return ControlFlow::Continue(LogState::Committing(self.commit(log)));
        }
        match self.ended.take() {
            Some(ended) => ControlFlow::Break((log, ended)),
            None => ControlFlow::Continue(LogState::Idle(log)),
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
        let Some(answer) = self.executor.without_a_call(&request, self.executor.now()) else {
            let tracker = partition.tracker_or_new(&key);
            // Behind one that is parked all are: of these only the offset is kept at which they begin.
            let has_room = tracker.parked_from().is_none()
                && tracker.has_room()
                && room.is_none_or(|room| self.quotas.has_room(&key.app, room));
            if !has_room {
                return tracker.park(offset, request.deadline());
            }
            tracker.begin(offset);
            return self.begin(record, request, key);
        };
        // An app that is not known has a tracker only where requests of it wait from a time when it was.
        let tracker = match room {
            Some(_) => Some(partition.tracker_or_new(&key)),
            None => partition.tracker(&key),
        };
        if let Some(tracker) = tracker
            && !tracker.answer_at_once(offset)
        {
            return tracker.park(offset, request.deadline());
        }
        self.answer_at_once(record, answer);
    }

    fn answer_at_once(&mut self, record: RequestRecord, answer: RequestAnswer) {
        let (record, owner) = (Arc::new(record), QuotaOwner::Nobody);
        // It takes no app's room, but is in memory until its answer is durable, so it counts against the reading.
        self.quotas.acquire(&owner, record.bytes());
        self.gathered.push(UncommittedAnswer { record, owner, answer });
    }

    fn begin(&mut self, record: RequestRecord, request: Box<DecodedRequest>, key: TrackerKey) {
        let (executor, cancel, record) = (self.executor.clone(), self.cancel.clone(), Arc::new(record));
        self.quotas.acquire(&QuotaOwner::App(key.clone()), record.bytes());
        self.calls.spawn(async move {
            let answer = executor.carry_out(&request, &cancel).await;
            EndedCall { record, key, answer }
        });
    }

    fn finish(&mut self, EndedCall { record, key, answer }: EndedCall) {
        // Nothing is noted of it then: the next session reads it again, as one without an answer.
        let Some((answer, permit)) = answer else { return };
        let RecordOffset { partition, offset } = record.location;
        let tracker = self.partitions.get_mut(&partition).and_then(|partition| partition.tracker(&key));
        tracker.into_iter().for_each(|tracker| tracker.answer(offset));
        self.permits.extend(permit);
        self.gathered.push(UncommittedAnswer { record, owner: QuotaOwner::App(key), answer });
    }

    /// What was read again has come, or nobody reads any more.
    fn reread(&mut self, (job, read): (RereadJob, Option<RereadRecords>)) {
        match read {
            Some(read) => {
                self.take_back(job, read);
                self.look_back();
            }
            None => self.end(unreadable()),
        }
    }

    fn give_back(&mut self) {
        // Counted from the revocation on, whatever the session ends for: the next owner waits for no longer.
        self.give_back_by = Some(Instant::now() + REVOCATION_GRACE);
        if self.ended.is_none() {
            self.end(Ended::Revoked);
        }
    }

    /// Nothing more is begun. Calls under way are given up: asked again later, their material is only made twice.
    fn end(&mut self, ended: Ended) {
        self.cancel.cancel();
        self.calls.abort_all();
        self.rereads.running.abort_all();
        self.schemas.running.abort_all();
        self.ended = Some(ended);
    }
}

/// What ran beside the session until its own end.
fn joined<R>(ended: Result<R, JoinError>) -> R {
    ended.expect(
        "nothing is aborted before the session ends, after which none is looked for, and a panic ends the process",
    )
}

fn unreadable() -> Ended {
    Ended::Reopen("the requests can't be read any more".into())
}

#[cfg(test)]
mod tests;
