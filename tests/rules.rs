//! The promise as a property of the rules alone: nothing that shows up within the lateness is lost, nothing is
//! published twice, over any interleaving of late rows, duplicates, growing pages, failed polls and restarts.
//!
//! No clock, no I/O: a small upstream as a list of rows with the time from which they are shown, the real rules
//! (`Turns`, `Scope`, `Pages`, `Harvest`, `State`), and a map as the state topic.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use promoter_connector::domain::batch::Batch;
use promoter_connector::domain::cursor::Cursor;
use promoter_connector::domain::feed::Feed;
use promoter_connector::domain::harvest::{Advance, Harvest};
use promoter_connector::domain::promoter::Promoter;
use promoter_connector::domain::pull::Scope;
use promoter_connector::domain::row::{Payment, ReadRow, Row, RowFault, Touch};
use promoter_connector::domain::state::{Intake, State};
use promoter_connector::domain::state_record::{StateKey, StateValue};
use promoter_connector::domain::time::{Day, UnixMillis, UnixTime};
use promoter_connector::domain::turns::{Pulled, Rules, Turns};
use promoter_connector::poll::pages::{Next, Pages};
use proptest::prelude::*;

const HOUR: i64 = 3600;
const START: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing
const LATENESS: [i64; 3] = [600, 12 * HOUR, 7 * 24 * HOUR];

/// One row of the upstream: shown from `visible` on, by a call that asks for its time.
#[derive(Clone, Debug)]
struct Shown {
    visible: i64,
    row: Row,
    readable: bool,
}

#[derive(Clone, Copy, Debug)]
enum Zone {
    Beijing,
    Utc,
}

struct Upstream {
    rows: Vec<Shown>,
    zone: Zone,
    page_rows: usize,
}

impl Upstream {
    /// All rows of a scope at `now`, in an order in which late ones come before others and shift them.
    fn rows(&self, scope: Scope, now: i64) -> Vec<ReadRow> {
        let visible = self.rows.iter().filter(|shown| shown.visible <= now && self.matches(scope, shown));
        visible.map(read_row).collect()
    }

    fn matches(&self, scope: Scope, shown: &Shown) -> bool {
        match (scope, &shown.row) {
            (Scope::Touches { begin, end }, Row::Touch(touch)) => {
                touch.create_time.is_some_and(|time| begin <= time && time <= end)
            }
            (Scope::Day(day), Row::Order(_, payment)) => match self.zone {
                Zone::Beijing => Day::in_beijing(payment.paid_time) == day,
                Zone::Utc => Day::in_utc(payment.paid_time) == day,
            },
            (Scope::History { .. }, Row::Order(..)) => true,
            (Scope::Refunds, Row::Order(_, payment)) => payment.status_code == 2,
            _ => false,
        }
    }

    /// The lateness counts from the end of Beijing's day. UTC's ends eight hours later, and leaves that much less.
    fn shorten_delays(&mut self) {
        for shown in &mut self.rows {
            let Row::Order(_, payment) = &shown.row else { continue };
            if payment.status_code == 1 {
                shown.visible = payment.paid_time.0 + (shown.visible - payment.paid_time.0) / 3;
            }
        }
    }

    fn page(&self, scope: Scope, now: i64, number: usize) -> (Vec<ReadRow>, bool) {
        let rows = self.rows(scope, now);
        let begin = (number * self.page_rows).min(rows.len());
        let end = (begin + self.page_rows).min(rows.len());
        (rows[begin..end].to_vec(), end < rows.len())
    }
}

fn read_row(shown: &Shown) -> ReadRow {
    let raw = format!("{:?}", shown.row).into_bytes().into_boxed_slice();
    let fault = RowFault { reason: "missing_openid", detail: String::new() };
    ReadRow { raw, content: if shown.readable { Ok(shown.row.clone()) } else { Err(fault) } }
}

/// The topics.
#[derive(Default)]
struct Durable {
    published: BTreeMap<String, u32>,
    dead: BTreeMap<Vec<u8>, u32>,
    state: HashMap<String, Vec<u8>>,
}

impl Durable {
    fn commit(&mut self, batch: Batch) {
        for event in batch.events {
            *self.published.entry(event.fact.id.to_string()).or_default() += 1;
        }
        for letter in batch.dead_letters {
            *self.dead.entry(letter.raw.to_vec()).or_default() += 1;
        }
        for record in batch.state {
            match record.value {
                Some(value) => self.state.insert(record.key.encode(), value.encode()),
                None => self.state.remove(&record.key.encode()),
            };
        }
    }

    fn restore(&self) -> State {
        let mut state = State::default();
        for (key, value) in &self.state {
            let key = StateKey::decode(key.as_bytes()).unwrap();
            let value = StateValue::decode(&key, value).unwrap();
            state.restore(key, Some(value));
        }
        state.restored();
        state
    }
}

