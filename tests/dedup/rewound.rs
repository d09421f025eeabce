//! What a cursor that goes back has published again, and what not.

use promoter_connector::model::rewind::{Rewind, RewindId};

use super::*;

fn rewind(id: u128, to: UnixTime, republish: bool) -> Rewind {
    Rewind { id: RewindId(id), to, republish }
}

fn rewound(state: &mut State, feed: Feed, rewind: Rewind) -> Batch {
    let mut batch = Batch::default();
    state.rewind(promoter(), feed, rewind, &mut batch);
    batch
}

fn cursor(state: &State, feed: Feed) -> Cursor {
    state.cursors(&promoter())[feed].unwrap()
}

/// Touches that happened so many seconds before noon.
fn touches(before: &[i64]) -> Vec<ReadRow> {
    before.iter().map(|seconds| touch_row(NOON.minus(*seconds))).collect()
}

/// A state that has published touches of 9,000 and of 1,000 seconds before noon, and has forgotten the first.
fn forgetful() -> State {
    let mut state = begun(NOON.minus(10_000));
    let published = take(&mut state, window(NOON), NOON, touches(&[9_000, 1_000]), Some(NOON.minus(2_000))).0;
    assert_eq!((published.published, state.remembered()), (2, 1));
    state
}

/// The same as another process reads it from the topic, where `batches` have been written.
fn read_again(batches: &[&Batch]) -> State {
    let mut state = State::default();
    for record in batches.iter().flat_map(|batch| &batch.state) {
        let value = record.value.as_ref().map(|value| StateValue::decode(&record.key, &value.encode()).unwrap());
        state.restore(StateKey::decode(record.key.encode().as_bytes()).unwrap(), value);
    }
    state.restored();
    state
}

#[test]
fn what_may_be_forgotten_is_left_alone_unless_it_is_asked_for_again() {
    let met = |republish| {
        let mut state = forgetful();
        rewound(&mut state, Feed::Touches, rewind(1, NOON.minus(9_500), republish));
        assert_eq!(cursor(&state, Feed::Touches).complete_before, NOON.minus(9_500));
        let (counts, _) = take(&mut state, window(NOON), NOON, touches(&[9_600, 9_000, 1_000, 500]), None);
        (counts.published, counts.behind_cursor, counts.duplicates)
    };
    assert_eq!(met(false), (1, 2, 1), "what is new, and nothing else");
    assert_eq!(met(true), (2, 1, 1), "what was forgotten, too, but for what happened before the time that was told");
}

#[test]
fn a_rewind_that_was_met_before_moves_nothing_whoever_reads_it_again() {
    let mut state = forgetful();
    let again = rewind(7, NOON.minus(9_500), true);
    let rewound_first = rewound(&mut state, Feed::Touches, again);
    assert_eq!(rewound_first.state.len(), 3, "the cursor, what is forgotten, and that it was met");
    let (_, on) = take(&mut state, window(NOON), NOON, touches(&[500]), Some(NOON.minus(600)));
    assert!(rewound(&mut state, Feed::Touches, again).is_empty());
    let mut restarted = read_again(&[&rewound_first, &on]);
    assert!(rewound(&mut restarted, Feed::Touches, again).is_empty());
    for state in [&state, &restarted] {
        assert_eq!(cursor(state, Feed::Touches).complete_before, NOON.minus(600));
    }
    assert_eq!(rewound(&mut restarted, Feed::Touches, rewind(8, again.to, true)).state.len(), 3, "another one does");
}

#[test]
fn a_rewind_to_what_is_not_passed_yet_never_acts_later() {
    let mut state = forgetful();
    let ahead = rewind(1, NOON.minus(1_000), true);
    assert_eq!(rewound(&mut state, Feed::Touches, ahead).state.len(), 1, "that it was met");
    take(&mut state, window(NOON), NOON, vec![], Some(NOON));
    assert!(rewound(&mut state, Feed::Touches, ahead).is_empty());
    assert_eq!(cursor(&state, Feed::Touches).complete_before, NOON);
    let mut unknown = State::default();
    let before = rewound(&mut unknown, Feed::Touches, ahead);
    let mut batch = Batch::default();
    unknown.begin(vec![(promoter(), Feed::Touches, Cursor::begin(Feed::Touches, NOON))], &mut batch);
    let mut begun = read_again(&[&before, &batch]);
    assert!(rewound(&mut begun, Feed::Touches, ahead).is_empty(), "nor on a feed that had not begun");
}

