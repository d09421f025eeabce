use super::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const NOON: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing
const SETTINGS: PollSettings =
    PollSettings { every: Duration::from_secs(60), idle_every: Duration::from_secs(900), lateness: 600 };
const ORDERS: PollSettings = PollSettings { lateness: 12 * HOUR, ..SETTINGS };

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn pulled(scope: Scope, digest: u64) -> Pulled {
    Pulled { scope, completion: reached(NOON.minus(600)), as_of: NOON, pages: 1, rows: 1, digest }
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
    Pacing::new(Cursor { start: first, complete_before: first, polled: true, history_seen: false }, ORDERS)
}

/// Asks for orders at noon, has them read, and tells the day that was asked for; nothing where it was no single day.
fn read_orders(pacing: &mut Pacing, clock: Duration) -> Option<Day> {
    let scope = pacing.scope(Feed::Orders, ORDERS, NOON);
    let completion = scope.completes(&pacing.cursor, ORDERS.lateness, NOON);
    pacing.after(Pulled { completion, ..pulled(scope, 1) }, ORDERS, clock);
    match scope {
        Scope::Day { day, .. } => Some(day),
        _ => None,
    }
}

#[test]
fn a_quiet_feed_stretches_to_its_ceiling_and_a_change_brings_it_back() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Touches, NOON), SETTINGS);
    let scope = Scope::Touches { begin: NOON, end: NOON };
    let waits: Vec<_> = (0..6).map(|_| pacing.after(pulled(scope, 7), SETTINGS, at(0)).as_secs()).collect();
    assert_eq!(waits, [60, 120, 240, 480, 900, 900]);
    assert_eq!(pacing.after(pulled(scope, 8), SETTINGS, at(0)).as_secs(), 60);
}

#[test]
fn slices_of_a_backfill_follow_each_other_without_a_pause_and_adapt() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(1000 * HOUR)), SETTINGS);
    let mut widths = Vec::new();
    for pages in [1, 3, 1] {
        let scope = pacing.scope(Feed::Touches, SETTINGS, NOON);
        let Scope::Touches { begin, end } = scope else { panic!("{scope:?}") };
        widths.push((end.0 - begin.0) / windows::SLICE_FIRST);
        assert_eq!(
            pacing.after(Pulled { completion: reached(end), pages, ..pulled(scope, 1) }, SETTINGS, at(5)),
            at(5)
        );
    }
    assert_eq!(widths, [1, 2, 1]);
}

#[test]
fn of_the_open_days_today_is_read_often_and_the_others_at_the_idle_pace() {
    let today = Day::in_beijing(NOON);
    let yesterday = today.previous();
    let mut pacing = orders_behind(1);
    let stays = |day| Pulled { completion: reached(UnixTime(0)), ..pulled(Scope::day(day), 1) };
    let scope = |pacing: &Pacing| pacing.scope(Feed::Orders, ORDERS, NOON);
    assert_eq!(scope(&pacing), Scope::day(yesterday));
    assert_eq!(pacing.after(stays(yesterday), ORDERS, at(10)), at(10));
    assert_eq!(scope(&pacing), Scope::day(today));
    assert_eq!(pacing.after(stays(today), ORDERS, at(11)), at(71));
    assert_eq!(scope(&pacing), Scope::day(today));
    assert_eq!(pacing.after(stays(today), ORDERS, at(900)), at(910));
    assert_eq!(scope(&pacing), Scope::day(yesterday));
}

#[test]
fn a_day_that_always_fails_waits_its_turn_and_the_cursor_passes_the_closed_ones_when_it_is_read() {
    let today = Day::in_beijing(NOON);
    let mut pacing = orders_behind(5);
    let bad = pacing.cursor.first_open_day();
    let due =
        pacing.after_failure(failed(pacing.scope(Feed::Orders, ORDERS, NOON), PollRemedy::AskLess), ORDERS, at(1));
    assert_eq!(due, at(61), "the others are due, but a failure is followed by a pause");
    let read: Vec<_> = (0..5).filter_map(|_| read_orders(&mut pacing, at(61))).collect();
    assert_eq!(read, (1..=5).rev().map(|back| Day::in_beijing(NOON.minus((back - 1) * DAY))).collect::<Vec<_>>());
    assert_eq!(pacing.cursor.first_open_day(), bad);
    assert_eq!(pacing.scope(Feed::Orders, ORDERS, NOON), Scope::day(today), "closed days are not read again");
    assert_eq!(pacing.after_failure(failed(Scope::day(today), PollRemedy::Time), ORDERS, at(900)), at(960));
    assert_eq!(read_orders(&mut pacing, at(1000)), Some(bad));
    assert_eq!(pacing.cursor.first_open_day(), today.previous(), "the first day that has not closed");
}