/// What befalls one poll.
#[derive(Clone, Debug)]
struct Step {
    pause: i64,
    feed: usize,
    /// Pages read before the poll fails; most polls have fewer.
    fails_after: usize,
    /// Pages committed before the process dies, if it dies.
    dies_after: Option<usize>,
    /// Seconds between two pages.
    page_pause: i64,
}

struct Connector {
    promoter: Promoter,
    polls_refunds: bool,
    durable: Durable,
    state: State,
    turns: Vec<Turns>,
    now: i64,
}

impl Connector {
    fn new(polls_refunds: bool) -> Connector {
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let mut connector = Connector {
            promoter,
            polls_refunds,
            durable: Durable::default(),
            state: State::default(),
            turns: Vec::new(),
            now: START.0,
        };
        connector.start();
        connector
    }

    fn start(&mut self) {
        self.state = self.durable.restore();
        let begin = Feed::ALL.map(|feed| (self.promoter.clone(), feed, Cursor::begin(feed, START)));
        let mut batch = Batch::default();
        self.state.take(Intake::Begin(begin.to_vec()), &mut batch);
        self.durable.commit(batch);
        let turns = Feed::ALL.map(|feed| Turns::new(self.state.cursor(&self.promoter, feed).unwrap(), rules(feed)));
        self.turns = turns.to_vec();
    }

    fn poll(&mut self, upstream: &Upstream, step: &Step) {
        let feed = Feed::ALL[step.feed];
        if feed == Feed::Refunds && !self.polls_refunds {
            return;
        }
        let as_of = UnixTime(self.now);
        let scope = self.turns[step.feed].scope(feed, rules(feed), as_of);
        let cursor = self.turns[step.feed].cursor;
        let reached = scope.completes(&cursor, LATENESS[step.feed], as_of);
        let mut pages = Pages::default();
        let mut number = 0;
        for read in 1.. {
            let (rows, more) = upstream.page(scope, self.now, number);
            let count = rows.len();
            let mut harvest = Harvest::read(&self.promoter, scope, as_of, UnixMillis(self.now * 1000), rows);
            let (total, start_id) = if more { (1000, Some(read.to_string())) } else { (0, None) };
            let next = pages.take(Some(total), start_id, count, harvest.row_ids()).unwrap();
            if next == Next::End {
                let refunds_to = (feed == Feed::Orders && !self.polls_refunds)
                    .then(|| Scope::completes_refunds(reached, LATENESS[2], as_of));
                harvest.advance = Some(Advance { from: cursor.complete_before, to: reached, refunds_to });
            }
            let mut batch = Batch::default();
            self.state.take(Intake::Harvest(harvest), &mut batch);
            if step.dies_after == Some(read - 1) {
                // The batch is lost with the process.
                return self.start();
            }
            self.durable.commit(batch);
            match next {
                Next::End => break,
                Next::Again => number = 0,
                Next::Page(_) => number += 1,
            }
            if read >= step.fails_after {
                return;
            }
            self.now += step.page_pause;
        }
        let pulled = Pulled { scope, reached, as_of, pages: pages.pages(), rows: pages.rows(), digest: pages.digest() };
        self.turns[step.feed].after(pulled, rules(feed), Duration::from_secs(self.now.cast_unsigned()));
    }

    /// Polls until everything that was ever shown has passed the lateness.
    fn settle(&mut self, upstream: &Upstream) {
        for _ in 0..60 {
            self.now += 16 * HOUR;
            for feed in 0..3 {
                for _ in 0..4 {
                    self.poll(upstream, &Step { pause: 0, feed, fails_after: 1000, dies_after: None, page_pause: 0 });
                }
            }
        }
    }
}

fn rules(feed: Feed) -> Rules {
    Rules { every: Duration::from_secs(60), idle_every: Duration::from_secs(900), lateness: LATENESS[feed as usize] }
}

fn touch(number: usize, time: i64) -> Touch {
    Touch { openid: format!("u{number}"), create_time: Some(UnixTime(time)), ..Touch::default() }
}

fn step() -> impl Strategy<Value = Step> {
    let pause = prop_oneof![4 => 0..900i64, 1 => 0..3 * 24 * HOUR];
    let dies = prop_oneof![4 => Just(None), 1 => (0..4usize).prop_map(Some)];
    let fails = prop_oneof![3 => Just(1000usize), 1 => 1..4usize];
    (pause, 0..3usize, fails, dies, 0..120i64).prop_map(|(pause, feed, fails_after, dies_after, page_pause)| Step {
        pause,
        feed,
        fails_after,
        dies_after,
        page_pause,
    })
}