#[test]
fn what_may_be_forgotten_is_kept_in_mind_over_a_restart_until_the_cursor_has_passed_it() {
    let mut state = State::default();
    let mut first = Batch::default();
    let start = Cursor::begin(Feed::Touches, NOON.minus(10_000));
    state.begin(vec![(promoter(), Feed::Touches, start)], &mut first);
    let told = take(&mut state, window(NOON), NOON, touches(&[9_000, 1_000]), Some(NOON.minus(2_000))).1;
    let back = rewound(&mut state, Feed::Touches, rewind(1, NOON.minus(9_500), false));
    let mut restarted = read_again(&[&first, &told, &back]);
    assert_eq!(take(&mut restarted, window(NOON), NOON, touches(&[9_000, 1_000]), None).0.published, 0);
    let on = take(&mut restarted, window(NOON), NOON, touches(&[100]), Some(NOON.minus(1_500))).1;
    assert_eq!(take(&mut restarted, window(NOON), NOON, touches(&[1_400]), None).0.published, 1);
    take(&mut restarted, window(NOON), NOON, vec![], Some(NOON.plus(4_000)));
    assert_eq!((restarted.remembered(), on.events.len()), (0, 1));
}

#[test]
fn a_late_order_of_the_days_that_are_remembered_is_brought_and_no_other_comes_twice() {
    let order = |number: u8, paid: UnixTime| {
        let mut row = order_row(paid, None);
        if let Ok(Row::Order(_, payment)) = &mut row.content {
            payment.trade_no = number.to_string();
        }
        row
    };
    let day = Day::in_beijing(NOON.minus(DAY));
    let noon = |day: Day| day.beijing_start().plus(DAY / 2);
    let mut state = begun(noon(day).minus(5 * DAY));
    let known: Vec<Day> =
        std::iter::successors(Some(Day::in_beijing(noon(day).minus(4 * DAY))), |day| Some(day.next()))
            .take(5)
            .collect();
    for (number, day) in (0..).zip(&known) {
        let (counts, _) =
            take(&mut state, Scope::day(*day), NOON, vec![order(number, noon(*day))], Some(day.beijing_end()));
        assert_eq!(counts.published, 1);
    }
    rewound(&mut state, Feed::Orders, rewind(1, noon(day.previous()), false));
    assert_eq!(cursor(&state, Feed::Orders).complete_before, day.previous().beijing_start());
    let all = known.iter().zip(0..).map(|(day, number)| order(number, noon(*day)));
    let late = [order(20, noon(day)), order(21, noon(day.previous()))];
    let rows = all.chain(late).collect();
    let (counts, _) = take(&mut state, Scope::History { until: day.next() }, NOON, rows, None);
    assert_eq!((counts.published, counts.published + counts.duplicates + counts.behind_cursor), (2, 7));
}

#[test]
fn what_happened_before_the_first_start_was_published_by_nobody_and_is_brought() {
    let mut state = forgetful();
    rewound(&mut state, Feed::Touches, rewind(1, NOON.minus(20_000), false));
    let rows = || touches(&[20_001, 15_000, 9_000, 1_000]);
    let (counts, _) = take(&mut state, window(NOON), NOON, rows(), Some(NOON.minus(14_000)));
    assert_eq!((counts.before_start, counts.published, counts.behind_cursor, counts.duplicates), (1, 1, 1, 1));
    // Before it has come to the first start again, another one goes back once more: what lies between was asked for by nobody.
    rewound(&mut state, Feed::Touches, rewind(2, NOON.minus(16_000), false));
    let (counts, _) = take(&mut state, window(NOON), NOON, touches(&[15_000, 13_000, 9_000, 1_000]), None);
    assert_eq!((counts.published, counts.behind_cursor, counts.duplicates), (1, 2, 1));
}

#[test]
fn a_pull_that_was_planned_before_moves_nothing() {
    let mut state = forgetful();
    let mut planned = PageFacts::read(&promoter(), window(NOON), NOON, UnixMillis(0), vec![]);
    planned.advance =
        Some(Advance { from: cursor(&state, Feed::Touches).complete_before, to: NOON.minus(600), refunds: None });
    rewound(&mut state, Feed::Touches, rewind(1, NOON.minus(9_500), false));
    state.take(planned, &mut Batch::default());
    assert_eq!(cursor(&state, Feed::Touches).complete_before, NOON.minus(9_500));
}

#[test]
fn a_rewind_stays_known_of_a_promoter_that_is_forgotten() {
    use promoter_connector::model::removal::{Removal, RemovalStep};
    let mut state = forgetful();
    let old = rewind(1, NOON.minus(9_500), true);
    let met = rewound(&mut state, Feed::Touches, old);
    let mut forgotten = Batch::default();
    let removal = Removal { promoter: promoter(), step: RemovalStep::Forgotten };
    state.take_removals(vec![removal], &mut forgotten);
    let mut again = Batch::default();
    state.begin(vec![(promoter(), Feed::Touches, Cursor::begin(Feed::Touches, NOON))], &mut again);
    for mut state in [state, read_again(&[&met, &forgotten, &again])] {
        assert!(rewound(&mut state, Feed::Touches, old).is_empty());
        assert_eq!(cursor(&state, Feed::Touches).complete_before, NOON);
    }
}

