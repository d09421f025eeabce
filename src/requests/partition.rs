//! One partition of the request topic: how far it is read, and what of it is answered, app by app.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::request::answered_offsets::{
    AnsweredOffsets, OffsetRecord, bucket_record, fingerprint_records, position, tracker_record,
};
use crate::model::request::log_fingerprints::LogFingerprints;
use crate::model::request::offset_tracker::{OffsetTracker, TrackerKey, TrackerRecord};
use crate::model::request::record::{RecordOffset, RequestRecord};
use crate::model::request::schema_bucket::{self, BucketNumber, BucketRecord};
use crate::model::time::UnixMillis;

/// How long a look through what is parked is rested from, at least, and by how much more than it took: deadlines are
/// answered so much later at most, and a tenth of the time goes there at most.
const REST_MIN: Duration = Duration::from_secs(5);
const REST_FACTOR: u32 = 10;

pub struct Partition {
    number: i32,
    /// The offset that is read next.
    next: i64,
    buckets: BTreeMap<BucketNumber, SchemaBucket>,
    /// Those that are not written as they are.
    unwritten: BTreeSet<BucketNumber>,
    /// Where there are requests without an answer.
    pub backlogs: BTreeMap<TrackerKey, Backlog>,
    fingerprints: LogFingerprints,
}

struct SchemaBucket {
    record: BucketRecord,
    /// No request behind it was ever one of the bucket, as far as nothing waits.
    last: i64,
    /// The schema that is asked for, before which the bucket can't be read on.
    awaited: Option<i32>,
}

/// What of one app waits in one partition.
#[derive(Default)]
pub struct Backlog {
    pub tracker: OffsetTracker,
    /// A look through the parked requests for deadlines that have passed.
    pub sweep: Option<Sweep>,
    /// No other one begins before.
    pub rests_until: Option<Instant>,
    /// What was read again last was for a sweep.
    pub swept_last: bool,
    /// As it was written last.
    written: Option<TrackerRecord>,
    /// What was written is of another log.
    is_stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    pub time: UnixMillis,
    pub next: i64,
    pub to: i64,
    pub began: Instant,
}

impl Backlog {
    /// The sweep has come to `next`.
    pub fn swept(&mut self, next: i64, now: Instant) {
        let Some(sweep) = &mut self.sweep else { return };
        sweep.next = next;
        if sweep.next >= sweep.to {
            self.end_sweep(now);
        }
    }

    /// Ends the sweep where it is.
    pub fn end_sweep(&mut self, now: Instant) {
        if let Some(sweep) = self.sweep.take() {
            self.rests_until = Some(now + REST_MIN.max(REST_FACTOR * (now - sweep.began)));
        }
    }

    /// Begins one, where a deadline may have passed.
    pub fn begin_sweep(&mut self, time: UnixMillis, now: Instant, end: i64) {
        let rests = self.rests_until.is_some_and(|until| until > now);
        let Some(next) = self.tracker.parked_from() else { return };
        if self.sweep.is_none() && !rests && self.tracker.may_have_expired(time) {
            self.tracker.forget_deadlines();
            self.sweep = Some(Sweep { time, next, to: end, began: now });
        }
    }
}

impl Partition {
    pub fn resume(answered: AnsweredOffsets) -> Partition {
        let AnsweredOffsets { partition, next, trackers, stale, buckets, stale_buckets, fingerprints } = answered;
        let backlog = |tracker: TrackerRecord| Backlog {
            tracker: OffsetTracker::resume(&tracker),
            written: Some(tracker),
            ..Backlog::default()
        };
        let mut backlogs: BTreeMap<TrackerKey, Backlog> =
            trackers.into_iter().map(|(key, tracker)| (key, backlog(tracker))).collect();
        stale.into_iter().for_each(|key| backlogs.entry(key).or_default().is_stale = true);
        let bucket = |record| SchemaBucket { record, last: next - 1, awaited: None };
        let buckets = buckets.into_iter().map(|(number, record)| (number, bucket(record))).collect();
        Partition { number: partition, next, buckets, unwritten: stale_buckets, backlogs, fingerprints }
    }

    /// The offset that is read next.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Whether the record is new; then it counts as read from now on.
    pub fn read(&mut self, record: &RequestRecord) -> bool {
        let RecordOffset { offset, .. } = record.location;
        let is_new = offset >= self.next;
        if is_new {
            self.next = offset.saturating_add(1);
            self.fingerprints.add(offset, record.fingerprint());
        }
        is_new
    }

    /// Where the request at `offset` in the schema with this id belongs, if that is a bucket.
    pub fn bucket_of(&self, offset: i64, schema_id: Option<i32>) -> Option<BucketNumber> {
        let id = schema_id?;
        let number = schema_bucket::number(id);
        self.buckets.get(&number).is_some_and(|bucket| bucket.record.holds(offset, id)).then_some(number)
    }

    /// Whether requests of the bucket stand in the topic that nobody has looked at.
    pub fn is_behind(&self, number: BucketNumber) -> bool {
        self.buckets.get(&number).is_some_and(|bucket| bucket.record.behind.is_some())
    }

