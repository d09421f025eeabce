use super::*;

const HOUR: i64 = 3600;
const SPREAD: Duration = Duration::from_secs(6 * 3600);
const SETTLED: UnixTime = UnixTime(1_700_000_000);

fn hour(number: i64) -> UnixTime {
    UnixTime(SETTLED.0 - 1000 * HOUR + number * HOUR)
}

/// Members with cursors at these hours, by their position.
fn group(hours: &[i64]) -> CatchUp<usize> {
    let mut group = CatchUp::new(Feed::Touches, SPREAD);
    for (key, at) in hours.iter().enumerate() {
        group.meet(key, hour(*at), Some(SETTLED));
    }
    group
}

fn read(group: &mut CatchUp<usize>, key: usize, at: i64) {
    group.read(key, hour(at), Some(SETTLED));
}

fn all_let_go(group: &mut CatchUp<usize>) -> Vec<usize> {
    std::iter::from_fn(|| group.let_go()).collect()
}

#[test]
fn a_member_reads_no_further_ahead_of_the_slowest_other_one_than_the_spread() {
    let mut group = group(&[0, 1, 5]);
    assert_eq!([0, 1, 2].map(|key| group.bound(key)), [Some(hour(7)), Some(hour(6)), None]);
    read(&mut group, 1, 6);
    assert_eq!(group.bound(1), None, "it is as far ahead as it may be");
    assert_eq!((group.held_back(), all_let_go(&mut group)), (2, vec![]));
    read(&mut group, 0, 7);
    assert_eq!(all_let_go(&mut group), [2, 1]);
    assert_eq!(group.bound(1), Some(hour(11)), "that which was the fastest is the slowest now");
}

#[test]
fn who_keeps_up_is_no_member_and_reads_as_he_likes_and_so_does_who_is_alone() {
    let mut group = group(&[0, 994]);
    assert_eq!((group.members(), group.bound(1)), (1, Some(UnixTime::MAX)));
    assert_eq!(group.bound(0), Some(UnixTime::MAX));
    group.meet(1, hour(993), Some(SETTLED));
    assert_eq!((group.members(), group.bound(0)), (2, Some(hour(999))));
    let is_far_behind = |at| is_far_behind(Feed::Touches, SPREAD, hour(at), Some(SETTLED));
    assert_eq!([993, 994].map(is_far_behind), [true, false], "as it is told beforehand");
    assert_eq!(group.bound(1), None);
    group.read(0, SETTLED, Some(SETTLED));
    assert_eq!((group.members(), all_let_go(&mut group)), (1, vec![1]));
}

#[test]
fn a_feed_that_is_read_as_a_whole_each_time_is_no_member() {
    let mut group = CatchUp::new(Feed::Refunds, SPREAD);
    [0, 1].into_iter().for_each(|key| group.meet(key, hour(0), None));
    assert_eq!((group.members(), group.bound(0)), (0, Some(UnixTime::MAX)));
}

#[test]
fn one_that_is_parked_or_fails_twice_or_leaves_is_not_waited_for_until_its_cursor_moves() {
    let hinder: [fn(&mut CatchUp<usize>); 4] = [
        |group| group.stand_still(0),
        |group| (0..2).for_each(|_| group.in_vain(0)),
        |group| (0..2).for_each(|_| read(group, 0, 0)),
        |group| assert!(!group.leave(0), "it did not wait"),
    ];
    for hinder in hinder {
        let mut group = group(&[0, 20, 21]);
        assert_eq!([group.bound(1), group.bound(2)], [None, None]);
        group.in_vain(0);
        assert!(all_let_go(&mut group).is_empty(), "once is not enough");
        read(&mut group, 0, 1);
        hinder(&mut group);
        assert_eq!(all_let_go(&mut group), [1, 2]);
        group.meet(0, hour(1), Some(SETTLED));
        read(&mut group, 0, 2);
        assert_eq!([group.bound(1), group.bound(2)], [None, None], "it moves again");
    }
}

#[test]
fn where_nobody_makes_progress_each_reads_on_by_a_spread() {
    let mut group = group(&[0, 20]);
    assert_eq!(group.bound(1), None);
    [0, 1].into_iter().for_each(|key| group.stand_still(key));
    assert_eq!(all_let_go(&mut group), [1]);
    assert_eq!([group.bound(0), group.bound(1)], [Some(hour(6)), Some(hour(26))]);
}

#[test]
fn one_that_waited_and_leaves_waits_no_more() {
    let mut group = group(&[0, 20]);
    assert_eq!(group.bound(1), None);
    assert!(group.leave(1));
    assert_eq!((group.held_back(), all_let_go(&mut group)), (0, vec![]));
}

#[test]
fn orders_are_at_least_a_day_apart() {
    let mut group = CatchUp::new(Feed::Orders, SPREAD);
    [(0, 0), (1, 0), (2, 24)].into_iter().for_each(|(key, at)| group.meet(key, hour(at), Some(SETTLED)));
    assert_eq!([group.bound(0), group.bound(1), group.bound(2)], [Some(hour(24)), Some(hour(24)), None]);
}

/// One step of somebody in a group of four.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Reads as far as it may, but no more than so many minutes.
    Read(i64),
    Fail,
    Park,
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<(usize, Step)>> {
    use proptest::prelude::*;
    let step = prop_oneof![8 => (1i64..3000).prop_map(Step::Read), 1 => Just(Step::Fail), 1 => Just(Step::Park)];
    proptest::collection::vec((0usize..4, step), 1..300)
}

proptest::proptest! {
    #[test]
    fn no_cursor_is_moved_further_ahead_than_the_spread_and_somebody_may_always_read(
        begins in proptest::collection::vec(0i64..900, 4), steps in steps(),
    ) {
        let mut group = group(&begins);
        let mut cursors: Vec<UnixTime> = begins.iter().map(|at| hour(*at)).collect();
        let mut waits = [false; 4];
        let mut stands_still = [false; 4];
        for (key, step) in steps {
            if waits[key] || cursors[key] >= SETTLED {
                continue;
            }
            match (step, group.bound(key)) {
                (_, None) => waits[key] = true,
                (Step::Read(minutes), Some(bound)) => {
                    let to = cursors[key].plus(minutes * 60).min(bound).min(SETTLED);
                    let others = (0..4).filter(|other| *other != key && !stands_still[*other] && cursors[*other] < SETTLED);
                    let slowest = others.map(|other| cursors[other]).min();
                    if let Some(slowest) = slowest {
                        proptest::prop_assert!(to <= slowest.plus(6 * HOUR), "{to} is too far ahead of {slowest}");
                    }
                    proptest::prop_assert!(to > cursors[key]);
                    (cursors[key], stands_still[key]) = (to, false);
                    group.read(key, to, Some(SETTLED));
                }
                (Step::Fail, Some(_)) => {
                    (0..2).for_each(|_| group.in_vain(key));
                    stands_still[key] = true;
                }
                (Step::Park, Some(_)) => {
                    group.stand_still(key);
                    stands_still[key] = true;
                }
            }
            all_let_go(&mut group).into_iter().for_each(|key| waits[key] = false);
            proptest::prop_assert_eq!(group.held_back(), waits.iter().filter(|waits| **waits).count());
            let is_behind = |key: &usize| cursors[*key] < SETTLED;
            proptest::prop_assert!(!(0..4).any(|key| is_behind(&key)) || (0..4).filter(is_behind).any(|key| !waits[key]));
        }
    }
}
