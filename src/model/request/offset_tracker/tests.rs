use proptest::prelude::*;

use super::*;

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

/// What happens to a tracker, step by step.
#[derive(Clone, Debug)]
enum TrackerStep {
    /// The next request comes, with a deadline or without.
    Comes(Option<i64>),
    CommittedAnswer(usize),
    /// So many of the parked are read again.
    FetchRange(i64),
    /// Time passes, and the parked up to some offset are looked through.
    Swept(i64, prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = TrackerStep> {
    prop_oneof![
        4 => prop::option::of(0..200i64).prop_map(TrackerStep::Comes),
        3 => (0..3usize).prop_map(TrackerStep::CommittedAnswer),
        2 => (1..6i64).prop_map(TrackerStep::FetchRange),
        2 => (0..40i64, any::<prop::sample::Index>()).prop_map(|(time, to)| TrackerStep::Swept(time, to)),
        1 => Just(TrackerStep::Restart),
    ]
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

proptest! {
    /// With room for three in memory, whatever is answered and whenever it starts anew: each request has one answer.
    #[test]
    fn each_request_is_answered_once(steps in prop::collection::vec(step(), 0..200)) {
        let (mut tracker, mut deadlines, mut now) = (OffsetTracker::default(), Vec::<Option<i64>>::new(), 0);
        let (mut held, mut answered) = (Vec::<i64>::new(), BTreeSet::<i64>::new());
        let end = |deadlines: &Vec<_>| i64::try_from(deadlines.len()).unwrap();
        let of = |deadlines: &[Option<i64>], offset: i64| {
            deadlines[usize::try_from(offset).unwrap()].map(UnixMillis)
        };
        let finish = [TrackerStep::Restart].into_iter().chain((0..300).flat_map(|_| {
            [TrackerStep::FetchRange(3), TrackerStep::CommittedAnswer(0)]
        }));
        for step in steps.into_iter().chain(finish) {
            match step {
                TrackerStep::Comes(deadline) => {
                    let offset = end(&deadlines);
                    deadlines.push(deadline);
                    if held.len() < 3 && tracker.parked_from().is_none() && tracker.has_room() {
                        tracker.begin(offset);
                        held.push(offset);
                    } else {
                        tracker.park(offset, of(&deadlines, offset));
                    }
                }
                TrackerStep::CommittedAnswer(which) if !held.is_empty() => {
                    let offset = held.swap_remove(which % held.len());
                    prop_assert!(answered.insert(offset), "{} is answered twice", offset);
                    tracker.answer(offset);
                }
                TrackerStep::CommittedAnswer(_) => {}
                TrackerStep::FetchRange(count) => {
                    let Some(from) = tracker.parked_from() else { continue };
                    let mut to = (from + count).min(end(&deadlines));
                    for offset in from..to {
                        if !tracker.is_unanswered(offset, of(&deadlines, offset)) {
                            continue;
                        }
                        if held.len() == 3 {
                            to = offset;
                            break;
                        }
                        tracker.begin(offset);
                        held.push(offset);
                    }
                    tracker.read_again(from..to, end(&deadlines));
                }
                TrackerStep::Swept(time, to) => {
                    now += time;
                    let Some(from) = tracker.parked_from() else { continue };
                    let to = from + i64::try_from(to.index(usize::try_from(end(&deadlines) - from).unwrap().max(1))).unwrap();
                    for offset in from..to {
                        let deadline = of(&deadlines, offset);
                        let has_passed = deadline.is_some_and(|deadline| deadline.0 <= now);
                        if has_passed && tracker.is_unanswered(offset, deadline) {
                            prop_assert!(answered.insert(offset), "{} is answered twice", offset);
                        }
                    }
                    tracker.expire(from, to, UnixMillis(now));
                }
                TrackerStep::Restart => {
                    held.clear();
                    tracker = tracker.record().map(|record| OffsetTracker::resume(&record)).unwrap_or_default();
                }
            }
        }
        prop_assert_eq!(answered, (0..end(&deadlines)).collect::<BTreeSet<_>>());
    }
}
