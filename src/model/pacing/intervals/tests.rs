use super::*;

const EVERY: f64 = 60.0;
const IDLE: f64 = 900.0;
const BOUNDS: IntervalBounds = IntervalBounds { every: Duration::from_secs(60), idle_every: Duration::from_secs(900) };

/// Feeds counted as such whose facts come so many seconds apart.
fn counted(intervals: &mut Intervals, seconds: f32, feeds: u32) -> RateClass {
    intervals.join_at(BOUNDS, 1.0 / seconds, feeds)
}

/// Polls a second of everybody.
fn polls(intervals: &Intervals) -> f64 {
    let of_group = |group: &Group| -> f64 {
        (0..CLASSES).map(|class| f64::from(group.feeds[class]) / group.interval[class]).sum()
    };
    intervals.groups.iter().map(of_group).sum()
}

#[test]
fn intervals_go_with_the_root_of_the_rate() {
    let mut intervals = Intervals::default();
    let [rare, often] = [400_000.0, 100_000.0].map(|seconds| counted(&mut intervals, seconds, 100));
    intervals.spread(Some(1.0), BudgetUse::Spend);
    let ratio = intervals.interval(rare).as_secs_f64() / intervals.interval(often).as_secs_f64();
    assert!((1.95..2.05).contains(&ratio), "{ratio}");
}

#[test]
fn a_poll_that_costs_four_calls_comes_half_as_often() {
    let mut intervals = Intervals::default();
    let class = counted(&mut intervals, 100_000.0, 100);
    let (_, class) = class.index();
    let cheap = intervals.groups[0].seconds(class, 0.3);
    intervals.groups[0].cost[class] = 4.0;
    let dear = intervals.groups[0].seconds(class, 0.3);
    assert!((1.99..2.01).contains(&(dear / cheap)), "{dear} beside {cheap}");
}

#[test]
fn with_more_calls_than_are_needed_everybody_is_polled_each_every() {
    let mut intervals = Intervals::default();
    let classes = [600.0, 30_000.0, 800_000.0].map(|seconds| counted(&mut intervals, seconds, 1000));
    intervals.spread(Some(51.0), BudgetUse::Spend);
    assert!(classes.iter().all(|class| intervals.interval(*class) == BOUNDS.every));
}

#[test]
fn where_the_budget_is_less_than_the_quietest_need_all_have_the_longest_interval_and_it_is_said() {
    let mut intervals = Intervals::default();
    let classes = [600.0, 800_000.0].map(|seconds| counted(&mut intervals, seconds, 4500));
    intervals.spread(Some(5.0), BudgetUse::Spend);
    let shortage = intervals.shortage().unwrap();
    assert!((shortage.needed - 9000.0 / (IDLE * IDLE_PART)).abs() < 0.01 && shortage.budget == 5.0, "{shortage:?}");
    assert!(classes.iter().all(|class| intervals.interval(*class).as_secs_f64() == IDLE * IDLE_PART));
    intervals.spread(Some(50.0), BudgetUse::Spend);
    assert_eq!(intervals.shortage(), None);
}

#[test]
fn without_a_budget_the_quiet_are_polled_less() {
    let mut intervals = Intervals::default();
    let seconds = [600.0, 3600.0, 4.0 * 3600.0, 30.0 * 86_400.0];
    let classes = seconds.map(|seconds| counted(&mut intervals, seconds, 1));
    intervals.spread(None, BudgetUse::Spend);
    let found = classes.map(|class| intervals.interval(class).as_secs_f64());
    assert_eq!((found[0], found[3]), (EVERY, IDLE * IDLE_PART));
    assert!((0.9..1.1).contains(&(found[1] / 60.0)) && (0.9..1.1).contains(&(found[2] / 120.0)), "{found:?}");
}

#[test]
fn a_budget_that_only_bounds_is_not_spent_on_the_quiet_but_where_it_is_scarce() {
    let mut intervals = Intervals::default();
    let quiet = counted(&mut intervals, 30.0 * 86_400.0, 9000);
    intervals.spread(Some(1000.0), BudgetUse::Bound);
    assert_eq!((intervals.interval(quiet).as_secs_f64(), intervals.spends()), (IDLE * IDLE_PART, false));
    let busy = counted(&mut intervals, 600.0, 9000);
    assert_eq!(intervals.interval(busy), BOUNDS.every);
    intervals.spread(Some(100.0), BudgetUse::Bound);
    assert!(intervals.spends() && intervals.interval(busy) > BOUNDS.every);
    assert!((99.0..=100.0).contains(&polls(&intervals)));
}

#[test]
fn what_is_learnt_moves_a_feed_to_another_class_and_the_others_stay() {
    let mut intervals = Intervals::default();
    let classes = [intervals.join(BOUNDS), intervals.join(BOUNDS)];
    let mut rate = FactRate::default();
    let busy = Brought { facts: 600, covered: Duration::from_secs(600), calls: 1 };
    let learned = intervals.learn(classes[0], &mut rate, busy);
    assert!(learned.class > classes[0].class);
    assert_eq!((*intervals.feeds(learned), *intervals.feeds(classes[1])), (1, 1));
    intervals.leave(learned);
    assert_eq!(*intervals.feeds(learned), 0);
}

proptest::proptest! {
    #[test]
    fn intervals_keep_their_bounds_fall_with_the_rate_and_use_the_budget(
        feeds in proptest::collection::vec((1u32..5_000_000, 0u32..10_000), 1..30), part in 0.07f64..1.0,
    ) {
        let mut intervals = Intervals::default();
        let mut classes: Vec<_> =
            feeds.iter().map(|(seconds, feeds)| counted(&mut intervals, *seconds as f32, *feeds)).collect();
        let all: u32 = feeds.iter().map(|(_, feeds)| feeds).sum();
        let budget = part * f64::from(all.max(1)) / EVERY;
        intervals.spread(Some(budget), BudgetUse::Spend);
        classes.sort_by_key(|class| std::cmp::Reverse(class.class));
        let found: Vec<_> = classes.iter().map(|class| intervals.interval(*class)).collect();
        proptest::prop_assert!(found.is_sorted(), "{found:?}");
        proptest::prop_assert!(found.iter().all(|interval| (BOUNDS.every..=BOUNDS.idle_every).contains(interval)));
        let polls = polls(&intervals);
        proptest::prop_assert!(polls <= budget * 1.0001 || intervals.shortage().is_some(), "{polls} of {budget}");
        let spends = polls >= budget * 0.999 || found.iter().all(|interval| *interval == BOUNDS.every);
        proptest::prop_assert!(spends || all == 0, "{polls} of {budget}");
    }
}
