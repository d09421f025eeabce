//! Which requests have an answer, whatever waits, is parked or passes its deadline.

use super::*;

mod steps;

fn deadline(seconds: i64) -> Option<UnixMillis> {
    Some(UnixMillis(seconds))
}

#[test]
fn what_is_behind_an_open_request_is_noted() {
    let mut tracker = OffsetTracker::default();
    assert_eq!(tracker.record(), None);
    (10..14).for_each(|offset| tracker.begin(offset));
    tracker.answer(11);
    tracker.answer(13);
    let record = tracker.record().unwrap();
    assert_eq!((record.first, record.answered), (10, BTreeSet::from([11, 13])));
    tracker.answer(10);
    let record = tracker.record().unwrap();
    assert_eq!((record.first, record.answered), (12, BTreeSet::from([13])));
    tracker.answer(12);
    assert_eq!(tracker, OffsetTracker::default());
}

#[test]
fn no_more_is_noted_than_the_record_has_room_for() {
    let mut tracker = OffsetTracker::default();
    tracker.begin(0);
    let span = i64::try_from(SPAN).unwrap();
    for offset in 1..span {
        assert!(tracker.has_room() && tracker.answer_at_once(offset));
    }
    assert!(!tracker.has_room() && !tracker.answer_at_once(span));
    tracker.answer(0);
    assert_eq!(tracker, OffsetTracker::default());
}

#[test]
fn what_is_parked_is_read_again_from_its_first() {
    let mut tracker = OffsetTracker::default();
    tracker.begin(3);
    tracker.park(5, deadline(90));
    tracker.park(9, deadline(40));
    assert!(tracker.answer_at_once(11));
    assert_eq!((tracker.first(), tracker.parked_from()), (Some(3), Some(5)));
    assert!(!tracker.may_have_expired(UnixMillis(39)) && tracker.may_have_expired(UnixMillis(40)));
    tracker.answer(3);
    assert_eq!(tracker.record().unwrap().first, 5);
    assert!(!tracker.is_unanswered(3, None) && tracker.is_unanswered(5, None) && !tracker.is_unanswered(11, None));
    tracker.begin(5);
    tracker.read_again(4..9, 12);
    assert_eq!((tracker.first(), tracker.parked_from()), (Some(5), Some(9)));
    tracker.begin(9);
    tracker.read_again(9..12, 12);
    tracker.answer(9);
    tracker.answer(5);
    assert_eq!(tracker, OffsetTracker::default());
}

#[test]
fn deadlines_that_have_passed_are_known_by_their_time() {
    let mut tracker = OffsetTracker::default();
    (0..10).for_each(|offset| tracker.park(offset, deadline(offset * 10)));
    // Half of them have been looked through.
    tracker.expire(0, 5, UnixMillis(30));
    let unanswered = |tracker: &OffsetTracker| -> Vec<i64> {
        (0..10).filter(|offset| tracker.is_unanswered(*offset, deadline(offset * 10))).collect()
    };
    assert_eq!(unanswered(&tracker), [4, 5, 6, 7, 8, 9]);
    assert!(tracker.is_unanswered(0, None));
    tracker.expire(5, 10, UnixMillis(60));
    assert_eq!(unanswered(&tracker), [4, 7, 8, 9]);
    let mut tracker = OffsetTracker::resume(&tracker.record().unwrap());
    assert_eq!(unanswered(&tracker), [4, 7, 8, 9]);
    assert!(!tracker.may_have_expired(UnixMillis(59)), "the clock was set back");
    assert!(tracker.may_have_expired(UnixMillis(60)), "nobody knows yet");
    // What is read again meanwhile expires by itself.
    tracker.begin(4);
    tracker.read_again(0..6, 10);
    tracker.expire(0, 10, UnixMillis(80));
    assert_eq!(unanswered(&tracker), [9]);
    assert_eq!(OffsetTracker::resume(&tracker.record().unwrap()).record().unwrap().first, 4);
    assert!(OffsetTracker::resume(&tracker.record().unwrap()).is_unanswered(4, deadline(40)));
}

#[test]
fn what_is_readable_since_a_moment_is_read_again_though_a_piece_behind_it_was_under_way() {
    let mut tracker = OffsetTracker::resume(&TrackerRecord { first: 3, ..TrackerRecord::default() });
    tracker.doubt(3);
    tracker.read_again(3..16, 40);
    // The piece from 16 on is being read.
    tracker.reconsider();
    tracker.read_again(16..40, 40);
    assert_eq!((tracker.first(), tracker.parked_from()), (Some(3), Some(3)));
    tracker.read_again(3..40, 40);
    assert_eq!(tracker.first(), None);
}
