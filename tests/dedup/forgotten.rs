//! What is left of a promoter that is forgotten.

use std::collections::HashMap;

use promoter_connector::model::removal::{Removal, RemovalStep};

use super::*;

#[test]
fn whoever_is_forgotten_leaves_no_record_and_a_page_that_comes_late_comes_to_nothing() {
    let mut records = HashMap::new();
    let mut write = |batch: Batch| {
        for record in batch.state {
            records.insert(record.key.encode(), record.value);
        }
        records.values().filter(|value| value.is_some()).count()
    };
    let mut state = State::default();
    let mut batch = Batch::default();
    state.begin(Feed::ALL.map(|feed| (promoter(), feed, Cursor::begin(feed, NOON.minus(600)))).to_vec(), &mut batch);
    assert_eq!(write(batch), 3);
    assert_eq!(write(take(&mut state, window(NOON), NOON, vec![touch_row(NOON)], None).1), 4);
    let orders = take(&mut state, Scope::day(Day::in_beijing(NOON)), NOON, vec![order_row(NOON, Some(NOON))], None).1;
    assert_eq!(write(orders), 6);

    let step = |state: &mut State, step| {
        let mut batch = Batch::default();
        state.take_removals(vec![Removal { promoter: promoter(), step }], &mut batch);
        batch
    };
    let marked = step(&mut state, RemovalStep::Marked(NOON));
    assert_eq!(write(marked), 7);
    assert_eq!(state.promoters().count(), 1, "a mark takes nothing away");
    let forgotten = step(&mut state, RemovalStep::Forgotten);
    assert_eq!(write(forgotten), 0);
    assert_eq!((state.promoters().count(), state.remembered(), state.facts(), state.chunks()), (0, 0, 0, 0));

    let mut late = PageFacts::read(&promoter(), window(NOON), NOON, UnixMillis(0), vec![touch_row(NOON)]);
    late.advance = Some(Advance { from: NOON.minus(600), to: NOON, refunds: None });
    let mut batch = Batch::default();
    assert_eq!(state.take(late, &mut batch), RowCounts::default());
    assert!(batch.is_empty());
    assert!(step(&mut state, RemovalStep::Marked(NOON)).is_empty(), "nothing is known of it");
}

#[test]
fn a_mark_is_read_back_and_its_tombstone_takes_it_away() {
    let mut state = State::default();
    let key = || StateKey::Removed(promoter());
    state.restore(key(), Some(StateValue::Removed(NOON)));
    state.restored();
    assert_eq!(state.take_removed().collect::<Vec<_>>(), [(promoter(), NOON)]);
    state.restore(key(), Some(StateValue::Removed(NOON)));
    state.restore(key(), None);
    assert_eq!(state.take_removed().count(), 0);
}
