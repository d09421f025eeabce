//! What waits for schemas ([`crate::model::request::schema_bucket`]): asks for these, beside everything else, and reads
//! on when they are known.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::AnsweringSession;
use super::reread::RereadRecords;
use crate::avro::schema_lookup::SchemaLookupError;
use crate::avro::unavailable_schemas::UnavailableSchemas;
use crate::model::request::record::{RecordOffset, RequestAnswer};
use crate::model::request::schema_bucket::{BucketNumber, number};
use crate::requests::executor::{DecodedRecord, Executor};

/// How many schemas are asked for at once.
const LOOKUPS_MAX: usize = 64;

/// The schemas that are asked for.
#[derive(Default)]
pub(super) struct PendingSchemas {
    /// Each ends with its id, and with the reason where no request can be read with it.
    pub running: JoinSet<(i32, Result<(), SchemaLookupError>)>,
    under_way: BTreeSet<i32>,
    /// With which no request can be read.
    unavailable: UnavailableSchemas<SchemaLookupError>,
    /// Whether a tracker has met what it can't read.
    is_doubted: bool,
}

impl PendingSchemas {
    pub fn count(&self) -> usize {
        self.under_way.len()
    }

    /// Those beyond [`LOOKUPS_MAX`] are met again when one of the others has ended.
    fn look_up(&mut self, id: i32, executor: &Arc<Executor>) {
        if self.under_way.len() < LOOKUPS_MAX && self.under_way.insert(id) {
            let executor = executor.clone();
            self.running.spawn(async move { (id, executor.learn(id).await) });
        }
    }

    /// A tracker can't read this any more. False where nobody can.
    pub fn doubt(&mut self, id: i32, executor: &Arc<Executor>) -> bool {
        let may_be_known = self.unavailable.why(id).is_none();
        if may_be_known {
            self.is_doubted = true;
            self.look_up(id, executor);
        }
        may_be_known
    }

    fn end(&mut self, id: i32, learnt: Result<(), SchemaLookupError>) {
        self.under_way.remove(&id);
        if let Err(why) = learnt {
            self.unavailable.found_out(id, why);
        }
    }
}

impl AnsweringSession {
    /// A request has come that nobody can read yet: it begins a bucket, or the bucket that it is in waits from here on.
    pub(super) fn put_off(&mut self, RecordOffset { partition, offset }: RecordOffset, id: i32) {
        let Some(partition) = self.partitions.get_mut(&partition) else { return };
        partition.put_off(offset, id, self.executor.own_schema_id());
        if self.schemas.unavailable.why(id).is_none() {
            partition.await_schema(number(id), id);
            self.schemas.look_up(id, &self.executor);
        }
    }

    /// Gives what was read again of a bucket to its trackers, as far as it can be read.
    pub(super) fn read_on(
        &mut self,
        partition: i32,
        bucket: BucketNumber,
        RereadRecords { records, mut next }: RereadRecords,
    ) {
        for (record, reading) in records {
            let offset = record.location.offset;
            let schema_id = self.executor.schema_id(&record);
            let found = self.partitions.get(&partition).and_then(|partition| partition.bucket_of(offset, schema_id));
            if found != Some(bucket) {
                // Another bucket's, or an app's: whoever keeps its place reads it again.
                continue;
            }
            match reading {
                DecodedRecord::Request(request) => self.give(record, request, Some(bucket)),
                DecodedRecord::DeadLetter(letter) => self.answer_at_once(record, RequestAnswer::DeadLetter(letter)),
                DecodedRecord::UnknownSchema(id) => {
                    if let Some(why) = self.schemas.unavailable.why(id) {
                        let letter = self.executor.without_schema(&record, why);
                        self.answer_at_once(record, RequestAnswer::DeadLetter(letter));
                        continue;
                    }
                    // The bucket waits here. What was read behind it is dropped: kept, it would be without a bound.
                    self.schemas.look_up(id, &self.executor);
                    let partition = self.partitions.get_mut(&partition);
                    partition.into_iter().for_each(|partition| partition.await_schema(bucket, id));
                    next = offset;
                    break;
                }
            }
        }
        let partition = self.partitions.get_mut(&partition);
        partition.into_iter().for_each(|partition| partition.read_bucket_to(bucket, next));
    }

    /// The schema is known now, or it is known that no request can be read with it.
    pub(super) fn reconsider(&mut self, (id, learnt): (i32, Result<(), SchemaLookupError>)) {
        let schemas = &mut self.schemas;
        schemas.end(id, learnt);
        let is_doubted = std::mem::take(&mut schemas.is_doubted);
        for partition in self.partitions.values_mut() {
            partition.go_on(&schemas.under_way);
            let backlogs = partition.backlogs.values_mut().filter(|_| is_doubted);
            backlogs.for_each(|backlog| backlog.tracker.reconsider());
        }
        self.look_back();
    }
}
