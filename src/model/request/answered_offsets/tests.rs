//! How far requests are answered, read back as it was written.

use proptest::prelude::*;

use super::*;

fn any_tracker() -> impl Strategy<Value = TrackerRecord> {
    let steps = prop::collection::btree_map(any::<i64>(), any::<i64>(), 0..5);
    (any::<i64>(), prop::collection::btree_set(any::<i64>(), 0..20), steps)
        .prop_map(|(first, answered, steps)| TrackerRecord { first, answered, expired: Expired::of(steps) })
}

fn any_bucket() -> impl Strategy<Value = BucketRecord> {
    let own = prop::option::of((any::<i32>(), 0..i64::MAX));
    (0..i64::MAX, prop::option::of(0..i64::MAX), own).prop_map(|(since, behind, own)| BucketRecord {
        since,
        behind,
        own,
    })
}

fn any_answered() -> impl Strategy<Value = AnsweredOffsets> {
    let marks = prop::collection::btree_set(0..3000i64, 0..40);
    let key = (any::<Option<u8>>(), "wx[0-9a-f]{1,3}").prop_map(|(bucket, app)| TrackerKey { bucket, app });
    let trackers = prop::collection::btree_map(key, any_tracker(), 0..4);
    let buckets = prop::collection::btree_map(any::<u8>(), any_bucket(), 0..4);
    (0..3i32, any::<i64>(), trackers, buckets, marks).prop_map(|(partition, next, trackers, buckets, marks)| {
        let mut fingerprints = LogFingerprints::default();
        marks.into_iter().for_each(|offset| fingerprints.add(offset, u64::MAX - offset.cast_unsigned()));
        AnsweredOffsets { partition, next, trackers, buckets, fingerprints, ..AnsweredOffsets::default() }
    })
}

fn records(answered: &mut AnsweredOffsets) -> Vec<OffsetRecord> {
    let AnsweredOffsets { partition, next, trackers, buckets, .. } = &*answered;
    let trackers = trackers.iter().map(|(key, tracker)| tracker_record(*partition, key, Some(tracker)));
    let buckets = buckets.iter().map(|(number, bucket)| bucket_record(*partition, *number, Some(bucket)));
    let mut records: Vec<_> = std::iter::once(position(*partition, *next)).chain(trackers).chain(buckets).collect();
    records.extend(fingerprint_records(answered.partition, &mut answered.fingerprints));
    records
}

proptest! {
    #[test]
    fn answered_offsets_are_read_back_as_it_was_written(
        answered in prop::collection::btree_map(Just(()), any_answered(), 1..2), other in any_answered(),
    ) {
        let mut answered = answered.into_values().next().unwrap();
        let mut other = AnsweredOffsets { partition: answered.partition + 10, ..other };
        let mut restored = RestoredOffsets::default();
        for record in records(&mut other).into_iter().chain(records(&mut answered)) {
            restored.take(&record.key, record.value.as_deref());
        }
        prop_assert_eq!(restored.answered(answered.partition).unwrap(), Some(answered));
        prop_assert_eq!(restored.answered(other.partition).unwrap(), Some(other));
        prop_assert_eq!(restored.answered(99).unwrap(), None);
    }

    #[test]
    fn any_bytes_are_read_or_refused(values in prop::collection::vec(any::<Vec<u8>>(), 5)) {
        let mut restored = RestoredOffsets::default();
        for (key, value) in ["0", "0/app/wx1", "0/log/5", "0/schemas/7", "0/schemas/7/app/wx1"].into_iter().zip(&values) {
            restored.take(key, Some(value));
        }
        let _ = restored.answered(0);
    }
}

#[test]
fn what_a_newer_release_wrote_or_nobody_can_read_is_told_by_its_key_and_healed_by_a_tombstone() {
    let mut restored = RestoredOffsets::default();
    restored.take("0", Some(&[VERSION, 0, 0, 0, 0, 0, 0, 0, 7]));
    restored.take("0/app/wx1", Some(&[9, 1, 2]));
    assert_eq!(restored.answered(0), Err(UnreadableOffsets::Version("0/app/wx1".into(), 9)));
    restored.take("0/app/wx1", Some(&[VERSION, 1]));
    assert_eq!(restored.answered(0), Err(UnreadableOffsets::Damaged("0/app/wx1".into())));
    restored.take("0/app/wx1", None);
    assert_eq!(restored.answered(0), Ok(Some(AnsweredOffsets::at(0, 7))));
}

#[test]
fn what_stood_in_the_lost_tail_is_forgotten() {
    let tracker = |first, answered: &[i64]| TrackerRecord {
        first,
        answered: answered.iter().copied().collect(),
        expired: Expired::of([(first, 5), (first + 20, 3)]),
    };
    let mut answered = AnsweredOffsets::at(0, 100);
    let [a, b] = ["a", "b"].map(|app| TrackerKey::new(Some(1), app));
    let bucket = |since, behind| BucketRecord { behind, ..BucketRecord::begin(since, None) };
    answered.buckets = [(1, bucket(10, Some(20))), (2, bucket(10, Some(60))), (3, bucket(60, Some(60)))].into();
    answered.trackers = [(a.clone(), tracker(30, &[40, 50, 70])), (b.clone(), tracker(50, &[]))].into();
    answered.cut(50);
    assert_eq!(answered.next, 50);
    assert_eq!(answered.buckets, [(1, bucket(10, Some(20))), (2, bucket(10, None))].into());
    let cut = TrackerRecord { expired: Expired::of([(30, 5)]), ..tracker(30, &[40]) };
    assert_eq!(answered.trackers, [(a.clone(), cut)].into());
    assert_eq!((answered.stale, answered.stale_buckets), ([a, b].into(), [1, 2, 3].into()));
}
