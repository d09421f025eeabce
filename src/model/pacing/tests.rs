use super::*;
use crate::model::cursor::first_open_day;
use crate::model::scope::Completion;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const NOON: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing
const SETTINGS: PollSettings =
    PollSettings { every: Duration::from_secs(60), idle_every: Duration::from_secs(900), lateness: 600 };
const ORDERS: PollSettings = PollSettings { lateness: 12 * HOUR, ..SETTINGS };

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The turn that comes as often as facts do, from `clock` on.
fn usual(clock: Duration) -> PollTurn {
    PollTurn::Usual { since: clock, earliest: clock, latest: Duration::MAX }
}

/// The same, but for another day that is due then.
fn usual_until(clock: Duration, latest: Duration) -> PollTurn {
    PollTurn::Usual { since: clock, earliest: clock, latest }
}

fn pulled(scope: Scope) -> Pulled {
    Pulled { scope, completion: reached(NOON.minus(600)), as_of: NOON, pages: 1, rows: 1, shown: 1, kept: 0 }
}

/// The cursor stands there, and no day has closed.
fn reached(reached: UnixTime) -> Completion {
    Completion { reached, settles: false }
}

fn failed(scope: Scope, remedy: PollRemedy) -> Failed {
    Failed { scope, as_of: NOON, remedy }
}

/// Orders whose first open day is `days` before today.
fn orders_behind(days: i64) -> Pacing {
    let first = Day::in_beijing(NOON.minus(days * DAY)).beijing_start();
    Pacing::new(Cursor { start: first, complete_before: first, polled: true, history_seen: false })
}

/// Asks for orders at noon, has them read, and tells the day that was asked for; nothing where it was no single day.
fn read_orders(pacing: &mut Pacing, clock: Duration) -> Option<Day> {
    let scope = pacing.scope(Feed::Orders, ORDERS, NOON);
    let completion = scope.completes(pacing.complete_before(), ORDERS.lateness, NOON);
    pacing.after(Pulled { completion, ..pulled(scope) }, ORDERS, clock);
    match scope {
        Scope::Day { day, .. } => Some(day),
        _ => None,
    }
}

/// Polls at these times of touches that show so many rows, of which the cursor passes some; tells what each brought.
fn brought(pacing: &mut Pacing, polls: &[(i64, u64, u64)]) -> Vec<(u64, u64)> {
    let mut learnt = Vec::new();
    for (seconds, shown, kept) in polls {
        let now = NOON.plus(*seconds);
        let scope = pacing.scope(Feed::Touches, SETTINGS, now);
        let completion = scope.completes(pacing.complete_before(), 600, now);
        let pulled = Pulled { scope, completion, as_of: now, pages: 1, rows: *shown, shown: *shown, kept: *kept };
        let brought = pacing.after(pulled, SETTINGS, at(0)).brought.unwrap();
        learnt.push((brought.facts, brought.covered.as_secs()));
    }
    learnt
}

#[test]
fn what_a_pull_shows_again_is_nothing_new() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(600)));
    let polls = [(0, 3, 3), (60, 3, 2), (120, 4, 4), (900, 4, 0), (960, 1, 1)];
    assert_eq!(brought(&mut pacing, &polls), [(3, 600), (0, 60), (2, 60), (0, 780), (1, 60)]);
}

#[test]
fn a_slice_of_a_backfill_tells_the_rate_of_its_own_time() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(100 * HOUR)));
    assert_eq!(brought(&mut pacing, &[(0, 48, 0)]), [(48, 24 * 3600)]);
}

#[test]
fn the_history_of_refunds_tells_no_rate_and_other_days_than_today_neither() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Refunds, NOON));
    let mut refunds = |shown, as_of| {
        let pulled = Pulled { shown, kept: 0, as_of, ..pulled(Scope::Refunds) };
        let brought = pacing.after(pulled, SETTINGS, at(0)).brought.unwrap();
        (brought.facts, brought.covered.as_secs())
    };
    assert_eq!([refunds(500, NOON), refunds(502, NOON.plus(HOUR))], [(0, 0), (2, 3600)]);
    let yesterday = Scope::day(Day::in_beijing(NOON).previous());
    assert_eq!(orders_behind(1).after(pulled(yesterday), ORDERS, at(0)).brought, None);
}

