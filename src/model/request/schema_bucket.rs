//! What of a partition waits for schemas.
//!
//! A request in a schema of its requester's can't be read before a registry has told the schema: nobody knows which app it is
//! for, nor its deadline. As many as come meanwhile, nothing is kept of them but the offset of the first. From that one on
//! the requests of the schema are a *bucket* of their own: they are read again in their order, once the schema is known,
//! and given to trackers that no other requests share ([`super::offset_tracker::TrackerKey`]).
//!
//! # Why each request is answered once
//!
//! The bytes and the offset of a request alone tell whether it belongs to a bucket, and to which ([`BucketRecord::holds`]):
//! whoever reads it again, at any time and in any process, finds the same, whatever schemas that process knows. So exactly
//! one pair of a bucket and an app answers for it. Those of a bucket before [`behind`](BucketRecord::behind) have been
//! given to its trackers or answered, in the order of the log, as those before the next offset have been that are in no
//! bucket; those from there on have not. Both, the trackers and `behind`, are written with every answer of the partition.
//!
//! A bucket ends where nothing of it waits, and whatever else waits in the partition stands behind the last request that
//! it held (`requests::partition`): nobody will read one of its requests again, so none can be taken for another's.
//!
//! Bounded are the buckets, for schema ids share them: requesters are few and have few schemas. Whoever sends ever other ids
//! holds up those who need a registry, too, and only while it is away; and of what needs none nothing ever waits here.

/// Schema ids that differ by a multiple of it share a bucket.
const STRANDS: i32 = 128;

/// Which of the buckets.
pub type BucketNumber = u8;

/// Where requests in the schema with this id wait.
pub fn number(schema_id: i32) -> BucketNumber {
    u8::try_from(schema_id.rem_euclid(STRANDS)).unwrap_or(u8::MAX)
}

/// A bucket as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketRecord {
    /// It holds no request before this offset.
    pub since: i64,
    /// The first that nobody has looked at; absent where there is none.
    pub behind: Option<i64>,
    /// The schema that the connector itself writes requests with, which is always known, and up to which offset that was so.
    pub own: Option<(i32, i64)>,
}

impl BucketRecord {
    /// Begins with the request at `offset`, while the connector's own schema has the id `own`.
    pub fn begin(offset: i64, own: Option<i32>) -> BucketRecord {
        BucketRecord { since: offset, behind: Some(offset), own: own.map(|id| (id, i64::MAX)) }
    }

    /// Whether the request at `offset` belongs here; its `schema_id` leads to this bucket.
    pub fn holds(&self, offset: i64, schema_id: i32) -> bool {
        offset >= self.since && !self.own.is_some_and(|(own, until)| own == schema_id && offset < until)
    }

    /// The request at `offset`, behind all that have been read, can't be read: the schema is not known, or not any more.
    pub fn put_off(&mut self, offset: i64, schema_id: i32) {
        self.behind.get_or_insert(offset);
        if let Some((_, until)) = self.own.as_mut().filter(|(own, _)| *own == schema_id) {
            *until = (*until).min(offset);
        }
    }

    /// What stands at `end` or behind it is another log's. False where nothing is left.
    pub fn cut(&mut self, end: i64) -> bool {
        self.behind.take_if(|behind| *behind >= end);
        if let Some((_, until)) = self.own.as_mut().filter(|(_, until)| *until >= end) {
            *until = i64::MAX;
        }
        self.since < end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_ids_of_any_kind_have_buckets_and_neighbours_have_others() {
        assert_eq!([0, 127, 128, -1, i32::MIN, i32::MAX].map(number), [0, 127, 0, 127, 0, 127]);
    }

    #[test]
    fn the_own_schema_is_in_no_bucket_until_it_is_not_known_any_more() {
        let mut bucket = BucketRecord::begin(10, Some(7));
        assert_eq!([(9, 135), (10, 135), (11, 7)].map(|(offset, id)| bucket.holds(offset, id)), [false, true, false]);
        // The connector has another registry now.
        bucket.behind = None;
        bucket.put_off(20, 7);
        assert_eq!(bucket.behind, Some(20));
        assert_eq!([19, 20, 30].map(|offset| bucket.holds(offset, 7)), [false, true, true]);
        assert!(bucket.cut(20) && bucket.behind.is_none() && !bucket.holds(30, 7), "that was another log's");
        assert!(!bucket.cut(10));
    }
}
