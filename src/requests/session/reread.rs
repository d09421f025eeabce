//! Reads again what was left in the topic: what is parked, when its app has room again or its deadline passes, and what
//! waits for a schema.
//!
//! One piece at a time, by turns: as large as the backlog of one app may be, what is read again for it is bounded, and so
//! is its share of the reading.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::AnsweringSession;
use crate::model::request::offset_tracker::TrackerKey;
use crate::model::request::record::RequestRecord;
use crate::model::request::schema_bucket::BucketNumber;
use crate::model::time::UnixMillis;
use crate::requests::executor::{DecodedRecord, Executor};
use crate::requests::log::{FETCH_RECORDS_MAX, FetchedRange, RangeFetcher};
use crate::requests::partition::Sweep;

/// How many pieces of one partition are read for one app before it is another's turn: going on where the last piece ended
/// costs least.
const IN_A_ROW_MAX: u32 = 16;

/// What is read again, and what is to be.
#[derive(Default)]
pub(super) struct Rereads {
    /// One at most.
    pub running: JoinSet<(RereadJob, Option<RereadRecords>)>,
    /// Whose turn it was last, and how often it was in a row.
    last: Option<(i32, TrackerKey)>,
    in_a_row: u32,
    /// The bucket that was read on last,
    last_bucket: Option<(i32, BucketNumber)>,
    /// and whether nothing else was read again since.
    bucket_was_last: bool,
    /// Nothing is tried before.
    pub stalled_until: Option<Instant>,
}

/// One piece of the topic that is read again, and why.
#[derive(Clone, Debug)]
pub(super) struct RereadJob {
    pub partition: i32,
    pub purpose: RereadPurpose,
    pub from: i64,
    to: i64,
    /// Records, at least one.
    most: usize,
}

#[derive(Clone, Debug)]
pub(super) enum RereadPurpose {
    Bucket(BucketNumber),
    /// For the room of an app.
    CatchUp(TrackerKey),
    /// For what has a deadline that has passed by a time.
    Sweep(TrackerKey, UnixMillis),
}

/// Requests, with what they say, and up to where nothing else stands.
pub(super) struct RereadRecords {
    pub records: Vec<(RequestRecord, DecodedRecord)>,
    pub next: i64,
}

impl Rereads {
    fn start(&mut self, job: RereadJob, executor: Arc<Executor>, again: RangeFetcher) {
        self.running.spawn(async move {
            let read = read(&job, &executor, &again).await;
            (job, read)
        });
    }
}

/// Nothing where nobody reads any more. Never waits for a schema: what has to wait for one must hold up nothing else.
async fn read(job: &RereadJob, executor: &Executor, again: &RangeFetcher) -> Option<RereadRecords> {
    let RereadJob { partition, from, to, most, .. } = *job;
    let FetchedRange { records, next } = again.fetch(partition, from..to, most).await?;
    let read = |record: RequestRecord| {
        let reading = executor.read(&record);
        (record, reading)
    };
    Some(RereadRecords { records: records.into_iter().map(read).collect(), next })
}

impl AnsweringSession {
    /// Begins to read something again, where that is due.
    pub(super) fn look_back(&mut self) {
        let now = Instant::now();
        if self.ended.is_some()
            || !self.rereads.running.is_empty()
            || self.rereads.stalled_until.is_some_and(|until| until > now)
        {
            return;
        }
        if let Some(job) = self.next_job(now) {
            self.rereads.start(job, self.executor.clone(), self.again.clone());
        }
    }

    /// Buckets and what is parked take turns.
    fn next_job(&mut self, now: Instant) -> Option<RereadJob> {
        let bucket = self.bucket_job();
        let job = match bucket {
            Some(bucket) if self.rereads.bucket_was_last => self.tracker_job(now).or(Some(bucket)),
            None => self.tracker_job(now),
            bucket => bucket,
        }?;
        self.rereads.bucket_was_last = match job.purpose {
            RereadPurpose::Bucket(number) => {
                self.rereads.last_bucket = Some((job.partition, number));
                true
            }
            RereadPurpose::CatchUp(_) | RereadPurpose::Sweep(..) => false,
        };
        Some(job)
    }