#[test]
fn slices_of_a_backfill_follow_each_other_without_a_pause_and_adapt() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(1000 * HOUR)));
    let mut widths = Vec::new();
    for pages in [1, 3, 1] {
        let scope = pacing.scope(Feed::Touches, SETTINGS, NOON);
        let Scope::Window { begin, end, .. } = scope else { panic!("{scope:?}") };
        widths.push((end.0 - begin.0) / i64::from(windows::SLICE_FIRST));
        let pulled = Pulled { completion: reached(end), pages, ..pulled(scope) };
        assert_eq!(pacing.after(pulled, SETTINGS, at(5)).turn, PollTurn::At(at(5)));
    }
    assert_eq!(widths, [1, 2, 1]);
}

#[test]
fn of_the_open_days_today_is_read_often_and_the_others_at_the_idle_pace() {
    let today = Day::in_beijing(NOON);
    let yesterday = today.previous();
    let mut pacing = orders_behind(1);
    let stays = |day| Pulled { completion: reached(UnixTime(0)), ..pulled(Scope::day(day)) };
    let scope = |pacing: &Pacing| pacing.scope(Feed::Orders, ORDERS, NOON);
    assert_eq!(scope(&pacing), Scope::day(yesterday));
    assert_eq!(pacing.after(stays(yesterday), ORDERS, at(10)).turn, PollTurn::At(at(10)));
    assert_eq!(scope(&pacing), Scope::day(today));
    assert_eq!(pacing.after(stays(today), ORDERS, at(11)).turn, usual_until(at(11), at(910)));
    assert_eq!(scope(&pacing), Scope::day(today));
    assert_eq!(pacing.after(stays(today), ORDERS, at(900)).turn, usual_until(at(900), at(910)));
    assert_eq!(scope(&pacing), Scope::day(yesterday));
    let turn = PollTurn::Usual { since: at(900), earliest: at(911), latest: at(1811) };
    assert_eq!(pacing.after(stays(yesterday), ORDERS, at(911)).turn, turn, "counted from when today was read");
}

#[test]
fn a_day_that_always_fails_waits_its_turn_and_the_cursor_passes_the_closed_ones_when_it_is_read() {
    let today = Day::in_beijing(NOON);
    let mut pacing = orders_behind(5);
    let bad = first_open_day(pacing.complete_before());
    let turn =
        pacing.after_failure(failed(pacing.scope(Feed::Orders, ORDERS, NOON), PollRemedy::SmallerRequest), at(1));
    assert_eq!(turn, usual(at(1)), "the others are due, but a failure is followed by a pause");
    let read: Vec<_> = (0..5).filter_map(|_| read_orders(&mut pacing, at(61))).collect();
    assert_eq!(read, (1..=5).rev().map(|back| Day::in_beijing(NOON.minus((back - 1) * DAY))).collect::<Vec<_>>());
    assert_eq!(first_open_day(pacing.complete_before()), bad);
    assert_eq!(pacing.scope(Feed::Orders, ORDERS, NOON), Scope::day(today), "closed days are not read again");
    assert_eq!(pacing.after_failure(failed(Scope::day(today), PollRemedy::Time), at(900)), usual(at(900)));
    assert_eq!(read_orders(&mut pacing, at(1000)), Some(bad));
    assert_eq!(first_open_day(pacing.complete_before()), today.previous(), "the first day that has not closed");
}

#[test]
fn many_open_days_are_one_pull_without_a_date_until_that_has_failed_twice() {
    let mut pacing = orders_behind(40);
    let undated = Scope::History { until: Day::in_beijing(NOON).previous() };
    for remedy in [PollRemedy::SmallerRequest, PollRemedy::Time, PollRemedy::Time, PollRemedy::SmallerRequest] {
        assert_eq!(pacing.scope(Feed::Orders, ORDERS, NOON), undated);
        pacing.after_failure(failed(undated, remedy), at(0));
    }
    let read: Vec<_> = (0..40).filter_map(|_| read_orders(&mut pacing, at(1))).collect();
    assert_eq!(read.len(), 40);
    assert!(read.is_sorted(), "the oldest first");
    assert_eq!(first_open_day(pacing.complete_before()), Day::in_beijing(NOON).previous());
}