/// Touches from a little before the start, each shown within the lateness; some of them unreadable or shown twice.
fn touches() -> impl Strategy<Value = Vec<Shown>> {
    let one = (-HOUR..4 * 24 * HOUR, 0..LATENESS[0], 0..20u32);
    proptest::collection::vec(one, 0..60).prop_map(|touches| {
        let mut rows = Vec::new();
        for (number, (offset, delay, kind)) in touches.into_iter().enumerate() {
            let time = START.0 + offset;
            let row = Row::Touch(touch(number, time));
            let shown = Shown { visible: time + delay, row, readable: kind != 0 };
            if kind == 1 {
                rows.push(shown.clone());
            }
            rows.push(shown);
        }
        rows
    })
}

/// Orders, each shown within the lateness of its day, a third of them refunded some time later.
fn orders() -> impl Strategy<Value = Vec<Shown>> {
    let one = (-HOUR..4 * 24 * HOUR, 0..12 * HOUR, 0..3u32, 1..20 * 24 * HOUR, 0..6 * 24 * HOUR);
    proptest::collection::vec(one, 0..40).prop_map(|orders| {
        let mut rows = Vec::new();
        for (number, (offset, delay, kind, refunded_after, refund_delay)) in orders.into_iter().enumerate() {
            let paid = START.0 + offset;
            let mut payment = Payment {
                mch_id: "m".into(),
                trade_no: format!("t{number}"),
                out_trade_no: None,
                status_code: 1,
                paid_amount: 1,
                paid_time: UnixTime(paid),
                refunded_time: None,
            };
            let touch = touch(number, paid);
            rows.push(Shown { visible: paid + delay, row: Row::Order(touch.clone(), payment.clone()), readable: true });
            if kind == 0 {
                let refunded = paid + refunded_after;
                payment.status_code = 2;
                payment.refunded_time = Some(UnixTime(refunded));
                // The row with the refund stands beside the one without: harder than a row that changes.
                let visible = (refunded + refund_delay).max(paid + delay);
                rows.push(Shown { visible, row: Row::Order(touch, payment), readable: true });
            }
        }
        rows
    })
}

/// What must be published: everything from the start on.
fn expected(rows: &[Shown], refunds: bool) -> BTreeMap<String, u32> {
    let promoter = Promoter::from_key("wx1/o1").unwrap();
    let mut expected = BTreeMap::new();
    for shown in rows.iter().filter(|shown| shown.readable) {
        let scopes = match &shown.row {
            Row::Touch(_) => vec![Scope::Touches { begin: START, end: START }],
            Row::Order(_, payment) if payment.status_code == 1 => vec![Scope::Day(Day::in_beijing(START))],
            Row::Order(..) if refunds => vec![Scope::Refunds],
            Row::Order(..) => vec![],
        };
        for scope in scopes {
            let harvest = Harvest::read(&promoter, scope, START, UnixMillis(0), vec![read_row(shown)]);
            for sighting in harvest.sightings.into_iter().filter(|sighting| sighting.fact.time >= START) {
                expected.insert(sighting.fact.id.to_string(), 1);
            }
        }
    }
    expected
}

fn run(upstream: &Upstream, steps: &[Step], polls_refunds: bool) -> Connector {
    let mut connector = Connector::new(polls_refunds);
    for step in steps {
        connector.now += step.pause;
        connector.poll(upstream, step);
    }
    connector.settle(upstream);
    connector
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_touch_is_published_once(
        rows in touches(),
        page_rows in 1..8usize,
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let upstream = Upstream { rows, zone: Zone::Beijing, page_rows };
        let connector = run(&upstream, &steps, true);
        prop_assert_eq!(&connector.durable.published, &expected(&upstream.rows, true));
        prop_assert!(connector.durable.dead.values().all(|count| *count == 1), "a dead row came twice");
        prop_assert_eq!(connector.state.remembered(), 0, "what has passed is forgotten");
    }

    #[test]
    fn every_payment_and_every_refund_is_published_once(
        rows in orders(),
        utc in any::<bool>(),
        page_rows in 1..8usize,
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let zone = if utc { Zone::Utc } else { Zone::Beijing };
        let mut upstream = Upstream { rows, zone, page_rows };
        if utc {
            upstream.shorten_delays();
        }
        let connector = run(&upstream, &steps, true);
        prop_assert_eq!(&connector.durable.published, &expected(&upstream.rows, true));
    }

    #[test]
    fn without_a_feed_of_refunds_payments_are_still_published_once_and_refunds_never_twice(
        rows in orders(),
        page_rows in 1..8usize,
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let upstream = Upstream { rows, zone: Zone::Beijing, page_rows };
        let connector = run(&upstream, &steps, false);
        for (id, count) in expected(&upstream.rows, false) {
            prop_assert_eq!(connector.durable.published.get(&id), Some(&count));
        }
        prop_assert!(connector.durable.published.values().all(|count| *count == 1));
    }
}
