use super::*;
use crate::model::time::UnixTime;
use Reach::{OnePage, ToTheEnd};

const SECOND: Duration = Duration::from_secs(1);

fn queue() -> DueQueue<u32> {
    let mut queue = DueQueue::new(PollBounds { polls: 9, to_the_end: 2 });
    (0..5).for_each(|key| queue.put(key, SECOND));
    queue
}

fn begin(queue: &mut DueQueue<u32>) -> Option<(u32, Reach)> {
    queue.begin(9 * SECOND, Admission::Call)
}

#[test]
fn one_that_was_not_answered_is_the_probe_only_where_nobody_else_is_due() {
    let mut queue = queue();
    let begun = Begun { due: SECOND / 4, reach: OnePage, entry: Admission::Call };
    (20..22).for_each(|key| queue.put_doubtful(key, SECOND / 2, begun));
    for probe in [0, 1, 2, 3, 4, 20] {
        assert_eq!(queue.begin(SECOND, Admission::Probe), Some((probe, OnePage)));
        queue.ended(probe);
    }
    queue.put(0, SECOND);
    assert_eq!(begin(&mut queue), Some((21, OnePage)), "it has waited longest");
}

#[test]
fn few_read_further_pages_at_once_and_the_others_wait_in_turn() {
    let mut queue = queue();
    for key in 0..4 {
        assert_eq!(begin(&mut queue), Some((key, OnePage)));
    }
    for key in 0..4 {
        let begun = queue.ended(key);
        queue.put_further(key, begun);
    }
    assert_eq!([begin(&mut queue), begin(&mut queue)], [Some((0, ToTheEnd)), Some((1, ToTheEnd))]);
    // First pages of others go on meanwhile.
    assert_eq!([begin(&mut queue), begin(&mut queue)], [Some((4, OnePage)), None]);
    assert_eq!(queue.next_due(Admission::Call), None);
    queue.ended(1);
    assert_eq!(begin(&mut queue), Some((2, ToTheEnd)));
}

#[test]
fn one_that_is_interrupted_while_it_reads_on_goes_on_first() {
    let mut queue = queue();
    let begun: Vec<_> = std::iter::from_fn(|| begin(&mut queue)).collect();
    for (key, _) in &begun[..3] {
        let begun = queue.ended(*key);
        queue.put_further(*key, begun);
    }
    assert_eq!(begin(&mut queue), Some((0, ToTheEnd)));
    let begun = queue.ended(0);
    queue.put_further(0, begun);
    assert_eq!([begin(&mut queue), begin(&mut queue)], [Some((0, ToTheEnd)), Some((1, ToTheEnd))]);
}

#[test]
fn one_that_is_refused_as_the_probe_while_it_reads_on_leaves_the_next_one_to_another() {
    let mut queue = queue();
    let begun: Vec<_> = std::iter::from_fn(|| begin(&mut queue)).collect();
    for (key, _) in &begun[..3] {
        let begun = queue.ended(*key);
        queue.put_further(*key, begun);
    }
    queue.put(5, 2 * SECOND);
    let probes = [(0, ToTheEnd), (1, ToTheEnd), (2, ToTheEnd), (5, OnePage), (0, OnePage), (1, OnePage)];
    for probe in probes {
        assert_eq!(queue.begin(9 * SECOND, Admission::Probe), Some(probe));
        let begun = queue.ended(probe.0);
        queue.put_refused(probe.0, 9 * SECOND, begun);
    }
}

#[test]
fn what_is_due_for_more_than_a_minute_and_not_polled_is_overdue() {
    let mut queue = queue();
    assert_eq!((queue.overdue(30 * SECOND), queue.overdue(180 * SECOND)), (0, 5));
    begin(&mut queue);
    assert_eq!((queue.overdue(180 * SECOND), queue.polls()), (5, 1), "it has only begun");
    let begun = queue.ended(0);
    assert_eq!((queue.overdue(180 * SECOND), queue.polls()), (4, 0));
    queue.put_further(0, begun);
    assert_eq!(queue.overdue(180 * SECOND), 5);
}

#[test]
fn one_whose_polls_fail_is_due_since_it_was_however_often_it_is_tried() {
    let mut queue = DueQueue::new(PollBounds { polls: 9, to_the_end: 2 });
    queue.put(7, SECOND);
    for minute in 1..4 {
        let clock = minute * 60 * SECOND;
        assert_eq!(queue.begin(clock, Admission::Call), Some((7, OnePage)));
        let begun = queue.ended(7);
        queue.put_late(7, clock + 60 * SECOND, begun);
        assert_eq!((queue.overdue(clock + 60 * SECOND), queue.latest()), (1, Some((SECOND, 7))));
    }
    queue.begin(240 * SECOND, Admission::Call);
    queue.ended(7);
    queue.put(7, 300 * SECOND);
    assert_eq!((queue.overdue(330 * SECOND), queue.latest()), (0, None));
}

const BOUNDS: IntervalBounds = IntervalBounds { every: Duration::from_secs(60), idle_every: Duration::from_secs(900) };

/// One that comes as often as facts do was polled at the start.
fn usual(queue: &mut DueQueue<u32>, key: u32) -> RateClass {
    let class = queue.join(BOUNDS);
    let turn = PollTurn::Usual { since: Duration::ZERO, earliest: Duration::ZERO, latest: Duration::MAX };
    queue.put_turn(key, class, turn, Duration::ZERO);
    class
}