#[test]
fn refunds_that_orders_have_published_before_refunds_were_polled_do_not_come_again() {
    let start = NOON.minus(100 * DAY);
    let (paid, refunded) = (start.plus(2 * DAY), start.plus(3 * DAY));
    let (mut state, mut first) = (State::default(), Batch::default());
    let memory = Cursor::memory(start);
    let orders = (promoter(), Feed::Orders, Cursor::begin(Feed::Orders, start));
    state.begin(vec![(promoter(), Feed::Refunds, memory), orders], &mut first);
    let row = || vec![order_row(paid, Some(refunded))];
    let (counts, met) = take(&mut state, Scope::day(Day::in_beijing(paid)), refunded, row(), None);
    assert_eq!(counts.published, 2, "the payment and its refund");
    // Refunds are polled from a later time on, and go on until the first one is forgotten.
    let mut begun = Batch::default();
    let polled = Cursor::begin_with(memory, Feed::Refunds, start.plus(30 * DAY));
    state.begin(vec![(promoter(), Feed::Refunds, polled)], &mut begun);
    let mut batches = vec![first, met, begun];
    for days in [40, 60] {
        let now = start.plus(days * DAY);
        let (counts, batch) = take(&mut state, Scope::Refunds, now, row(), Some(now.minus(7 * DAY)));
        assert_eq!(counts.published, 0);
        batches.push(batch);
    }
    let mut state = read_again(&batches.iter().collect::<Vec<_>>());
    rewound(&mut state, Feed::Refunds, rewind(1, start.plus(DAY), false));
    assert!(cursor(&state, Feed::Refunds).complete_before <= start.plus(DAY));
    let (counts, _) = take(&mut state, Scope::Refunds, start.plus(61 * DAY), row(), None);
    assert_eq!((counts.published, counts.behind_cursor), (0, 1));
}

/// A page of touches of 9,000 seconds before noon, then one that moves the cursor past them; and all that was written.
fn passed_but_in_mind() -> (State, Vec<Batch>) {
    let (mut state, mut first) = (State::default(), Batch::default());
    state.begin(vec![(promoter(), Feed::Touches, Cursor::begin(Feed::Touches, NOON.minus(10_000)))], &mut first);
    let old = take(&mut state, window(NOON), NOON, touches(&[9_000]), None).1;
    let recent: Vec<i64> = (1_000..1_020).collect();
    let on = take(&mut state, window(NOON), NOON, touches(&recent), Some(NOON.minus(2_000))).1;
    (state, vec![first, old, on])
}

fn in_order(batches: &[Batch]) -> State {
    read_again(&batches.iter().collect::<Vec<_>>())
}

#[test]
fn what_has_passed_comes_again_though_neither_memory_nor_topic_has_let_go_of_it() {
    let (mut state, mut written) = passed_but_in_mind();
    written.push(rewound(&mut state, Feed::Touches, rewind(1, NOON.minus(9_500), true)));
    let rows = || touches(&[9_000, 1_000]);
    for mut state in [in_order(&written), state] {
        let (counts, _) = take(&mut state, window(NOON), NOON, rows(), None);
        assert_eq!((counts.published, counts.duplicates), (1, 1));
    }
}

#[test]
fn what_has_come_again_is_known_also_to_who_reads_that_it_was_forgotten() {
    let (mut state, mut written) = passed_but_in_mind();
    written.push(rewound(&mut state, Feed::Touches, rewind(1, NOON.minus(9_500), true)));
    written.push(take(&mut state, window(NOON), NOON, touches(&[9_000]), Some(NOON.minus(9_400))).1);
    // One that publishes nothing again comes between.
    written.push(rewound(&mut state, Feed::Touches, rewind(2, NOON.minus(9_450), false)));
    for mut state in [in_order(&written), state] {
        let (counts, _) = take(&mut state, window(NOON), NOON, touches(&[9_000, 1_000]), None);
        assert_eq!((counts.published, counts.duplicates), (0, 2));
    }
}

#[test]
fn what_an_earlier_rewind_was_to_bring_again_is_brought_by_a_later_one_too() {
    let (mut state, mut written) = passed_but_in_mind();
    written.push(rewound(&mut state, Feed::Touches, rewind(1, NOON.minus(9_500), true)));
    written.push(take(&mut state, window(NOON), NOON, vec![], Some(NOON.minus(9_300))).1);
    written.push(rewound(&mut state, Feed::Touches, rewind(2, NOON.minus(9_400), true)));
    for mut state in [in_order(&written), state] {
        assert_eq!(take(&mut state, window(NOON), NOON, touches(&[9_000]), None).0.published, 1);
    }
}

#[test]
fn of_who_is_forgotten_nothing_stands_of_what_was_let_go() {
    use promoter_connector::model::removal::{Removal, RemovalStep};
    let (mut state, _) = passed_but_in_mind();
    let back = rewound(&mut state, Feed::Touches, rewind(1, NOON.minus(9_500), true));
    let key = StateKey::Forgotten(promoter(), Feed::Touches);
    assert!(back.state.iter().any(|record| record.key == key && record.value.is_some()));
    let mut forgotten = Batch::default();
    state.take_removals(vec![Removal { promoter: promoter(), step: RemovalStep::Forgotten }], &mut forgotten);
    assert!(forgotten.state.iter().any(|record| record.key == key && record.value.is_none()));
}
