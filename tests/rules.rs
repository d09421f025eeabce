//! The promise as a property of the rules alone: nothing that shows up within the lateness is lost, nothing is
//! published twice, over any interleaving of late rows, duplicates, moving and growing pages, polls that fail or are
//! suspended, and restarts.
//!
//! No clock, no I/O: a small upstream as a list of rows with the time from which they are shown (`rules/upstream.rs`),
//! the real rules (`Turns`, `Pull`, `State`), and a map as the state topic (`rules/connector.rs`).

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "rules/connector.rs"]
mod connector;
#[path = "rules/upstream.rs"]
mod upstream;

use std::collections::BTreeMap;

use connector::{Connector, LATENESS, PollStep};
use promoter_connector::model::time::UnixTime;
use proptest::prelude::*;
use upstream::{DAY, HOUR, Listed, RefundPlan, START, Shown, Told, Upstream, Zone, order, refund, touch};

fn step() -> impl Strategy<Value = PollStep> {
    let pause = prop_oneof![4 => 0..900i64, 1 => 0..3 * DAY];
    let dies = prop_oneof![4 => Just(None), 1 => (0..4usize).prop_map(Some)];
    let ends = prop_oneof![3 => Just(1000usize), 1 => 1..4usize];
    let reorder = prop_oneof![4 => Just(None), 1 => (1..4usize, any::<u64>()).prop_map(Some)];
    let ahead = prop_oneof![1 => Just(None), 1 => (1..5 * DAY).prop_map(Some)];
    (pause, 0..3usize, ends, any::<bool>(), dies, 0..120i64, reorder, ahead).prop_map(
        |(pause, feed, ends_after, suspended, dies_after, page_pause, reorder, ahead)| PollStep {
            pause,
            feed,
            ends_after,
            suspended,
            dies_after,
            page_pause,
            reorder,
            ahead,
            rewound: None,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<PollStep>> {
    proptest::collection::vec(step(), 0..80)
}

/// Some of them behind a rewind, within the last days or over all that was.
fn steps_with_rewinds() -> impl Strategy<Value = Vec<PollStep>> {
    let seconds = prop_oneof![4 => Just(None), 1 => (0..3 * DAY).prop_map(Some), 1 => (0..60 * DAY).prop_map(Some)];
    let step = (step(), seconds).prop_map(|(step, rewound)| PollStep { rewound, ..step });
    proptest::collection::vec(step, 0..80)
}

/// Touches from a little before the start, each shown within the lateness; some of them unreadable or shown twice.
fn touches() -> impl Strategy<Value = Vec<Shown>> {
    let one = (-HOUR..4 * DAY, 0..=LATENESS.touches, 0..20u32);
    proptest::collection::vec(one, 0..60).prop_map(|touches| {
        let mut rows = Vec::new();
        for (number, (offset, delay, kind)) in touches.into_iter().enumerate() {
            let time = START.0 + offset;
            let shown = Shown { readable: kind != 0, ..Shown::new(time + delay, touch(number, time)) };
            if kind == 1 {
                rows.push(shown.clone());
            }
            rows.push(shown);
        }
        rows
    })
}

fn zone() -> impl Strategy<Value = Zone> {
    prop_oneof![Just(Zone::Beijing), Just(Zone::Utc)]
}

fn listed() -> impl Strategy<Value = Listed> {
    prop_oneof![
        6 => Just(Listed::ItsDay),
        1 => Just(Listed::TheNextToo),
        1 => Just(Listed::TheOneBeforeToo),
        1 => Just(Listed::TheNextAlone),
    ]
}

/// Orders paid `from` seconds after the start and later, each shown up to the full lateness after the end of the first
/// day that lists it. A third of them are refunded, once or twice, with or without the time of it.
fn orders(from: i64) -> impl Strategy<Value = (Zone, Vec<Shown>)> {
    let refunds = (0..3u32, 1..20 * DAY, 0.0..=1.0f64, told(), any::<bool>(), 1..2 * DAY);
    let one = (from..4 * DAY, 0.0..=1.0f64, listed(), refunds);
    (zone(), proptest::collection::vec(one, 0..40)).prop_map(|(zone, orders)| {
        let mut rows = Vec::new();
        for (number, (offset, late, listed, refunds)) in orders.into_iter().enumerate() {
            let paid = START.0 + offset;
            let shown_at = paid + (late * (listed.latest_observation(zone, paid) - paid) as f64) as i64;
            rows.push(Shown { listed, ..Shown::new(shown_at, order(number, paid)) });
            let (kind, after, refund_late, told, twice, again_after) = refunds;
            if kind == 0 {
                let plan = RefundPlan { paid, shown_at, after, late: refund_late, told, twice, again_after };
                rows.extend(plan.refunds().map(|row| Shown { listed, ..refund(number, paid, row) }));
            }
        }
        (zone, rows)
    })
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![2 => Just(Told::AtOnce), 1 => (1..6 * DAY).prop_map(Told::Later), 1 => Just(Told::Never)]
}

fn run(upstream: &Upstream, from: UnixTime, steps: &[PollStep], polls_refunds: bool) -> Connector {
    let mut connector = Connector::new(from, polls_refunds);
    for step in steps {
        connector.now += step.pause;
        connector.poll(upstream, step);
    }
    connector.settle(upstream);
    connector
}

/// Facts by name; refunds of one order have one name, since what tells them apart may be told late.
type Counts = BTreeMap<String, usize>;

fn check(connector: &Connector, expected: &Counts) -> Result<(), TestCaseError> {
    prop_assert!(connector.durable.ids.values().all(|count| *count == 1), "an identity came twice");
    prop_assert!(connector.durable.dead.values().all(|count| *count == 1), "a dead row came twice");
    prop_assert_eq!(&connector.durable.published, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_touch_is_published_once(rows in touches(), page_rows in 1..8usize, steps in steps()) {
        let upstream = Upstream { rows, zone: Zone::Beijing, page_rows };
        let connector = run(&upstream, START, &steps, true);
        check(&connector, &upstream.facts(START))?;
        prop_assert_eq!(connector.state.remembered(), 0, "what has passed is forgotten");
    }

    #[test]
    fn every_payment_and_every_refund_is_published_once(
        (zone, rows) in orders(-HOUR),
        page_rows in 1..8usize,
        steps in steps(),
    ) {
        let upstream = Upstream { rows, zone, page_rows };
        let connector = run(&upstream, START, &steps, true);
        check(&connector, &upstream.facts(START))?;
    }

    #[test]
    fn a_backfill_without_dates_goes_over_into_days_without_loss_or_doubling(
        (zone, rows) in orders(-45 * DAY),
        page_rows in 1..8usize,
        steps in steps(),
    ) {
        let from = START.minus(40 * DAY);
        let upstream = Upstream { rows, zone, page_rows };
        let connector = run(&upstream, from, &steps, true);
        check(&connector, &upstream.facts(from))?;
    }

    #[test]
    fn however_often_touches_are_asked_again_each_is_published_once(
        rows in touches(),
        page_rows in 1..8usize,
        steps in steps_with_rewinds(),
    ) {
        let upstream = Upstream { rows, zone: Zone::Beijing, page_rows };
        let connector = run(&upstream, START, &steps, true);
        prop_assert!(connector.durable.ids.values().all(|count| *count == 1), "an identity came twice");
        prop_assert_eq!(&connector.durable.published, &upstream.facts(START));
        prop_assert_eq!(connector.state.remembered(), 0, "what has passed is forgotten");
    }

    #[test]
    fn however_often_orders_and_refunds_are_asked_again_each_is_published_once(
        (zone, rows) in orders(-45 * DAY),
        page_rows in 1..8usize,
        steps in steps_with_rewinds(),
    ) {
        let from = START.minus(40 * DAY);
        let upstream = Upstream { rows, zone, page_rows };
        let connector = run(&upstream, from, &steps, true);
        check(&connector, &upstream.facts(from))?;
    }

    #[test]
    fn without_a_feed_of_refunds_payments_are_still_published_once_and_refunds_never_twice(
        (zone, rows) in orders(-HOUR),
        page_rows in 1..8usize,
        steps in steps(),
    ) {
        let upstream = Upstream { rows, zone, page_rows };
        let connector = run(&upstream, START, &steps, false);
        prop_assert!(connector.durable.ids.values().all(|count| *count == 1), "an identity came twice");
        for (name, count) in upstream.facts(START) {
            let published = connector.durable.published.get(&name).copied().unwrap_or(0);
            let is_refund = name.starts_with("refunds");
            prop_assert!(published == count || is_refund && published < count, "{}: {} of {}", name, published, count);
        }
    }
}
