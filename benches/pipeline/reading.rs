//! One page through every step that the connector's own code takes with it, in one thread.
//!
//! serde_json parsing the same bytes into its own `Value` is the measure: whoever reads these rows pays at least about
//! that. The times hold the freeing of what a step has made or used up.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use promoter_connector::avro::encode::{Encoders, Framings};
use promoter_connector::model::batch::{Batch, Event};
use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::feed::{Feed, Interface};
use promoter_connector::model::page_facts::PageFacts;
use promoter_connector::model::promoter::{AppId, IdKind, Promoter};
use promoter_connector::model::row::RowKind;
use promoter_connector::model::scope::Scope;
use promoter_connector::model::state::State;
use promoter_connector::model::time::{UnixMillis, UnixTime};
use promoter_connector::simulator::{SimRequest, World, WorldOptions};
use promoter_connector::upstream::transport::Method;
use promoter_connector::upstream::wire::{ExpectedPage, read_page};
use serde_json::{Value, json};

use crate::median;

const NOW: UnixMillis = UnixMillis(1_750_000_000_000);
const ROWS: u32 = 1000;
/// Pages in one sample, and samples of which the median counts.
const PAGES: usize = 10;
const ROUNDS: usize = 31;
const STEPS: [&str; 6] =
    ["serde_json to Value", "bytes to rows", "rows to facts", "dedup, all new", "dedup, all known", "Avro"];

struct Page {
    name: &'static str,
    kind: RowKind,
    scope: Scope,
    body: Bytes,
    /// What serde_json parses: it refuses the page itself where that is not strict JSON.
    strict: Bytes,
}

pub fn measure() {
    let touches = Scope::Window { feed: Feed::Touches, begin: UnixTime::EARLIEST, end: NOW.as_seconds() };
    let orders = Scope::History { until: promoter_connector::model::time::Day::in_beijing(NOW.as_seconds()) };
    let relation = |odd_rows| body(Interface::GetRelation, odd_rows);
    let order = |odd_rows| body(Interface::GetOrder, odd_rows);
    let pages = [
        ("touches", RowKind::Touch, touches, relation(0.0), relation(0.0)),
        ("orders", RowKind::Order, orders, order(0.0), order(0.0)),
        ("touches, every 20th row broken JSON", RowKind::Touch, touches, relation(0.05), relation(0.0)),
    ];
    for (name, kind, scope, body, strict) in pages {
        report(&Page { name, kind, scope, body, strict });
    }
}

