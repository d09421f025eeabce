//! What the memory recognises, what it forgets, and what it writes.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "dedup/forgotten.rs"]
mod forgotten;
#[path = "dedup/refunds.rs"]
mod refunds;
#[path = "dedup/refused.rs"]
mod refused;
#[path = "dedup/rewound.rs"]
mod rewound;

use promoter_connector::model::batch::Batch;
use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::disposition::RowCounts;
use promoter_connector::model::feed::Feed;
use promoter_connector::model::page_facts::{Advance, PageFacts};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::row::{Payment, ReadRow, Row, RowFault, Touch};
use promoter_connector::model::scope::Scope;
use promoter_connector::model::state::State;
use promoter_connector::model::state_record::{StateKey, StateValue};
use promoter_connector::model::time::{Day, UnixMillis, UnixTime};

const NOON: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing
const DAY: i64 = 24 * 3600;

fn promoter() -> Promoter {
    Promoter::from_key("wx1/o1").unwrap()
}

/// A state whose feeds begin at `start`.
fn begun(start: UnixTime) -> State {
    let mut state = State::default();
    let cursors = Feed::ALL.map(|feed| (promoter(), feed, Cursor::begin(feed, start))).to_vec();
    state.begin(cursors, &mut Batch::default());
    state
}

fn touch_row(time: UnixTime) -> ReadRow {
    let touch = Touch { openid: "u".into(), ..Touch::default() };
    ReadRow { raw: b"{}".as_slice().into(), content: Ok(Row::Touch(time, touch)) }
}

fn order_row(paid: UnixTime, refunded: Option<UnixTime>) -> ReadRow {
    let payment = Payment {
        mch_id: "m".into(),
        trade_no: "t".into(),
        out_trade_no: None,
        create_time: None,
        status_code: if refunded.is_some() { 2 } else { 1 },
        paid_amount: 100,
        paid_time: paid,
        refunded_time: refunded,
    };
    ReadRow { raw: b"{}".as_slice().into(), content: Ok(Row::Order(Touch::default(), payment)) }
}

fn dead_row() -> ReadRow {
    let fault = RowFault { reason: "not_json", detail: String::new() };
    ReadRow { raw: b"broken".as_slice().into(), content: Err(fault) }
}

/// One page that ends its pull and moves the cursor to `to`, if given.
fn take(
    state: &mut State,
    scope: Scope,
    as_of: UnixTime,
    rows: Vec<ReadRow>,
    to: Option<UnixTime>,
) -> (RowCounts, Batch) {
    let mut page_facts = PageFacts::read(&promoter(), scope, as_of, UnixMillis(0), rows);
    let from = state.cursors(&promoter())[scope.feed()].unwrap().complete_before;
    page_facts.advance = to.map(|to| Advance { from, to, refunds: None });
    let mut batch = Batch::default();
    let counts = state.take(page_facts, &mut batch);
    (counts, batch)
}

fn window(end: UnixTime) -> Scope {
    Scope::Window { feed: Feed::Touches, begin: end.minus(600), end }
}

#[test]
fn a_fact_is_published_at_its_first_observation_only() {
    let mut state = begun(NOON.minus(600));
    let rows = || vec![touch_row(NOON), touch_row(NOON)];
    let (counts, batch) = take(&mut state, window(NOON), NOON, rows(), None);
    assert_eq!((counts.published, counts.duplicates, batch.events.len()), (1, 1, 1));
    let (counts, batch) = take(&mut state, window(NOON), NOON, rows(), None);
    assert_eq!((counts.published, counts.duplicates), (0, 2));
    assert!(batch.is_empty(), "what is known costs no transaction");
}

#[test]
fn nothing_before_the_start_and_nothing_behind_the_cursor_is_published() {
    let mut state = begun(NOON);
    let (counts, _) = take(&mut state, window(NOON), NOON, vec![touch_row(NOON.minus(1))], Some(NOON.plus(3600)));
    assert_eq!((counts.before_start, counts.published), (1, 0));
    let (counts, _) = take(&mut state, window(NOON), NOON, vec![touch_row(NOON.plus(3599))], None);
    assert_eq!((counts.behind_cursor, counts.published), (1, 0));
}

