//! What becomes of requests that were read again: they are begun or answered, in the room of their app, or left as they were.

use std::time::Duration;

use tokio::time::Instant;

use super::AnsweringSession;
use super::reread::{RereadJob, RereadPurpose, RereadRecords};
use crate::model::request::offset_tracker::TrackerKey;
use crate::model::request::record::{RecordOffset, RequestAnswer, RequestRecord};
use crate::model::time::UnixMillis;
use crate::requests::executor::{DecodedRecord, DecodedRequest};
use crate::requests::partition::Backlog;

/// Before it is tried again where nothing could be read.
const STALLED: Duration = Duration::from_secs(1);

/// What a request that was read again says to an app.
enum Recognised {
    Request(Box<DecodedRequest>),
    Nothing,
    /// It may be a request of the app; its schema is not known now.
    Doubtful,
}

/// What to do with a request that was read again.
enum CatchUpStep {
    Skip,
    Stop,
    Answer(RequestAnswer),
    Begin,
}

impl AnsweringSession {
    /// A piece that was read again goes to whom it was read for.
    pub(super) fn take_back(&mut self, job: RereadJob, read: RereadRecords) {
        if read.next <= job.from {
            // At once it would come to nothing again, as fast as it can be asked for.
            self.rereads.stalled_until = Some(Instant::now() + STALLED);
        }
        match &job.purpose {
            RereadPurpose::Bucket(number) => self.read_on(job.partition, *number, read),
            RereadPurpose::CatchUp(key) => self.catch_up(&job, key, read),
            RereadPurpose::Sweep(key, time) => self.sweep(&job, key, *time, read),
        }
    }

    /// Of a request that was read again, what it says where that is a request of which this tracker tells.
    fn request_of(&mut self, key: &TrackerKey, record: &RequestRecord, reading: DecodedRecord) -> Recognised {
        let RecordOffset { partition, offset } = record.location;
        let Some(partition) = self.partitions.get(&partition) else { return Recognised::Nothing };
        if partition.bucket_of(offset, self.executor.schema_id(record)) != key.bucket {
            return Recognised::Nothing;
        }
        match reading {
            DecodedRecord::Request(request) if request.app_id() == key.app => Recognised::Request(request),
            // What is no request was answered when it came.
            DecodedRecord::Request(_) | DecodedRecord::DeadLetter(_) => Recognised::Nothing,
            DecodedRecord::UnknownSchema(id) if self.schemas.doubt(id, &self.executor) => Recognised::Doubtful,
            DecodedRecord::UnknownSchema(_) => Recognised::Nothing,
        }
    }

    fn catch_up(&mut self, job: &RereadJob, key: &TrackerKey, RereadRecords { records, mut next }: RereadRecords) {
        let time = self.executor.now();
        for (record, reading) in records {
            let offset = record.location.offset;
            let request = match self.request_of(key, &record, reading) {
                Recognised::Request(request) => request,
                Recognised::Nothing => continue,
                // Passed over rather than waited for: those behind it are of an app that is well.
                Recognised::Doubtful => {
                    let partition = self.partitions.get_mut(&job.partition);
                    let tracker = partition.and_then(|partition| partition.tracker(key));
                    tracker.into_iter().for_each(|tracker| tracker.doubt(offset));
                    continue;
                }
            };
            match self.next_step(job, key, offset, &request, time) {
                CatchUpStep::Skip => {}
                CatchUpStep::Answer(answer) => self.answer_at_once(record, answer),
                CatchUpStep::Begin => self.begin(record, request, key.clone()),
                // The room is full. The next piece begins at this one, when the room is half empty again.
                CatchUpStep::Stop => {
                    next = offset;
                    break;
                }
            }
        }
        let Some(partition) = self.partitions.get_mut(&job.partition) else { return };
        let end = partition.end_of(key.bucket);
        partition.tracker(key).into_iter().for_each(|tracker| tracker.read_again(job.from..next, end));
    }

    fn next_step(
        &mut self,
        job: &RereadJob,
        key: &TrackerKey,
        offset: i64,
        request: &DecodedRequest,
        time: UnixMillis,
    ) -> CatchUpStep {
        let room = self.executor.room(&key.app);
        let has_room = room.is_none_or(|room| self.quotas.has_room(&key.app, room));
        let Some(partition) = self.partitions.get_mut(&job.partition) else { return CatchUpStep::Skip };
        let end = partition.end_of(key.bucket);
        let Some(tracker) = partition.tracker(key) else { return CatchUpStep::Skip };
        // All that stands before it has been met.
        tracker.read_again(job.from..offset, end);
        if !tracker.is_unanswered(offset, request.deadline()) {
            return CatchUpStep::Skip;
        }
        match self.executor.without_a_call(request, time) {
            Some(answer) if tracker.answer_at_once(offset) => CatchUpStep::Answer(answer),
            None if has_room && tracker.has_room_for(offset) => {
                tracker.begin(offset);
                CatchUpStep::Begin
            }
            _ => CatchUpStep::Stop,
        }
    }

    /// Answers what has expired by `time`, and notes when the next does.
    fn sweep(
        &mut self,
        job: &RereadJob,
        key: &TrackerKey,
        time: UnixMillis,
        RereadRecords { records, next }: RereadRecords,
    ) {
        let mut from = job.from;
        for (record, reading) in records {
            let offset = record.location.offset;
            match self.request_of(key, &record, reading) {
                Recognised::Nothing => {}
                Recognised::Request(request) => self.expire(key, record, &request, time),
                // Nobody knows whether it has expired: it stays between those that have, which is noted as a step.
                Recognised::Doubtful => {
                    let Some(backlog) = self.backlog(job.partition, key) else { return };
                    backlog.tracker.expire(from, offset, time);
                    if !backlog.tracker.has_room_for_step() {
                        backlog.tracker.note_deadline(Some(time));
                        return backlog.end_sweep(Instant::now());
                    }
                    from = offset + 1;
                }
            }
        }
        let Some(backlog) = self.backlog(job.partition, key) else { return };
        backlog.tracker.expire(from, next, time);
        backlog.swept(next, Instant::now());
    }

    /// Answers the request where it has expired by `time`, and notes its deadline otherwise.
    fn expire(&mut self, key: &TrackerKey, record: RequestRecord, request: &DecodedRequest, time: UnixMillis) {
        let RecordOffset { partition, offset } = record.location;
        let has_passed = request.deadline().is_some_and(|deadline| deadline <= time);
        let answer = self.executor.without_a_call(request, time).filter(|_| has_passed);
        let Some(Backlog { tracker, .. }) = self.backlog(partition, key) else { return };
        if !tracker.is_unanswered(offset, request.deadline()) {
            return;
        }
        match answer {
            Some(answer) if tracker.expire_one(offset) => self.answer_at_once(record, answer),
            _ => tracker.note_deadline(request.deadline()),
        }
    }

    fn backlog(&mut self, partition: i32, key: &TrackerKey) -> Option<&mut Backlog> {
        self.partitions.get_mut(&partition)?.backlogs.get_mut(key)
    }
}
