//! What a state topic may hold beside the state, and what heals it.

use std::collections::BTreeMap;

use super::*;
use crate::model::cursor::Cursor;
use crate::model::feed::Feed;
use crate::model::fence::FORMAT;
use crate::model::time::UnixTime;

const HOME: i32 = 1;

fn promoter() -> Promoter {
    Promoter::from_key("wx1/o1").unwrap()
}

fn fence(connector: &str) -> Fence {
    Fence {
        format: FORMAT,
        connector: connector.into(),
        partitions: 3,
        id_kinds: BTreeMap::new(),
        generation: 1,
        member: "m".into(),
        transactional_id: "t".into(),
        opening: 1,
        confirmed: true,
    }
}

/// Reads records of the promoter's partition, at offsets from 0 on.
fn read(records: &[(&str, Option<&[u8]>)]) -> StateContent {
    let mut content = StateContent::new(|_| Shard(HOME));
    for (offset, (key, value)) in (0..).zip(records) {
        content.take(StatePlace { partition: HOME, offset }, key.as_bytes(), *value);
    }
    content
}

fn cursor() -> (String, Vec<u8>) {
    let key = StateKey::Cursor(promoter(), Feed::Touches);
    let value = StateValue::Cursor(Cursor::begin(Feed::Touches, UnixTime(5)));
    (key.encode(), value.encode())
}

fn knows_the_cursor(state: &State) -> bool {
    state.cursors(&promoter()).touches.is_some()
}

#[test]
fn a_stray_record_is_skipped_and_told_and_its_tombstone_heals() {
    let (key, value) = cursor();
    let mut content = read(&[("hello", Some(b"world")), (&key, Some(&value))]);
    assert_eq!(content.check(&fence("a"), HOME), Ok(()));
    let (state, strays) = content.finish(HOME);
    assert!(knows_the_cursor(&state));
    assert_eq!(strays, [Stray { place: StatePlace { partition: HOME, offset: 0 }, fault: StrayFault::Key }]);
    let (_, strays) = read(&[("hello", Some(b"world")), ("hello", None)]).finish(HOME);
    assert_eq!(strays, []);
}

#[test]
fn a_record_in_the_partition_of_others_is_skipped_and_told() {
    let (key, value) = cursor();
    let mut content = StateContent::new(|_| Shard(HOME));
    content.take(StatePlace { partition: 2, offset: 9 }, key.as_bytes(), Some(&value));
    assert_eq!(content.check(&fence("a"), 2), Ok(()));
    let (_, strays) = content.finish(2);
    assert!(!knows_the_cursor(&content.finish(HOME).0));
    assert_eq!(strays[0].fault, StrayFault::Partition(HOME));
}

#[test]
fn a_damaged_record_stops_until_its_tombstone_or_a_whole_one_follows() {
    let (key, value) = cursor();
    let damaged = [(key.as_str(), Some(b"\x01nonsense".as_slice()))];
    let Err(Unusable::Damaged { place, .. }) = read(&damaged).check(&fence("a"), HOME) else { panic!("it stops") };
    assert_eq!(place, StatePlace { partition: HOME, offset: 0 });
    for healing in [None, Some(value.as_slice())] {
        let mut content = read(&[damaged[0], (&key, healing)]);
        assert_eq!(content.check(&fence("a"), HOME), Ok(()));
        assert_eq!(knows_the_cursor(&content.finish(HOME).0), healing.is_some());
    }
}

#[test]
fn records_of_the_pipeline_of_requests_are_left_to_it() {
    let (_, strays) = read(&[("answered/requests/3", Some(b"whatever"))]).finish(HOME);
    assert_eq!(strays, []);
}

#[test]
fn a_fence_of_another_name_stops_and_its_tombstone_heals() {
    let (ours, theirs) = (fence("a"), fence("b"));
    let (our_value, their_value) = (ours.encode(), theirs.encode());
    let records = [("fence/a", Some(our_value.as_slice())), ("fence/b", Some(&their_value))];
    let content = read(&records);
    assert_eq!(content.fences_of("a").map(|(partition, _)| partition).collect::<Vec<_>>(), [HOME]);
    let conflict = Conflict::Name("b".into());
    let place = StatePlace { partition: HOME, offset: 1 };
    assert_eq!(content.check(&ours, HOME), Err(Unusable::Conflict { place, conflict }));
    assert_eq!(read(&[records[0], records[1], ("fence/b", None)]).check(&ours, HOME), Ok(()));
    let damaged = read(&[("fence/b", Some(b"{"))]);
    assert!(matches!(damaged.check(&ours, HOME), Err(Unusable::Damaged { .. })));
    assert_eq!(read(&[("fence/b", Some(b"{")), ("fence/b", None)]).check(&ours, HOME), Ok(()));
}

