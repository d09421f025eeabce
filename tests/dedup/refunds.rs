//! Refunds, whose rows tell their time, or don't, or only later.

use promoter_connector::model::page_facts::RefundsMet;
use promoter_connector::model::pull::{Pull, PullJob};

use super::*;

/// What a page of refunds that has these times publishes: their number; the cursor moves as it does in the field.
fn refunds(state: &mut State, now: UnixTime, times: &[Option<UnixTime>]) -> u64 {
    let rows = times.iter().map(|time| ReadRow { raw: b"{}".as_slice().into(), content: Ok(refund_row(*time)) });
    let mut page_facts = PageFacts::read(&promoter(), Scope::Refunds, now, now.as_millis(), rows.collect());
    let from = state.cursors(&promoter())[Feed::Refunds].unwrap().complete_before;
    page_facts.heads_for = from.max(now.minus(7 * DAY));
    page_facts.advance = Some(Advance { from, to: page_facts.heads_for, refunds: None });
    state.take(page_facts, &mut Batch::default()).published
}

/// A refund of an order that was paid ten days before noon.
fn refund_row(time: Option<UnixTime>) -> Row {
    let ReadRow { content: Ok(Row::Order(touch, payment)), .. } = order_row(NOON.minus(10 * DAY), Some(NOON)) else {
        panic!("an order is one");
    };
    Row::Order(touch, Payment { refunded_time: time, ..payment })
}

/// Refunds that were polled once, when there were none.
fn refunds_polled_once(start: UnixTime) -> State {
    let mut state = begun(start);
    refunds(&mut state, NOON.minus(60), &[]);
    state
}

#[test]
fn a_refund_without_its_time_is_published_when_first_seen_and_never_again_however_long_it_is_shown() {
    let mut state = refunds_polled_once(NOON.minus(DAY));
    let published: Vec<_> = (0..400).map(|n| refunds(&mut state, NOON.plus(n * 6 * 3600), &[None])).collect();
    assert_eq!((published[0], published.iter().sum::<u64>()), (1, 1));
    assert!(state.chunks() < 5, "renewed now and then, not with every pull: {} chunks", state.chunks());
    // Its time is told after three months: long behind by then, or just now.
    let now = NOON.plus(101 * DAY);
    assert_eq!(refunds(&mut state, now, &[Some(NOON)]), 0);
    assert_eq!(refunds(&mut state, now, &[Some(now.minus(1))]), 1, "a second time is another refund");
}

#[test]
fn a_refund_without_its_time_carries_the_moment_it_was_observed() {
    let mut state = refunds_polled_once(NOON.minus(DAY));
    let rows = vec![ReadRow { raw: b"{}".as_slice().into(), content: Ok(refund_row(None)) }];
    let page_facts = PageFacts::read(&promoter(), Scope::Refunds, NOON, NOON.as_millis(), rows);
    let mut batch = Batch::default();
    state.take(page_facts, &mut batch);
    assert_eq!(batch.events[0].fact.time, NOON);
}

#[test]
fn of_what_the_first_pull_of_refunds_shows_without_a_time_the_payment_says_whether_it_is_history() {
    for (start, published) in [(NOON.minus(9 * DAY), 0), (NOON.minus(11 * DAY), 1)] {
        let mut state = begun(start);
        assert_eq!(refunds(&mut state, NOON, &[None]), published);
        // History stays history, after a long time and when its time is told.
        assert_eq!((1..100).map(|day| refunds(&mut state, NOON.plus(day * DAY), &[None])).sum::<u64>(), 0);
        assert_eq!(refunds(&mut state, NOON.plus(100 * DAY), &[Some(NOON.plus(99 * DAY))]), 0);
        assert_eq!(refunds(&mut state, NOON.plus(101 * DAY), &[Some(NOON.plus(100 * DAY))]), 1);
    }
}

#[test]
fn as_many_refunds_of_an_order_are_published_as_there_are_whenever_their_times_are_told() {
    let (a, b, c) = (Some(NOON.plus(1)), Some(NOON.plus(2)), Some(NOON.plus(3)));
    // What each page shows, and how many events come of all.
    let histories: &[(&[&[Option<UnixTime>]], u64)] = &[
        (&[&[None], &[a]], 1),
        (&[&[a], &[None], &[a]], 1),
        (&[&[None], &[a], &[a, b]], 2),
        (&[&[None], &[None, b], &[a, b]], 2),
        (&[&[None, b], &[a, b]], 2),
        (&[&[a], &[a, None], &[a, b]], 2),
        (&[&[None], &[b, a], &[a, b]], 2),
        (&[&[None], &[b], &[b, a]], 2),
        (&[&[a, b, c]], 3),
        (&[&[None], &[None, b, c], &[b, c], &[a, b, c]], 3),
    ];
    for (pages, published) in histories {
        let mut state = refunds_polled_once(NOON.minus(DAY));
        let moments = (0..).map(|n| NOON.plus(60 + n * 3600));
        let all: u64 = pages.iter().zip(moments).map(|(page, now)| refunds(&mut state, now, page)).sum();
        assert_eq!(all, *published, "{pages:?}");
    }
}