#[test]
fn an_order_shown_under_two_dates_is_one_even_after_the_first_date_has_closed() {
    let mut state = begun(NOON.minus(2 * DAY));
    let today = Day::in_beijing(NOON);
    let yesterday = today.previous();
    let row = || vec![order_row(NOON.minus(DAY), None)];
    let close = |day: Day| Some(day.beijing_end());
    take(&mut state, Scope::day(yesterday.previous()), NOON, vec![], close(yesterday.previous().previous()));
    take(&mut state, Scope::day(yesterday.previous()), NOON, vec![], close(yesterday.previous()));
    assert_eq!(take(&mut state, Scope::day(yesterday), NOON, row(), None).0.published, 1);
    assert_eq!(take(&mut state, Scope::day(today), NOON, row(), None).0.duplicates, 1);
    take(&mut state, Scope::day(yesterday), NOON, row(), close(yesterday));
    let (counts, _) = take(&mut state, Scope::day(today), NOON, row(), None);
    assert_eq!((counts.duplicates, counts.published), (1, 0));
}

#[test]
fn an_order_that_stands_twice_in_an_undated_pull_is_remembered_by_its_later_date() {
    let mut state = begun(NOON.minus(40 * DAY));
    let today = Day::in_beijing(NOON);
    let (early, late) = (NOON.minus(5 * DAY), NOON.minus(3600));
    let history = Scope::History { until: today.previous() };
    let rows = vec![order_row(early, None), order_row(late, None)];
    let to = Some(today.previous().beijing_start());
    assert_eq!(take(&mut state, history, NOON, rows, to).0.published, 1);
    let (counts, _) = take(&mut state, Scope::day(today), NOON, vec![order_row(late, None)], None);
    assert_eq!((counts.duplicates, counts.published), (1, 0));
}

#[test]
fn an_order_at_the_boundary_of_an_undated_pull_is_one_whichever_neighbour_of_its_day_lists_it() {
    for zone_offset in [-1, 0, 1] {
        let mut state = begun(NOON.minus(40 * DAY));
        let until = Day::in_beijing(NOON).previous();
        // The second before midnight.
        let row = || vec![order_row(until.beijing_start().minus(1), None)];
        let to = until.beijing_start();
        assert_eq!(take(&mut state, Scope::History { until }, NOON, row(), Some(to)).0.published, 1);
        let date = Day::in_beijing(NOON.minus((2 - zone_offset) * DAY));
        let (counts, _) = take(&mut state, Scope::day(date), NOON, row(), None);
        assert_eq!((counts.duplicates, counts.published), (1, 0), "{zone_offset}");
    }
}

#[test]
fn an_undated_pull_knows_what_a_dated_one_has_published_under_any_date() {
    for zone_offset in [-1, 0, 1] {
        let mut state = begun(NOON.minus(3 * DAY));
        let paid = NOON.minus(2 * DAY);
        let day = |offset: i64| Day::in_beijing(paid.plus(offset * DAY));
        let row = || vec![order_row(paid, None)];
        assert_eq!(take(&mut state, Scope::day(day(zone_offset)), NOON, row(), None).0.published, 1);
        for closed in -1..=3 {
            let to = Some(day(closed).beijing_end());
            take(&mut state, Scope::day(day(closed)), NOON, vec![], to);
            let (counts, _) = take(&mut state, Scope::History { until: day(4) }, NOON, row(), None);
            assert_eq!(counts.published, 0, "listed under {zone_offset}, closed up to {closed}");
        }
    }
}

#[test]
fn a_row_with_a_refund_is_a_payment_and_a_refund_and_both_feeds_know_the_refund() {
    let mut state = begun(NOON.minus(DAY));
    let rows = || vec![order_row(NOON.minus(60), Some(NOON))];
    let (counts, batch) = take(&mut state, Scope::day(Day::in_beijing(NOON)), NOON, rows(), None);
    assert_eq!(counts.published, 2);
    assert!(batch.events[0].fact.time < batch.events[1].fact.time);
    assert_eq!(take(&mut state, Scope::Refunds, NOON, rows(), None).0.duplicates, 1);
}