#[test]
fn a_fence_that_was_taken_away_is_told_from_one_that_never_was() {
    let value = fence("a").encode();
    let [whole, damaged, taken_away] = [Some(value.as_slice()), Some(b"{".as_slice()), None];
    let is_taken_away = |values: &[Option<&[u8]>]| {
        let records: Vec<_> = values.iter().map(|value| ("fence/a", *value)).collect();
        read(&records).is_fence_taken_away(HOME, "a")
    };
    assert!(is_taken_away(&[damaged, taken_away]) && is_taken_away(&[whole, taken_away]));
    assert!(!is_taken_away(&[]) && !is_taken_away(&[whole]) && !is_taken_away(&[taken_away, whole]));
}

#[test]
fn a_topic_of_something_else_is_told_and_takes_no_memory() {
    let mut content = StateContent::new(|_| Shard(HOME));
    for offset in 0..5000 {
        content.take(StatePlace { partition: HOME, offset }, format!("{offset}").as_bytes(), Some(b""));
    }
    assert_eq!(content.check(&fence("a"), HOME), Err(Unusable::NotTheState));
    assert_eq!(content.finish(HOME).1.len(), STRAYS_MAX);
}

#[test]
fn however_many_strays_there_were_their_tombstones_heal() {
    let mut content = StateContent::new(|_| Shard(HOME));
    for (offset, value) in
        (0..5000).map(|offset| (offset, Some(b"".as_slice()))).chain((5000..10_000).map(|offset| (offset, None)))
    {
        content.take(StatePlace { partition: HOME, offset }, format!("{}", offset % 5000).as_bytes(), value);
    }
    assert_eq!(content.check(&fence("a"), HOME), Ok(()));
}

#[test]
fn of_partitions_of_others_only_the_fences_are_kept() {
    let (key, value) = cursor();
    let mut content = StateContent::fences_only();
    content.take(StatePlace { partition: HOME, offset: 0 }, key.as_bytes(), Some(&value));
    content.take(StatePlace { partition: HOME, offset: 1 }, b"fence/b", Some(&fence("b").encode()));
    assert!(content.check(&fence("a"), HOME).is_err());
    let (state, strays) = content.finish(HOME);
    assert!(!knows_the_cursor(&state) && strays.is_empty());
}

#[test]
fn a_partition_that_was_read_whole_is_judged_and_given_out_before_the_others() {
    let (key, value) = cursor();
    let mut content = StateContent::new(|_| Shard(HOME));
    let of = |partition, offset| StatePlace { partition, offset };
    content.take(of(HOME, 0), key.as_bytes(), Some(&value));
    // Damaged so far: its tombstone may still come.
    content.take(of(2, 0), b"fence/a", Some(b"{"));
    content.take(of(2, 1), b"hello", Some(b"world"));
    assert_eq!(content.check(&fence("a"), HOME), Ok(()));
    assert!(content.check(&fence("a"), 2).is_err());
    let (state, strays) = content.finish(HOME);
    assert!(knows_the_cursor(&state) && strays.is_empty());
    content.take(of(2, 2), b"fence/a", Some(&fence("a").encode()));
    assert_eq!(content.check(&fence("a"), 2), Ok(()));
    assert_eq!(content.finish(2).1.len(), 1);
}

#[test]
fn whether_a_state_could_be_used_is_told_without_holding_it() {
    let (key, value) = cursor();
    let mut content = StateContent::faults_only(|_| Shard(HOME));
    let records: [(&[u8], &[u8]); 3] =
        [(key.as_bytes(), &value), (REGISTRY_READ_KEY.as_bytes(), b"7"), (b"answered/requests/0", b"?")];
    for (offset, (key, value)) in (0..).zip(records) {
        content.take(StatePlace { partition: HOME, offset }, key, Some(value));
    }
    assert_eq!(content.check(&fence("a"), HOME), Ok(()));
    content.take(StatePlace { partition: HOME, offset: 3 }, key.as_bytes(), Some(b"?"));
    assert!(matches!(content.check(&fence("a"), HOME), Err(Unusable::Damaged { .. })));
    assert!(!knows_the_cursor(&content.finish(HOME).0));
}