/// Years of days one by one are thousands of calls, and what was in the way of one that asks for all may have lasted two seconds.
#[test]
fn years_of_days_are_not_read_one_by_one_for_two_failures_that_have_passed() {
    let mut pacing = orders_behind(1700);
    let is_undated = |pacing: &Pacing| matches!(pacing.scope(Feed::Orders, ORDERS, NOON), Scope::History { .. });
    let fails = |pacing: &mut Pacing, times| {
        for _ in 0..times {
            assert!(is_undated(pacing));
            pacing.after_failure(failed(pacing.scope(Feed::Orders, ORDERS, NOON), PollRemedy::SmallerRequest), at(0));
        }
    };
    let days = |pacing: &mut Pacing| {
        let next = |_| if is_undated(pacing) { None } else { read_orders(pacing, at(1)) };
        (0..1700).map_while(next).count()
    };
    fails(&mut pacing, 2);
    assert_eq!(days(&mut pacing), 64);
    // Where it stays so, one more try costs as many days each time as were read before.
    let rows = [(); 3].map(|()| {
        fails(&mut pacing, 1);
        days(&mut pacing)
    });
    assert_eq!(rows, [128, 256, 512]);
    let undated = pacing.scope(Feed::Orders, ORDERS, NOON);
    let completion = undated.completes(pacing.complete_before(), ORDERS.lateness, NOON);
    pacing.after(Pulled { completion, ..pulled(undated) }, ORDERS, at(2));
    assert_eq!(first_open_day(pacing.complete_before()), Day::in_beijing(NOON).previous());
}

#[test]
fn where_all_orders_were_cut_short_the_cursor_goes_on_from_a_day_that_was_read_before() {
    let mut pacing = orders_behind(40);
    let today = Day::in_beijing(NOON);
    let undated = pacing.scope(Feed::Orders, ORDERS, NOON);
    for _ in 0..2 {
        pacing.after_failure(failed(undated, PollRemedy::SmallerRequest), at(0));
    }
    let bad = first_open_day(pacing.complete_before());
    pacing.after_failure(failed(Scope::day(bad), PollRemedy::Time), at(1));
    assert_eq!((0..40).filter_map(|_| read_orders(&mut pacing, at(2))).count(), 40);
    assert_eq!(first_open_day(pacing.complete_before()), bad, "all others were read");
    let closed = bad.next().next();
    let cut = Scope::History { until: closed };
    let completion = cut.completes(pacing.complete_before(), ORDERS.lateness, NOON);
    pacing.after(Pulled { completion, ..pulled(cut) }, ORDERS, at(3));
    assert_eq!(first_open_day(pacing.complete_before()), closed);
    assert_eq!(read_orders(&mut pacing, at(1000)), Some(today));
    assert_eq!(read_orders(&mut pacing, at(1000)), Some(closed));
    assert_eq!(first_open_day(pacing.complete_before()), today.previous());
}

#[test]
fn a_window_that_is_too_much_is_halved_and_time_heals_the_rest() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(1000 * HOUR)));
    let width = |pacing: &Pacing| match pacing.scope(Feed::Touches, SETTINGS, NOON) {
        Scope::Window { begin, end, .. } => end.0 - begin.0,
        other => panic!("{other:?}"),
    };
    let before = width(&pacing);
    let fail = |pacing: &mut Pacing, remedy| {
        pacing.after_failure(failed(pacing.scope(Feed::Touches, SETTINGS, NOON), remedy), at(0))
    };
    assert_eq!(fail(&mut pacing, PollRemedy::Time), usual(at(0)));
    assert_eq!(width(&pacing), before);
    fail(&mut pacing, PollRemedy::SmallerRequest);
    assert_eq!(width(&pacing), before / 2);
}

#[test]
fn what_is_put_off_again_and_again_is_asked_for_less_and_an_answer_begins_that_anew() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(8 * HOUR)));
    let mut widths = |failures: usize| {
        let scope = pacing.scope(Feed::Touches, SETTINGS, NOON);
        for _ in 0..failures {
            pacing.after_failure(failed(scope, PollRemedy::Patience), at(0));
        }
        let Scope::Window { begin, end, .. } = pacing.scope(Feed::Touches, SETTINGS, NOON) else { panic!("{scope:?}") };
        pacing.after(Pulled { completion: reached(begin), ..pulled(scope) }, SETTINGS, at(0));
        (end.0 - begin.0) / HOUR
    };
    assert_eq!([widths(3), widths(3), widths(4)], [8, 8, 4]);
}