#[test]
fn the_bytes_of_an_unreadable_row_go_once_whichever_feed_meets_them_and_however_long_it_is_shown() {
    let mut state = begun(NOON.minus(DAY));
    let today = Scope::day(Day::in_beijing(NOON));
    assert_eq!(take(&mut state, today, NOON, vec![dead_row()], None).0.dead_lettered, 1);
    let lateness = 7 * DAY;
    for hour in 0..1000 {
        let now = NOON.plus(hour * 3600);
        let (counts, _) = take(&mut state, Scope::Refunds, now, vec![dead_row()], Some(now.minus(lateness)));
        assert_eq!((counts.dead_lettered, counts.duplicates), (0, 1), "after {hour} hours");
    }
    // Renewed every few days, not with every pull.
    assert!(state.chunks() < 5, "{} chunks", state.chunks());
}

#[test]
fn an_advance_that_was_built_on_another_cursor_moves_nothing() {
    let mut state = begun(NOON);
    let mut page_facts = PageFacts::read(&promoter(), window(NOON), NOON, UnixMillis(0), vec![]);
    page_facts.advance = Some(Advance { from: NOON.minus(1), to: NOON.plus(DAY), refunds: None });
    state.take(page_facts, &mut Batch::default());
    assert_eq!(state.cursors(&promoter())[Feed::Touches].unwrap().complete_before, NOON);
}

#[test]
fn a_cursor_that_moves_in_silence_is_written_once_an_hour() {
    let mut state = begun(NOON);
    let writes: usize = (1..=240)
        .map(|minute| {
            let to = NOON.plus(minute * 60);
            take(&mut state, window(to), to, vec![], Some(to)).1.state.len()
        })
        .sum();
    assert_eq!(writes, 4);
}

#[test]
fn a_chunk_is_tombstoned_only_together_with_the_cursor_that_has_passed_it() {
    let mut state = begun(NOON.minus(600));
    take(&mut state, window(NOON), NOON, vec![touch_row(NOON)], None);
    assert_eq!((state.remembered(), state.chunks()), (1, 1));
    let (_, batch) = take(&mut state, window(NOON), NOON, vec![], Some(NOON.plus(3600)));
    let seen = StateKey::Seen(promoter(), Feed::Touches, 0);
    assert!(batch.state.iter().any(|record| record.key == seen && record.value.is_none()));
    let cursor = |record: &&promoter_connector::model::state_record::StateRecord| matches!(record.value, Some(StateValue::Cursor(cursor)) if cursor.complete_before == NOON.plus(3600));
    assert!(batch.state.iter().find(cursor).is_some());
    assert_eq!((state.remembered(), state.chunks()), (0, 0));
}

#[test]
fn refunds_that_are_polled_later_have_their_own_start_and_come_once_where_orders_have_met_them() {
    let mut state = State::default();
    let first = vec![
        (promoter(), Feed::Orders, Cursor::begin(Feed::Orders, NOON.minus(30 * DAY))),
        (promoter(), Feed::Refunds, Cursor::memory(NOON.minus(30 * DAY))),
    ];
    state.begin(first, &mut Batch::default());
    let met = || order_row(NOON.minus(60), Some(NOON));
    assert_eq!(take(&mut state, Scope::day(Day::in_beijing(NOON)), NOON, vec![met()], None).0.published, 2);

    let mut batch = Batch::default();
    let start = NOON.minus(40 * DAY);
    let memory = state.cursors(&promoter())[Feed::Refunds].unwrap();
    let polled = Cursor::begin_with(memory, Feed::Refunds, start);
    state.begin(vec![(promoter(), Feed::Refunds, polled)], &mut batch);
    assert_eq!(batch.state.len(), 1, "the first cursor is written");
    let refund = |days: i64| order_row(NOON.minus(60 * DAY), Some(NOON.minus(days * DAY)));
    let rows = vec![refund(41), refund(39), refund(20), met()];
    let (counts, _) = take(&mut state, Scope::Refunds, NOON, rows, Some(NOON.minus(7 * DAY)));
    assert_eq!((counts.before_start, counts.published, counts.duplicates), (1, 2, 1));
}

#[test]
fn a_first_cursor_that_exists_already_stays() {
    let mut state = begun(NOON);
    let mut batch = Batch::default();
    let later = Cursor::begin(Feed::Touches, NOON.plus(DAY));
    state.begin(vec![(promoter(), Feed::Touches, later)], &mut batch);
    assert!(batch.is_empty());
    assert_eq!(state.cursors(&promoter())[Feed::Touches].unwrap().start, NOON);
}