#[test]
fn a_refund_with_a_time_that_is_not_shown_just_now_is_still_the_same_however_long_it_was_shown() {
    let (start, late) = (NOON.minus(DAY), NOON.minus(9 * DAY));
    // Published, from before the start, and met too late.
    for (time, started, published) in [(NOON, start, 1), (NOON.minus(2 * DAY), start, 0), (late, late, 0)] {
        for days in [6, 8, 100] {
            let mut state = refunds_polled_once(started);
            let all: u64 = (0..4 * days).map(|n| refunds(&mut state, NOON.plus(n * 6 * 3600), &[Some(time)])).sum();
            let now = NOON.plus(days * DAY);
            let without = refunds(&mut state, now, &[None]);
            let again = refunds(&mut state, now.plus(3600), &[Some(time)]);
            assert_eq!((all, without, again), (published, 0, 0), "{time} since {started}, {days} days");
            assert!(state.chunks() < 5, "renewed now and then, not with every pull: {} chunks", state.chunks());
            let second = now.plus(2 * 3600);
            assert_eq!(refunds(&mut state, second, &[Some(time), Some(second.minus(60))]), 1, "a second one");
        }
    }
}

/// As where the first pull of refunds did not end before they were left to orders again.
#[test]
fn a_pull_of_orders_does_not_end_the_first_pull_of_refunds() {
    for ends_own in [false, true] {
        let mut state = begun(NOON.minus(9 * DAY));
        if ends_own {
            refunds(&mut state, NOON, &[]);
        }
        let mut page_facts =
            PageFacts::read(&promoter(), Scope::day(Day::in_beijing(NOON)), NOON, UnixMillis(0), vec![]);
        let from = state.cursors(&promoter())[Feed::Orders].unwrap().complete_before;
        let to = from.plus(DAY);
        let met = RefundsMet { to: NOON.minus(366 * DAY), ends_history: true };
        page_facts.advance = Some(Advance { from, to, refunds: Some(met) });
        state.take(page_facts, &mut Batch::default());
        // Paid ten days ago: history for a first pull.
        assert_eq!(refunds(&mut state, NOON, &[None]), u64::from(ends_own));
    }
}

/// A page of refunds, by trade number and time, in the pull of all of them.
fn page(pull: &mut Pull, state: &mut State, rows: &[(&str, Option<UnixTime>)], goes_on: bool) -> u64 {
    let row = |(trade_no, time): &(&str, Option<UnixTime>)| {
        let Row::Order(touch, payment) = refund_row(*time) else { panic!("an order is one") };
        let payment = Payment { trade_no: (*trade_no).into(), ..payment };
        ReadRow { raw: b"{}".as_slice().into(), content: Ok(Row::Order(touch, payment)) }
    };
    let (total, start_id) = if goes_on { (1000, Some("next".to_owned())) } else { (rows.len() as i64, None) };
    let taken = pull.take_page(rows.iter().map(row).collect(), Some(total), start_id, NOON.as_millis());
    taken.step.unwrap();
    state.take(taken.page_facts, &mut Batch::default()).published
}

/// With its time one takes another place among the rows, and one that was behind it is missed.
#[test]
fn a_refund_that_is_told_its_time_between_two_pages_shows_that_rows_have_moved() {
    let mut state = begun(NOON.minus(40 * DAY));
    let pull = |state: &State| {
        let complete_before = state.cursors(&promoter())[Feed::Refunds].unwrap().complete_before;
        let lateness = 7 * DAY;
        let job = PullJob { promoter: promoter(), scope: Scope::Refunds, complete_before, lateness, refunds: None };
        Pull::new(job, NOON)
    };
    let old = |days: i64| Some(NOON.minus(days * DAY));
    for told_later in [true, false] {
        let mut first = pull(&state);
        let [before, after] = if told_later { [None, old(20)] } else { [old(20), None] };
        let mut published = page(&mut first, &mut state, &[("a", old(30)), ("x", before)], true);
        // Here "y" has moved to the first page meanwhile.
        published += page(&mut first, &mut state, &[("z", old(25)), ("x", after)], false);
        assert_eq!(first.next_request().start_id, None);
        published += page(&mut first, &mut state, &[("a", old(30)), ("y", old(29))], true);
        published += page(&mut first, &mut state, &[("z", old(25)), ("x", after)], false);
        assert_eq!(published, 4);
        state = begun(NOON.minus(40 * DAY));
    }
}