    /// The next bucket that can be read on, by turns.
    fn bucket_job(&self) -> Option<RereadJob> {
        if !self.quotas.has_room_for_others() {
            return None;
        }
        let buckets = || {
            self.partitions.iter().flat_map(|(partition, buckets)| {
                let to = buckets.next();
                buckets.readable_buckets().map(move |(number, from)| (*partition, number, from, to))
            })
        };
        let last = self.rereads.last_bucket;
        let behind = buckets().find(|(partition, number, ..)| Some((*partition, *number)) > last);
        let (partition, number, from, to) = behind.or_else(|| buckets().next())?;
        Some(RereadJob { partition, purpose: RereadPurpose::Bucket(number), from, to, most: FETCH_RECORDS_MAX })
    }

    fn tracker_job(&mut self, now: Instant) -> Option<RereadJob> {
        let has_room = self.quotas.has_room_for_others();
        let parked = self.partitions.iter().flat_map(|(number, partition)| {
            let parked = partition.backlogs.iter().filter(|(_, backlog)| backlog.tracker.parked_from().is_some());
            parked.map(|(key, _)| (*number, key.clone()))
        });
        let parked: BTreeSet<(i32, TrackerKey)> = parked.collect();
        let last = self.rereads.last.clone();
        // The same one goes on first, for so long: its next piece begins where the reader stands.
        let is_again = self.rereads.in_a_row < IN_A_ROW_MAX;
        let same = parked.iter().filter(|key| is_again && Some(*key) == last.as_ref());
        let behind = parked.iter().filter(|key| Some(*key) > last.as_ref());
        let others = behind.chain(parked.iter().filter(|key| Some(*key) <= last.as_ref()));
        // By turns, as some have nothing to do at the moment: what is asked first is whether there is a piece to read at all.
        for key in same.chain(others) {
            if let Some(job) = self.job_for(key.0, &key.1, has_room, now) {
                self.rereads.in_a_row = if Some(key) == last.as_ref() { self.rereads.in_a_row + 1 } else { 0 };
                self.rereads.last = Some(key.clone());
                return Some(job);
            }
        }
        None
    }

    /// A look for deadlines and the room of the app take turns.
    fn job_for(&mut self, number: i32, key: &TrackerKey, has_room: bool, now: Instant) -> Option<RereadJob> {
        let time = self.executor.now();
        let room = self.executor.room(&key.app);
        let has_place = match room {
            Some(room) => self.quotas.is_half_empty(&key.app, room),
            // Each is refused at once.
            None => has_room,
        };
        let partition = self.partitions.get_mut(&number)?;
        let end = partition.end_of(key.bucket);
        let backlog = partition.backlogs.get_mut(key)?;
        backlog.begin_sweep(time, now, end);
        let sweep = backlog.sweep.filter(|_| has_room);
        let catches_up = has_place && backlog.tracker.may_catch_up();
        let sweeps = sweep.is_some() && !(catches_up && backlog.swept_last);
        backlog.swept_last = sweeps;
        let job = |purpose, from, to, most| RereadJob { partition: number, purpose, from, to, most };
        match (sweep, sweeps) {
            (Some(Sweep { time, next, to, .. }), true) => {
                Some(job(RereadPurpose::Sweep(key.clone(), time), next, to, FETCH_RECORDS_MAX))
            }
            // No more than there is room for: what is read beyond it has to be read once more, and the next piece would not
            // begin where this one ended, which costs the broker's answer to a new request.
            _ if catches_up => {
                let most =
                    room.map_or(FETCH_RECORDS_MAX, |room| self.quotas.left(&key.app, room).clamp(1, FETCH_RECORDS_MAX));
                Some(job(RereadPurpose::CatchUp(key.clone()), backlog.tracker.parked_from()?, end, most))
            }
            _ => None,
        }
    }
}