#[test]
fn many_open_days_are_one_pull_without_a_date_until_that_has_failed_twice() {
    let mut pacing = orders_behind(40);
    let undated = Scope::History { until: Day::in_beijing(NOON).previous() };
    for remedy in [PollRemedy::AskLess, PollRemedy::Time, PollRemedy::Time, PollRemedy::AskLess] {
        assert_eq!(pacing.scope(Feed::Orders, ORDERS, NOON), undated);
        pacing.after_failure(failed(undated, remedy), ORDERS, at(0));
    }
    let read: Vec<_> = (0..40).filter_map(|_| read_orders(&mut pacing, at(1))).collect();
    assert_eq!(read.len(), 40);
    assert!(read.is_sorted(), "the oldest first");
    assert_eq!(pacing.cursor.first_open_day(), Day::in_beijing(NOON).previous());
}

#[test]
fn a_window_that_is_too_much_is_halved_and_time_heals_the_rest() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(1000 * HOUR)), SETTINGS);
    let width = |pacing: &Pacing| match pacing.scope(Feed::Touches, SETTINGS, NOON) {
        Scope::Touches { begin, end } => end.0 - begin.0,
        other => panic!("{other:?}"),
    };
    let before = width(&pacing);
    assert_eq!(
        pacing.after_failure(failed(pacing.scope(Feed::Touches, SETTINGS, NOON), PollRemedy::Time), SETTINGS, at(0)),
        at(60)
    );
    assert_eq!(width(&pacing), before);
    pacing.after_failure(failed(pacing.scope(Feed::Touches, SETTINGS, NOON), PollRemedy::AskLess), SETTINGS, at(0));
    assert_eq!(width(&pacing), before / 2);
}

#[test]
fn what_is_put_off_again_and_again_is_asked_for_less_and_an_answer_begins_that_anew() {
    let mut pacing = Pacing::new(Cursor::begin(Feed::Touches, NOON.minus(8 * HOUR)), SETTINGS);
    let mut widths = |failures: usize| {
        let scope = pacing.scope(Feed::Touches, SETTINGS, NOON);
        for _ in 0..failures {
            pacing.after_failure(failed(scope, PollRemedy::Patience), SETTINGS, at(0));
        }
        let Scope::Touches { begin, end } = pacing.scope(Feed::Touches, SETTINGS, NOON) else { panic!("{scope:?}") };
        pacing.after(Pulled { completion: reached(begin), ..pulled(scope, 1) }, SETTINGS, at(0));
        (end.0 - begin.0) / HOUR
    };
    assert_eq!([widths(3), widths(3), widths(4)], [8, 8, 4]);
}

#[test]
fn the_open_days_are_read_once_each_of_them_was_read_to_its_end() {
    let mut pacing = orders_behind(2);
    let scope = |pacing: &Pacing| pacing.scope(Feed::Orders, ORDERS, NOON);
    let reads_the_rest = |pacing: &Pacing| pacing.reads_the_rest(scope(pacing), ORDERS, NOON);
    pacing.after_failure(failed(scope(&pacing), PollRemedy::AskLess), ORDERS, at(1));
    for clock in [2, 3] {
        assert!(!reads_the_rest(&pacing));
        read_orders(&mut pacing, at(clock));
    }
    let (bad, today) = (pacing.cursor.first_open_day(), Day::in_beijing(NOON));
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
    let mut pacing = Pacing::new(Cursor::begin(Feed::Refunds, NOON), SETTINGS);
    let pages = |pages, digest| Pulled { pages, ..pulled(Scope::Refunds, digest) };
    assert_eq!(pacing.after(pages(4, 1), SETTINGS, at(0)), at(240));
    assert_eq!(pacing.after(pages(100, 2), SETTINGS, at(0)), at(900));
}