#[test]
fn the_open_days_are_read_once_each_of_them_was_read_to_its_end() {
    let mut pacing = orders_behind(2);
    let scope = |pacing: &Pacing| pacing.scope(Feed::Orders, ORDERS, NOON);
    let reads_the_rest = |pacing: &Pacing| pacing.reads_the_rest(scope(pacing), ORDERS, NOON);
    pacing.after_failure(failed(scope(&pacing), PollRemedy::SmallerRequest), at(1));
    for clock in [2, 3] {
        assert!(!reads_the_rest(&pacing));
        read_orders(&mut pacing, at(clock));
    }
    let (bad, today) = (first_open_day(pacing.complete_before()), Day::in_beijing(NOON));
    assert_eq!(scope(&pacing), Scope::day(today), "its turn has come again, and the other's has not");
    assert!(!reads_the_rest(&pacing));
    read_orders(&mut pacing, at(1000));
    assert_eq!((scope(&pacing), reads_the_rest(&pacing)), (Scope::day(bad), true));
    read_orders(&mut pacing, at(1001));
    assert!(reads_the_rest(&pacing), "whichever is read again");
    assert!(orders_behind(40).reads_the_rest(scope(&orders_behind(40)), ORDERS, NOON), "all of them at once");
}

#[test]
fn refunds_stretch_with_the_pages_they_cost() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Refunds, NOON));
    let mut due = |pages, interval| {
        pacing.after(Pulled { pages, ..pulled(Scope::Refunds) }, SETTINGS, at(0)).turn.due(at(interval))
    };
    assert_eq!([due(4, 60), due(4, 300), due(100, 60), due(1, 2000)], [at(240), at(300), at(900), at(900)]);
}

#[test]
fn what_was_asked_for_before_is_told_as_of_the_latest_pull_of_the_same() {
    let window = Scope::Window { feed: Feed::Touches, begin: NOON.minus(600), end: NOON };
    let mut touches = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(600)));
    let later = NOON.plus(90);
    assert_eq!(touches.asked_before(window, later, at(90)), None, "nobody has");
    touches.after(pulled(window), SETTINGS, at(0));
    assert_eq!(touches.asked_before(window, later, at(90)), Some(NOON));

    let past = |from: i64, to: i64| Scope::Window { feed: Feed::Touches, begin: NOON.minus(from), end: NOON.minus(to) };
    let mut backfill = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(3 * DAY)));
    backfill.after(pulled(past(3 * DAY, 2 * DAY)), SETTINGS, at(0));
    assert_eq!(backfill.asked_before(past(2 * DAY, DAY), later, at(90)), None, "nobody has asked for what is past");

    let today = Day::in_beijing(NOON);
    let [today, yesterday] = [today, today.previous()].map(Scope::day);
    let mut orders = Pacing::new(Cursor::begin(Feed::Orders, NOON.minus(DAY)));
    let read = |orders: &mut Pacing, scope, as_of, clock| {
        let completion = reached(first_open_day(NOON.minus(DAY)).beijing_start());
        orders.after(Pulled { as_of, completion, ..pulled(scope) }, ORDERS, at(clock));
    };
    read(&mut orders, today, NOON, 0);
    assert_eq!(orders.asked_before(yesterday, later, at(90)), None, "today says nothing of it");
    read(&mut orders, yesterday, NOON.plus(10), 10);
    assert_eq!(orders.asked_before(yesterday, later, at(90)), Some(NOON), "as of the present that was read last");
    read(&mut orders, today, NOON.plus(60), 60);
    assert_eq!(orders.asked_before(yesterday, later, at(90)), Some(NOON.plus(10)));
    assert_eq!(orders.asked_before(today, later, at(90)), Some(NOON.plus(60)));
    orders.after_failure(failed(yesterday, PollRemedy::Time), at(80));
    assert_eq!(orders.asked_before(yesterday, later, at(90)), None, "it was asked for in vain");
    assert_eq!(orders.asked_before(Scope::History { until: Day::in_beijing(NOON) }, later, at(90)), None);
}