#[test]
fn usual_turns_and_those_with_a_time_of_their_own_wait_for_each_other_in_proportion() {
    let mut queue = DueQueue::new(PollBounds { polls: 9, to_the_end: 2 });
    queue.set_rates(CallRates::default(), Duration::ZERO);
    let class = usual(&mut queue, 7);
    let due = PollTurn::At(90 * SECOND);
    [1, 2].into_iter().for_each(|key| queue.put_turn(key, class, due, Duration::ZERO));
    assert_eq!(queue.next_due(Admission::Call).map(|due| due.as_secs()), Some(60));
    assert_eq!(queue.begin(59 * SECOND, Admission::Call), None);
    let begun: Vec<_> = std::iter::from_fn(|| queue.begin(100 * SECOND, Admission::Call)).map(|(key, _)| key).collect();
    assert_eq!(begun, [7, 1, 2], "the first one is late for longer");
    assert_eq!(queue.overdue(200 * SECOND), 3);
}

#[test]
fn a_turn_that_another_days_comes_before_has_a_time_of_its_own() {
    let mut queue = DueQueue::new(PollBounds { polls: 9, to_the_end: 2 });
    queue.set_rates(CallRates::default(), Duration::ZERO);
    let class = queue.join(BOUNDS);
    let turn = PollTurn::Usual { since: Duration::ZERO, earliest: Duration::ZERO, latest: 30 * SECOND };
    queue.put_turn(5, class, turn, Duration::ZERO);
    assert_eq!(queue.next_due(Admission::Call), Some(30 * SECOND));
    assert_eq!(queue.begin(30 * SECOND, Admission::Probe), Some((5, OnePage)));
}

#[test]
fn polls_begin_evenly_and_pay_for_their_further_pages() {
    let mut queue = queue();
    queue.set_rates(CallRates { minute: Some(1.0), ..CallRates::default() }, Duration::ZERO);
    assert_eq!(queue.begin(9 * SECOND, Admission::Call), Some((0, OnePage)));
    assert_eq!((queue.begin(9 * SECOND, Admission::Call), queue.next_due(Admission::Call)), (None, Some(10 * SECOND)));
    queue.ended(0);
    queue.spent(4, 10 * SECOND);
    assert_eq!(queue.next_due(Admission::Call), Some(13 * SECOND));
    assert_eq!(queue.begin(13 * SECOND, Admission::Call), Some((1, OnePage)));
    queue.ended(1);
    queue.spent(0, 13 * SECOND);
    assert_eq!(queue.next_due(Admission::Call), Some(13 * SECOND), "its call was not made");
}

fn rank(cursor: i64) -> FirstRank {
    FirstRank { cursor: UnixTime(cursor), shuffled: 0 }
}

/// Usual turns and those with a time of their own, all of which have been due for long.
#[test]
fn whoever_was_never_polled_has_every_other_turn_whatever_the_others_wait_for() {
    let mut queue = DueQueue::new(PollBounds { polls: 20, to_the_end: 2 });
    queue.set_rates(CallRates::default(), Duration::ZERO);
    for key in 0..4 {
        usual(&mut queue, key);
    }
    (10..14).for_each(|key| queue.put(key, SECOND));
    let clock = 1000 * SECOND;
    (20..23).for_each(|key| queue.put_first(key, rank(key.into()), clock));
    let begun: Vec<u32> = std::iter::from_fn(|| queue.begin(clock, Admission::Call)).map(|(key, _)| key).collect();
    assert_eq!(begun.len(), 11);
    assert_eq!([begun[0], begun[2], begun[4]], [20, 21, 22]);
    assert!(begun[5..].iter().all(|key| *key < 20), "{begun:?}");
}

/// Behind a restart nobody has been polled: what the first of them turn to next does not wait for the last.
#[test]
fn whoever_was_polled_has_every_other_turn_though_others_have_waited_for_their_first_for_longer() {
    let mut queue = DueQueue::new(PollBounds { polls: 20, to_the_end: 2 });
    (0..9).for_each(|key| queue.put_first(key, rank(key.into()), SECOND));
    let begun = |queue: &mut DueQueue<u32>| queue.begin(9 * SECOND, Admission::Call).unwrap().0;
    assert_eq!([begun(&mut queue), begun(&mut queue)], [0, 1]);
    (10..13).for_each(|key| queue.put(key, 9 * SECOND));
    let begun: Vec<u32> = (0..7).map(|_| begun(&mut queue)).collect();
    assert_eq!(begun, [10, 2, 11, 3, 12, 4, 5]);
}

#[test]
fn one_of_a_few_that_came_alone_does_not_wait_for_the_many_that_came_before() {
    let mut queue = DueQueue::new(PollBounds { polls: 20, to_the_end: 2 });
    (0..9).for_each(|key| queue.put_first(key, rank(key.into()), SECOND));
    queue.put_few(100, 2 * SECOND);
    let begun: Vec<u32> = (0..3).map(|_| queue.begin(9 * SECOND, Admission::Call).unwrap().0).collect();
    assert_eq!(begun, [100, 0, 1]);
}

/// A budget that is less than all need is spent on whoever has waited longest, though he is not due yet.
#[test]
fn whoever_may_be_polled_before_he_is_due_takes_no_turn_from_those_who_never_were() {
    let mut queue = DueQueue::new(PollBounds { polls: 20, to_the_end: 2 });
    for key in 0..200 {
        usual(&mut queue, key);
    }
    queue.set_rates(CallRates { minute: Some(0.2), ..CallRates::default() }, Duration::ZERO);
    assert!(queue.shortage().is_some());
    let clock = 120 * SECOND;
    (1000..1003).for_each(|key| queue.put_first(key, rank(key.into()), clock));
    let mut next = |number: u32| {
        let (key, _) = queue.begin(clock + 30 * number * SECOND, Admission::Call).unwrap();
        queue.ended(key);
        key
    };
    assert_eq!([next(0), next(1), next(2)], [1000, 1001, 1002]);
    assert!(next(3) < 200, "the others come before they are due, where nobody else is");
}
