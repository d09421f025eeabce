//! What is shown is exactly what the truth says, and everything that exists is shown in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::simulator::obstacles::faults::Level;
use serde_json::Value;

use super::client::{Client, START};
use crate::avro::schemas::RecordKind;
use crate::model::time::Day;
use crate::simulator::options::{Bounds, DayZone};
use crate::simulator::truth::fact_key::compared;
use crate::simulator::{ShownContent, WorldOptions};

fn lively(seed: u64) -> WorldOptions {
    WorldOptions {
        seed,
        promoters: 5,
        touches_per_hour: 30.0,
        orders_per_hour: 20.0,
        refund_within: Duration::from_secs(1800),
        refunds: 0.5,
        odd_rows: 0.3,
        dead_rows: 0.0,
        duplicates: 0.1,
        page_rows: 7,
        quiet_after: Some(Duration::from_secs(3600)),
        faults: Level::None,
        ..WorldOptions::default()
    }
}

#[test]
fn a_reader_who_reads_everything_reads_exactly_the_truth() {
    for seed in 0..2 {
        let mut client = Client::new(&lively(seed));
        let from = START.as_seconds().minus(7200);
        let mut read = BTreeSet::new();
        while !client.world.settlement(client.now, None).settled {
            read.extend(client.read_all(from));
            assert_eq!(read, client.truth(), "seed {seed}");
            client.pass(450);
            client.refresh("wx_simulated", "simulated-secret");
            assert!(client.now.0 < START.0 + 4 * 3_600_000, "seed {seed}: it never settles");
        }
        let settlement = client.world.settlement(client.now, None);
        assert_eq!((settlement.existing, settlement.shown), (settlement.visible, settlement.visible), "seed {seed}");
        assert_eq!(settlement.existing, read.len() as u64, "seed {seed}");
        let kinds: BTreeSet<&str> = ["PAID", "REFUNDED", "UNKNOWN", "touch"].into();
        for kind in kinds {
            assert!(read.iter().any(|fact| fact.contains(kind)), "seed {seed} has no {kind}");
        }
    }
}

/// A field that no row has is null on both sides of every comparison, which then proves nothing of it.
#[test]
fn each_field_that_is_compared_is_in_some_row() {
    let mut client = Client::new(&lively(1));
    client.pass(3600);
    client.refresh("wx_simulated", "simulated-secret");
    client.read_all(START.as_seconds().minus(7200));
    let lines: Vec<Value> = client.world.truth().iter().map(|shown| shown.to_json()).collect();
    for (record, kind) in [(RecordKind::Touch, "touch"), (RecordKind::Order, "order")] {
        for field in compared(record).unwrap() {
            let is_told = |line: &&Value| line["kind"] == kind && !line[field].is_null();
            assert!(lines.iter().any(|line| is_told(&line)), "no {kind} has {field}");
        }
    }
}

#[test]
fn what_did_not_arrive_was_not_shown() {
    let mut client = Client::new(&WorldOptions { history_touches: Some(50), ..WorldOptions::plain() });
    let promoter = client.world.promoter_ids()[0].clone();
    let answer = client.post("/promoter/getrelation", &serde_json::json!({"openid": promoter}));
    assert!(client.world.truth().is_empty());
    client.world.delivered(answer.receipt);
    assert_eq!(client.world.truth().iter().filter(|line| matches!(line.content, ShownContent::Touch(..))).count(), 50);
}

#[test]
fn a_late_fact_appears_later_and_a_quiet_world_tells_that_more_is_to_come() {
    let options = WorldOptions {
        promoters: 10,
        late: 1.0,
        history: Duration::ZERO,
        touches_per_hour: 600.0,
        quiet_after: Some(Duration::from_secs(60)),
        ..WorldOptions::plain()
    };
    let mut client = Client::new(&options);
    client.pass(60);
    client.read_all(START.as_seconds());
    let early = client.world.settlement(client.now, None);
    assert!(early.shown == early.visible && early.visible < early.existing && !early.settled, "{early:?}");
    client.pass(480);
    client.read_all(START.as_seconds());
    let late = client.world.settlement(client.now, None);
    assert!(late.settled && late.existing == early.existing, "{late:?}");
}

#[test]
fn a_world_that_stands_still_shows_what_is_visible_and_nothing_new() {
    let options = WorldOptions {
        late: 0.5,
        touches_per_hour: 600.0,
        history: Duration::from_secs(600),
        fault: vec!["busy=1".parse().unwrap()],
        ..WorldOptions::plain()
    };
    let mut client = Client::new(&options);
    let promoter = client.world.promoter_ids()[0].clone();
    let request = serde_json::json!({"openid": promoter});
    assert_eq!(client.errcode("/promoter/getrelation", &request), -1);
    client.world.stand_still(client.now);
    let before = client.world.settlement(client.now, None);
    assert!(before.shown == 0 && before.visible > 0 && before.visible < before.existing && !before.settled);
    client.pass(3600);
    client.read_all(START.as_seconds().minus(600));
    let after = client.world.settlement(client.now, None);
    assert_eq!((after.existing, after.visible, after.shown), (before.existing, before.visible, before.visible));
    assert!(after.settled);
}