fn report(page: &Page) {
    let mut samples: [Vec<f64>; STEPS.len()] = Default::default();
    let mut facts = 0;
    for _ in 0..ROUNDS {
        let (times, events) = round(page);
        facts = events;
        for (samples, time) in samples.iter_mut().zip(times) {
            samples.push(time.as_secs_f64() / PAGES as f64);
        }
    }
    println!("\n{} ({ROWS} rows, {facts} facts, {} KiB)", page.name, page.body.len() / 1024);
    println!("{:<24} {:>12} {:>14} {:>22}", "step", "rows/s", "ns/row", "times serde_json (min–max)");
    let row = |name: &str, seconds: Vec<f64>| {
        let ratios: Vec<f64> = seconds.iter().zip(&samples[0]).map(|(step, measure)| step / measure).collect();
        let (least, most) =
            (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
        let (seconds, ratio) = (median(seconds), median(ratios));
        let rows = f64::from(ROWS);
        println!(
            "{name:<24} {:>12.0} {:>14.0} {ratio:>10.2} ({least:.2}–{most:.2})",
            rows / seconds,
            seconds / rows * 1e9
        );
    };
    for (name, seconds) in STEPS.iter().zip(&samples) {
        row(name, seconds.clone());
    }
    let whole = (0..ROUNDS).map(|round| [1, 2, 3, 5].map(|step| samples[step][round]).iter().sum()).collect();
    row("bytes to Avro", whole);
}

/// The time of each step, and how many facts the page holds.
fn round(page: &Page) -> ([Duration; STEPS.len()], usize) {
    let promoter = Promoter::new(&AppId::new("wx_simulated").unwrap(), "oSimulated000001").unwrap();
    let encoders = Encoders::new(Framings::SINGLE_OBJECT);
    let latest = NOW.as_seconds();
    let asked = ExpectedPage { kind: page.kind, promoter_id: promoter.promoter_id(), is_first: true };
    let parse = timed(|| {
        for _ in 0..PAGES {
            black_box(serde_json::from_slice::<Value>(black_box(&page.strict)).unwrap());
        }
    });
    let read = timed(|| {
        for _ in 0..PAGES {
            black_box(read_page(black_box(&page.body), asked, latest).unwrap());
        }
    });
    let rows: Vec<_> = (0..PAGES).map(|_| read_page(&page.body, asked, latest).unwrap().1.rows).collect();
    assert_eq!(rows[0].len(), ROWS as usize);
    let mut pages = Vec::new();
    let page_facts = timed(|| {
        pages.extend(rows.into_iter().map(|rows| PageFacts::read(&promoter, page.scope, latest, NOW, rows)));
    });
    let known = pages.clone();
    let mut states: Vec<_> = (0..PAGES).map(|_| begun(&promoter)).collect();
    let mut batches: Vec<_> = (0..PAGES).map(|_| Batch::default()).collect();
    let take_new = timed(|| take(&mut states, pages, &mut batches));
    let mut nothing: Vec<_> = (0..PAGES).map(|_| Batch::default()).collect();
    let take_known = timed(|| take(&mut states, known, &mut nothing));
    assert!(nothing.iter().all(|batch| batch.events.is_empty()));
    let mut buffer = Vec::with_capacity(1024);
    let facts = batches[0].events.len();
    let encode = timed(|| {
        for batch in batches {
            for Event { promoter, fact, observed_at, .. } in &batch.events {
                encoders.fact(fact, promoter, IdKind::OpenId, *observed_at, &mut buffer).unwrap();
                black_box(&buffer);
            }
        }
    });
    ([parse, read, page_facts, take_new, take_known, encode], facts)
}

fn take(states: &mut [State], pages: Vec<PageFacts>, batches: &mut [Batch]) {
    for ((state, page_facts), batch) in states.iter_mut().zip(pages).zip(batches) {
        black_box(state.take(page_facts, batch));
    }
}

/// A state in which every feed of the promoter has its first cursor.
fn begun(promoter: &Promoter) -> State {
    let mut state = State::default();
    let first = Feed::ALL.map(|feed| (promoter.clone(), feed, Cursor::begin(feed, UnixTime::EARLIEST)));
    state.begin(first.into(), &mut Batch::default());
    state
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// A full page of the simulated upstream.
fn body(interface: Interface, odd_rows: f64) -> Bytes {
    let options = WorldOptions {
        promoters: 1,
        history_touches: Some(2 * ROWS),
        history_orders: Some(2 * ROWS),
        odd_rows,
        ..WorldOptions::plain()
    };
    let mut world = World::new(&options, NOW).unwrap();
    let mut ask = |path: &str, query, body: Value| {
        let request = SimRequest {
            method: Method::Post,
            path: path.to_owned(),
            query,
            body: serde_json::to_vec(&body).unwrap().into(),
        };
        world.answer(NOW, &request).body
    };
    let credentials = json!({"grant_type": "client_credential", "appid": "wx_simulated", "secret": options.secret});
    let answer: Value = serde_json::from_slice(&ask("/cgi-bin/stable_token", vec![], credentials)).unwrap();
    let token = answer["access_token"].as_str().unwrap().to_owned();
    ask(interface.path(), vec![("access_token".to_owned(), token)], json!({"openid": "oSimulated000001"}))
}