    /// The bucket has got the request at `offset`, which is none of those behind.
    pub fn extend(&mut self, number: BucketNumber, offset: i64) {
        if let Some(bucket) = self.buckets.get_mut(&number) {
            bucket.last = bucket.last.max(offset);
        }
    }

    /// The request that was just read waits for its schema. `own` is the id of the connector's own.
    pub fn put_off(&mut self, offset: i64, schema_id: i32, own: Option<i32>) {
        let number = schema_bucket::number(schema_id);
        let begun = || SchemaBucket { record: BucketRecord::begin(offset, own), last: offset, awaited: None };
        self.buckets.entry(number).or_insert_with(begun).record.put_off(offset, schema_id);
        self.unwritten.insert(number);
    }

    /// The bucket can't be read on before this schema is known.
    pub fn await_schema(&mut self, number: BucketNumber, schema_id: i32) {
        if let Some(bucket) = self.buckets.get_mut(&number) {
            bucket.awaited = Some(schema_id);
        }
    }

    /// Buckets that wait for none of the schemas that are still asked for can be read on.
    pub fn go_on(&mut self, still_awaited: &BTreeSet<i32>) {
        for bucket in self.buckets.values_mut() {
            bucket.awaited = bucket.awaited.filter(|awaited| still_awaited.contains(awaited));
        }
    }

    /// How many buckets have requests that nobody has looked at.
    pub fn buckets_behind(&self) -> usize {
        self.buckets.values().filter(|bucket| bucket.record.behind.is_some()).count()
    }

    /// The buckets that can be read on, and from where.
    pub fn readable_buckets(&self) -> impl Iterator<Item = (BucketNumber, i64)> {
        let readable = self.buckets.iter().filter(|(_, bucket)| bucket.awaited.is_none());
        readable.filter_map(|(number, bucket)| Some((*number, bucket.record.behind?)))
    }

    /// The bucket has been read to before `next`.
    pub fn read_bucket_to(&mut self, number: BucketNumber, next: i64) {
        if let Some(bucket) = self.buckets.get_mut(&number) {
            bucket.record.behind = Some(next).filter(|next| *next < self.next);
            bucket.last = self.next - 1;
            self.unwritten.insert(number);
        }
    }

    /// Before which offset all requests of the bucket, or of none, have been looked at.
    pub fn end_of(&self, bucket: Option<BucketNumber>) -> i64 {
        let behind = bucket.and_then(|number| self.buckets.get(&number)?.record.behind);
        behind.unwrap_or(self.next)
    }

    pub fn tracker(&mut self, key: &TrackerKey) -> Option<&mut OffsetTracker> {
        self.backlogs.get_mut(key).map(|backlog| &mut backlog.tracker)
    }

    /// The tracker of an app, which begins here where it has none.
    pub fn tracker_or_new(&mut self, key: &TrackerKey) -> &mut OffsetTracker {
        &mut self.backlogs.entry(key.clone()).or_default().tracker
    }

    /// The offset of the first request without an answer.
    pub fn first(&self) -> i64 {
        self.first_but_of(None)
    }

    /// The same of those that are not in this bucket.
    fn first_but_of(&self, but: Option<BucketNumber>) -> i64 {
        let is_other = |bucket: Option<BucketNumber>| but.is_none() || bucket != but;
        let others = self.backlogs.iter().filter(|(key, _)| is_other(key.bucket));
        let trackers = others.filter_map(|(_, backlog)| backlog.tracker.first());
        let buckets = self.buckets.iter().filter(|(number, _)| is_other(Some(**number)));
        trackers.chain(buckets.filter_map(|(_, bucket)| bucket.record.behind)).fold(self.next, i64::min)
    }

    /// Forgets the buckets of which nothing waits, where none of their requests will be read again for anybody else.
    fn end_buckets(&mut self) {
        let waits = |number| {
            let mut own = self.backlogs.iter().filter(|(key, _)| key.bucket == Some(number));
            self.is_behind(number) || own.any(|(_, backlog)| backlog.tracker.first().is_some())
        };
        let has_ended = |(number, bucket): &(&BucketNumber, &SchemaBucket)| {
            !waits(**number) && bucket.last < self.first_but_of(Some(**number))
        };
        let ended: Vec<BucketNumber> = self.buckets.iter().filter(has_ended).map(|(number, _)| *number).collect();
        for number in ended {
            self.buckets.remove(&number);
            self.unwritten.insert(number);
        }
    }

    /// What has changed since it was written last. Whatever is answered now must be written with it.
    pub fn take_records(&mut self) -> Vec<OffsetRecord> {
        self.end_buckets();
        let mut records = vec![position(self.number, self.next)];
        for number in std::mem::take(&mut self.unwritten) {
            let bucket = self.buckets.get(&number).map(|bucket| &bucket.record);
            records.push(bucket_record(self.number, number, bucket));
        }
        for (key, backlog) in &mut self.backlogs {
            let tracker = backlog.tracker.record();
            if std::mem::take(&mut backlog.is_stale) || tracker != backlog.written {
                records.push(tracker_record(self.number, key, tracker.as_ref()));
                backlog.written = tracker;
            }
        }
        self.backlogs.retain(|_, backlog| backlog.written.is_some());
        records.extend(fingerprint_records(self.number, &mut self.fingerprints));
        records
    }
}
