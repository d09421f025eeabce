use proptest::prelude::*;

use super::*;

fn deadline(seconds: i64) -> Option<UnixMillis> {
    Some(UnixMillis(seconds))
}

#[test]
fn what_is_behind_an_open_request_is_noted() {
    let mut window = Window::default();
    assert_eq!(window.record(), None);
    (10..14).for_each(|offset| window.begin(offset));
    window.answer(11);
    window.answer(13);
    let record = window.record().unwrap();
    assert_eq!((record.first, record.answered), (10, BTreeSet::from([11, 13])));
    window.answer(10);
    let record = window.record().unwrap();
    assert_eq!((record.first, record.answered), (12, BTreeSet::from([13])));
    window.answer(12);
    assert_eq!(window, Window::default());
}

#[test]
fn no_more_is_noted_than_the_record_has_room_for() {
    let mut window = Window::default();
    window.begin(0);
    let span = i64::try_from(SPAN).unwrap();
    for offset in 1..span {
        assert!(window.has_room() && window.answer_at_once(offset));
    }
    assert!(!window.has_room() && !window.answer_at_once(span));
    window.answer(0);
    assert_eq!(window, Window::default());
}

#[test]
fn what_is_parked_is_read_again_from_its_first() {
    let mut window = Window::default();
    window.begin(3);
    window.park(5, deadline(90));
    window.park(9, deadline(40));
    assert!(window.answer_at_once(11));
    assert_eq!((window.first(), window.parked_from()), (Some(3), Some(5)));
    assert!(!window.may_have_expired(UnixMillis(39)) && window.may_have_expired(UnixMillis(40)));
    window.answer(3);
    assert_eq!(window.record().unwrap().first, 5);
    assert!(!window.is_unanswered(3, None) && window.is_unanswered(5, None) && !window.is_unanswered(11, None));
    window.begin(5);
    window.read_again(4..9, 12);
    assert_eq!((window.first(), window.parked_from()), (Some(5), Some(9)));
    window.begin(9);
    window.read_again(9..12, 12);
    window.answer(9);
    window.answer(5);
    assert_eq!(window, Window::default());
}

#[test]
fn deadlines_that_have_passed_are_known_by_their_time() {
    let mut window = Window::default();
    (0..10).for_each(|offset| window.park(offset, deadline(offset * 10)));
    // Half of them have been looked through.
    window.expire(0, 5, UnixMillis(30));
    let unanswered = |window: &Window| -> Vec<i64> {
        (0..10).filter(|offset| window.is_unanswered(*offset, deadline(offset * 10))).collect()
    };
    assert_eq!(unanswered(&window), [4, 5, 6, 7, 8, 9]);
    assert!(window.is_unanswered(0, None));
    window.expire(5, 10, UnixMillis(60));
    assert_eq!(unanswered(&window), [4, 7, 8, 9]);
    let mut window = Window::resume(&window.record().unwrap());
    assert_eq!(unanswered(&window), [4, 7, 8, 9]);
    assert!(!window.may_have_expired(UnixMillis(59)), "the clock was set back");
    assert!(window.may_have_expired(UnixMillis(60)), "nobody knows yet");
    // What is read again meanwhile expires by itself.
    window.begin(4);
    window.read_again(0..6, 10);
    window.expire(0, 10, UnixMillis(80));
    assert_eq!(unanswered(&window), [9]);
    assert_eq!(Window::resume(&window.record().unwrap()).record().unwrap().first, 4);
    assert!(Window::resume(&window.record().unwrap()).is_unanswered(4, deadline(40)));
}

/// What happens to a window, step by step.
#[derive(Clone, Debug)]
enum Step {
    /// The next request comes, with a deadline or without.
    Comes(Option<i64>),
    Answered(usize),
    /// So many of the parked are read again.
    ReadAgain(i64),
    /// Time passes, and the parked up to some offset are looked through.
    Swept(i64, prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::option::of(0..200i64).prop_map(Step::Comes),
        3 => (0..3usize).prop_map(Step::Answered),
        2 => (1..6i64).prop_map(Step::ReadAgain),
        2 => (0..40i64, any::<prop::sample::Index>()).prop_map(|(time, to)| Step::Swept(time, to)),
        1 => Just(Step::Restart),
    ]
}

#[test]
fn what_is_readable_since_a_moment_is_read_again_though_a_piece_behind_it_was_under_way() {
    let mut window = Window::resume(&WindowRecord { first: 3, ..WindowRecord::default() });
    window.doubt(3);
    window.read_again(3..16, 40);
    // The piece from 16 on is being read.
    window.reconsider();
    window.read_again(16..40, 40);
    assert_eq!((window.first(), window.parked_from()), (Some(3), Some(3)));
    window.read_again(3..40, 40);
    assert_eq!(window.first(), None);
}

proptest! {
    /// With room for three in memory, whatever is answered and whenever it starts anew: each request has one answer.
    #[test]
    fn each_request_is_answered_once(steps in prop::collection::vec(step(), 0..200)) {
        let (mut window, mut deadlines, mut now) = (Window::default(), Vec::<Option<i64>>::new(), 0);
        let (mut held, mut answered) = (Vec::<i64>::new(), BTreeSet::<i64>::new());
        let end = |deadlines: &Vec<_>| i64::try_from(deadlines.len()).unwrap();
        let of = |deadlines: &[Option<i64>], offset: i64| {
            deadlines[usize::try_from(offset).unwrap()].map(UnixMillis)
        };
        let finish = [Step::Restart].into_iter().chain((0..300).flat_map(|_| {
            [Step::ReadAgain(3), Step::Answered(0)]
        }));
        for step in steps.into_iter().chain(finish) {
            match step {
                Step::Comes(deadline) => {
                    let offset = end(&deadlines);
                    deadlines.push(deadline);
                    if held.len() < 3 && window.parked_from().is_none() && window.has_room() {
                        window.begin(offset);
                        held.push(offset);
                    } else {
                        window.park(offset, of(&deadlines, offset));
                    }
                }
                Step::Answered(which) if !held.is_empty() => {
                    let offset = held.swap_remove(which % held.len());
                    prop_assert!(answered.insert(offset), "{} is answered twice", offset);
                    window.answer(offset);
                }
                Step::Answered(_) => {}
                Step::ReadAgain(count) => {
                    let Some(from) = window.parked_from() else { continue };
                    let mut to = (from + count).min(end(&deadlines));
                    for offset in from..to {
                        if !window.is_unanswered(offset, of(&deadlines, offset)) {
                            continue;
                        }
                        if held.len() == 3 {
                            to = offset;
                            break;
                        }
                        window.begin(offset);
                        held.push(offset);
                    }
                    window.read_again(from..to, end(&deadlines));
                }
                Step::Swept(time, to) => {
                    now += time;
                    let Some(from) = window.parked_from() else { continue };
                    let to = from + i64::try_from(to.index(usize::try_from(end(&deadlines) - from).unwrap().max(1))).unwrap();
                    for offset in from..to {
                        let deadline = of(&deadlines, offset);
                        let has_passed = deadline.is_some_and(|deadline| deadline.0 <= now);
                        if has_passed && window.is_unanswered(offset, deadline) {
                            prop_assert!(answered.insert(offset), "{} is answered twice", offset);
                        }
                    }
                    window.expire(from, to, UnixMillis(now));
                }
                Step::Restart => {
                    held.clear();
                    window = window.record().map(|record| Window::resume(&record)).unwrap_or_default();
                }
            }
        }
        prop_assert_eq!(answered, (0..end(&deadlines)).collect::<BTreeSet<_>>());
    }
}