#[test]
fn a_dead_row_has_the_same_bytes_whenever_it_is_shown() {
    let options = WorldOptions { dead_rows: 1.0, edit_every: Duration::from_secs(60), odd_rows: 0.5, ..lively(3) };
    let mut client = Client::new(&options);
    let mut bodies = Vec::new();
    for _ in 0..3 {
        for promoter in client.world.promoter_ids() {
            let answer = client.post("/promoter/getrelation", &serde_json::json!({"openid": promoter}));
            bodies.push(answer.body.clone());
            client.world.delivered(answer.receipt);
            let answer = client.post("/promoter/getorder", &serde_json::json!({"openid": promoter}));
            bodies.push(answer.body.clone());
            client.world.delivered(answer.receipt);
        }
        client.pass(300);
    }
    let truth = client.world.truth();
    let dead: Vec<_> = truth
        .iter()
        .filter_map(|line| match &line.content {
            ShownContent::DeadRow(raw) => Some(raw),
            _ => None,
        })
        .collect();
    assert!(dead.len() > 30, "{} dead rows", dead.len());
    for raw in &dead {
        let stands_in = |body: &[u8]| body.windows(raw.len()).any(|window| window == &raw[..]);
        assert!(bodies.iter().any(|body| stands_in(body)), "{}", String::from_utf8_lossy(raw));
    }
    let distinct: BTreeSet<_> = dead.iter().collect();
    assert_eq!(distinct.len(), dead.len());
}

#[test]
fn the_day_of_an_order_is_beijings_or_utcs_as_the_option_says() {
    for (days, is_beijing) in [(DayZone::Beijing, true), (DayZone::Utc, false)] {
        let options = WorldOptions {
            history_orders: Some(200),
            history: Duration::from_secs(3 * 86_400),
            days,
            ..WorldOptions::plain()
        };
        let mut client = Client::new(&options);
        let promoter = client.world.promoter_ids()[0].clone();
        let day = Day::in_beijing(START.as_seconds()).previous();
        client.orders(&promoter, day);
        let truth = client.world.truth();
        assert!(!truth.is_empty());
        let in_day = |shown: &crate::simulator::Shown| match &shown.content {
            ShownContent::Order { payment, .. } if is_beijing => Day::in_beijing(payment.paid_time) == day,
            ShownContent::Order { payment, .. } => Day::in_utc(payment.paid_time) == day,
            _ => false,
        };
        assert!(truth.iter().all(in_day));
    }
}

/// Reads all touches page by page, with time passing between the pages.
fn slow_pull(client: &mut Client, promoter: &str, seconds_a_page: i64) -> Vec<String> {
    let mut request = serde_json::json!({"openid": promoter});
    let mut users = Vec::new();
    loop {
        let body: Value = serde_json::from_slice(&client.post("/promoter/getrelation", &request).body).unwrap();
        let rows = body["relation_list"].as_array().into_iter().flatten();
        users.extend(rows.map(|row| row["openid"].as_str().unwrap().to_owned()));
        if body["total_cnt"] != 1000 {
            return users;
        }
        request["start_id"] = body["start_id"].clone();
        client.pass(seconds_a_page);
    }
}

#[test]
fn young_rows_move_so_that_a_pull_shows_some_twice_and_misses_some_which_a_later_pull_shows() {
    let (mut twice, mut missed) = (0, 0);
    for seed in 0..3 {
        let options = WorldOptions {
            seed,
            page_rows: 10,
            history: Duration::from_secs(1200),
            touches_per_hour: 300.0,
            moving: Duration::from_secs(120),
            quiet_after: Some(Duration::from_secs(1)),
            ..WorldOptions::plain()
        };
        let mut client = Client::new(&options);
        client.pass(60);
        for promoter in client.world.promoter_ids() {
            let at = client.now;
            let first = slow_pull(&mut client, &promoter, 10);
            let distinct: BTreeSet<_> = first.iter().cloned().collect();
            client.pass(300);
            let rested = slow_pull(&mut client, &promoter, 10);
            let all: BTreeSet<_> = rested.iter().cloned().collect();
            assert_eq!(all.len(), rested.len(), "rows that rest are shown once");
            twice += first.len() - distinct.len();
            missed += all.difference(&distinct).count();
            client.now = at;
        }
    }
    assert!(twice > 0 && missed > 0, "{twice} twice, {missed} missed");
}

#[test]
fn the_ends_of_a_window_belong_to_it_or_not_as_the_option_says() {
    let rows = |bounds: Bounds| {
        let options = WorldOptions {
            history_touches: Some(100),
            history: Duration::from_secs(1000),
            bounds,
            ..WorldOptions::plain()
        };
        let mut client = Client::new(&WorldOptions { touches_per_hour: 0.0, ..options });
        let first = START.as_seconds().0 - 1000;
        // A touch every ten seconds: the window begins and ends with one.
        let request =
            |promoter| serde_json::json!({"openid": promoter, "begin_time": first + 100, "end_time": first + 200});
        let ids = client.world.promoter_ids();
        let counts = ids.iter().map(|id| client.pages("/promoter/getrelation", &request(id))[0].rows.len());
        counts.collect::<BTreeSet<usize>>()
    };
    assert_eq!(rows(Bounds::Inclusive), [11].into());
    assert_eq!(rows(Bounds::Exclusive), [9].into());
    assert!(rows(Bounds::Seeded).len() > 1);
}