#[test]
fn two_refunds_of_an_order_on_two_pages_have_not_moved() {
    let mut state = begun(NOON.minus(40 * DAY));
    let complete_before = state.cursors(&promoter())[Feed::Refunds].unwrap().complete_before;
    let job =
        PullJob { promoter: promoter(), scope: Scope::Refunds, complete_before, lateness: 7 * DAY, refunds: None };
    let mut pull = Pull::new(job, NOON);
    let old = |days: i64| Some(NOON.minus(days * DAY));
    assert_eq!(page(&mut pull, &mut state, &[("x", old(30))], true), 1);
    assert_eq!(page(&mut pull, &mut state, &[("x", old(20))], false), 1);
    assert_eq!(state.cursors(&promoter())[Feed::Refunds].unwrap().complete_before, NOON.minus(7 * DAY));
}

/// As after a restart of a host whose clock has lost its battery: what it observes lies behind every cursor.
#[test]
fn a_refund_without_its_time_is_published_once_by_a_host_whose_clock_is_behind_its_cursors() {
    let mut state = refunds_polled_once(NOON);
    refunds(&mut state, NOON.plus(20 * DAY), &[]);
    let set_back = |n: i64| NOON.plus(n * 3600);
    assert_eq!((0..24).map(|n| refunds(&mut state, set_back(n), &[None])).sum::<u64>(), 1);
    let set_right = |n: i64| NOON.plus((21 + n) * DAY);
    assert_eq!((0..24).map(|n| refunds(&mut state, set_right(n), &[None])).sum::<u64>(), 0);
}

/// As where refunds could not be read to their end for a while, and orders have met one meanwhile.
#[test]
fn what_stays_in_view_is_remembered_over_a_leap_of_the_cursor() {
    for first_met in 1..20 {
        let mut state = refunds_polled_once(NOON.minus(DAY));
        let row = || vec![ReadRow { raw: b"{}".as_slice().into(), content: Ok(refund_row(None)) }];
        let met = NOON.plus(first_met * DAY);
        let page_facts = PageFacts::read(&promoter(), Scope::Refunds, met, met.as_millis(), row());
        assert_eq!(state.take(page_facts, &mut Batch::default()).published, 1);
        let again = (20..60).map(|day| refunds(&mut state, NOON.plus(day * DAY), &[None])).sum::<u64>();
        assert_eq!(again, 0, "first met on day {first_met}");
    }
}

#[test]
fn a_forgotten_refund_is_not_taken_for_the_time_of_another_one_of_its_order() {
    let mut state = refunds_polled_once(NOON.minus(DAY));
    let (a, later) = (Some(NOON.plus(1)), NOON.plus(20 * DAY));
    assert_eq!(refunds(&mut state, NOON.plus(60), &[a]), 1);
    refunds(&mut state, later.minus(3600), &[a]);
    assert_eq!(refunds(&mut state, later.plus(60), &[a, None]), 1, "a second refund, whose time is not told yet");
    assert_eq!(refunds(&mut state, later.plus(3600), &[a, Some(later)]), 0, "now it is");
    assert_eq!(refunds(&mut state, later.plus(2 * 3600), &[a, Some(later), Some(later.plus(3601))]), 1, "a third one");
}

/// The lateness is a second, and the host's clock goes back by ten while the pull is under way.
#[test]
fn what_is_observed_behind_where_the_pull_ends_is_published_once() {
    for status_code in [2, 3] {
        let mut state = begun(NOON.minus(DAY));
        let mut published = 0;
        let row = || {
            let mut row = order_row(NOON.minus(3600), None);
            if let Ok(Row::Order(_, payment)) = &mut row.content {
                payment.status_code = status_code;
            }
            row
        };
        for (as_of, observed_at) in [(-60, -59), (0, -10), (60, 60), (120, 120)] {
            let as_of = NOON.plus(as_of);
            let rows = if as_of < NOON { vec![] } else { vec![row()] };
            let observed_at = NOON.plus(observed_at).as_millis();
            let mut page = PageFacts::read(&promoter(), Scope::Refunds, as_of, observed_at, rows);
            let from = state.cursors(&promoter())[Feed::Refunds].unwrap().complete_before;
            page.heads_for = as_of.minus(1);
            page.advance = Some(Advance { from, to: as_of.minus(1), refunds: None });
            published += state.take(page, &mut Batch::default()).published;
        }
        assert_eq!(published, 1, "status {status_code}");
    }
}
