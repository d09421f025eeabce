//! The judge is judged: whatever is dropped, doubled, invented or misordered, it says so.

#![allow(dead_code, reason = "each test binary uses its part of the harness")]

/// The part of the harness that is judged here.
mod harness {
    pub mod facts;
    pub mod judge;
}

use harness::facts::{published as found, shown};
use harness::judge::{PublishedEvent, judge};
use promoter_connector::avro::schemas::RecordKind;
use proptest::prelude::*;
use serde_json::{Value, json};

fn published_event(stream: &str, time: i64, key: &str) -> PublishedEvent {
    PublishedEvent { key: key.to_owned(), stream: stream.to_owned(), pages_max: 1, time }
}

fn keys(events: &[PublishedEvent]) -> Vec<String> {
    events.iter().map(|event| event.key.clone()).collect()
}

/// Some facts of several streams, each stream in the order of its times, all keys different.
fn facts() -> impl Strategy<Value = Vec<PublishedEvent>> {
    proptest::collection::vec((0..4_u8, 0..3_i64), 2..60).prop_map(|steps| {
        let mut clocks = [0; 4];
        let facts = steps.into_iter().enumerate().map(|(index, (stream, step))| {
            let clock = &mut clocks[usize::from(stream)];
            *clock += step;
            published_event(&format!("stream {stream}"), *clock, &format!("fact {index}"))
        });
        facts.collect()
    })
}

#[test]
fn what_was_shown_once_and_found_once_is_exact() {
    let found = [published_event("a", 1, "x"), published_event("b", 0, "y"), published_event("a", 1, "z")];
    let verdict = judge(keys(&found), found);
    assert!(verdict.is_exact());
    assert_eq!(verdict.to_string(), "shown 3, published 3, missing 0, twice 0, foreign 0, misordered 0");
    assert!(verdict.must_be_exact().is_ok());
}

#[test]
fn a_stream_of_two_pages_may_step_back_once() {
    let of_two = |time, key| PublishedEvent { pages_max: 2, ..published_event("a", time, key) };
    let found = [of_two(1, "v"), of_two(5, "w"), of_two(2, "x"), of_two(3, "y")];
    assert!(judge(keys(&found), found.clone()).is_exact());
    let found: Vec<_> = found.into_iter().chain([of_two(2, "z")]).collect();
    assert_eq!(judge(keys(&found), found).misordered, ["z"]);
}

#[test]
fn nothing_shown_proves_nothing() {
    assert!(judge([], []).must_be_exact().is_err());
}

#[test]
fn the_verdict_names_the_first_few_of_each_fault() {
    let missing = (0..7).map(|index| format!("lost {index}"));
    let verdict =
        judge(missing.chain(["x".to_owned()]), [published_event("a", 5, "x"), published_event("a", 4, "alien")]);
    assert_eq!(
        verdict.must_be_exact().expect_err("it is not exact").to_string(),
        "shown 8, published 2, missing 7, twice 0, foreign 1, misordered 1\n  missing: lost 0\n  missing: lost 1\n  \
         missing: lost 2\n  missing: lost 3\n  missing: lost 4\n  missing: … and 2 more\n  foreign: alien\n  \
         misordered: alien"
    );
}

#[test]
fn one_fact_shown_twice_must_be_found_twice() {
    let shown = || ["x".to_owned(), "x".to_owned()];
    assert!(judge(shown(), [published_event("a", 1, "x"), published_event("a", 1, "x")]).is_exact());
    assert_eq!(judge(shown(), [published_event("a", 1, "x")]).missing, ["x"]);
}

fn shown_order() -> Value {
    json!({
        "kind": "order", "app_id": "wx1", "promoter_openid": "oA", "time": 1_668_700_000, "feeds": ["orders"],
        "openid": "oUser", "create_time": null, "path": "a|b", "scene": 1077, "share_extra_info": null,
        "mch_id": "19", "trade_no": "42", "out_trade_no": null, "status": "REFUNDED", "status_code": 2,
        "paid_amount": 199, "paid_time": 1_668_614_400, "refunded_time": 1_668_700_000
    })
}

fn published_order() -> Value {
    json!({
        "event_id": "00", "app_id": "wx1", "id_kind": "OPENID", "promoter_openid": "oA", "role_id": 7,
        "retail_id": null, "extra_info": null, "openid": "oUser", "create_time": null, "path": "a|b", "scene": 1077,
        "share_extra_info": null, "mch_id": "19", "trade_no": "42", "out_trade_no": null, "status": "REFUNDED",
        "status_code": 2, "paid_amount": 199, "paid_time": "2022-11-16T16:00:00Z",
        "refunded_time": "2022-11-17T15:46:40Z", "observed_at": "2022-11-17T16:00:00.123Z"
    })
}

#[test]
fn an_order_is_the_same_on_both_sides() {
    let order = found(&published_order()).unwrap();
    assert_eq!(order.key, shown(&shown_order()).unwrap());
    assert_eq!(order.time, 1_668_700_000);
}

#[test]
fn a_refund_without_its_time_stands_where_it_was_observed() {
    let mut event = published_order();
    event["refunded_time"] = Value::Null;
    assert_eq!(found(&event).unwrap().time, 1_668_700_800);
    event["status"] = json!("PAID");
    assert_eq!(found(&event).unwrap().time, 1_668_614_400);
}

#[test]
fn a_touch_is_the_same_on_both_sides() {
    let line = json!({
        "kind": "touch", "app_id": "wx1", "promoter_openid": "oA", "time": 1_668_614_400, "feeds": ["touches"],
        "openid": "oUser", "create_time": 1_668_614_400, "path": null, "scene": null, "share_extra_info": "\u{FFFD}"
    });
    let event = json!({
        "app_id": "wx1", "promoter_openid": "oA", "openid": "oUser", "create_time": "2022-11-17T00:00:00+08:00",
        "path": null, "scene": null, "share_extra_info": "\u{FFFD}", "observed_at": "2022-11-17T16:00:00Z"
    });
    assert_eq!(found(&event).unwrap().key, shown(&line).unwrap());
}

#[test]
fn a_dead_row_is_the_same_on_both_sides() {
    let line = |raw: &str| json!({"kind": "dead_row", "app_id": "wx1", "promoter_openid": "oA", "raw_base64": raw, "time": 0, "feeds": []});
    let event = |raw: Value| json!({"source": "touches", "app_id": "wx1", "promoter_openid": "oA", "raw": raw});
    assert_eq!(found(&event(json!("{}"))).unwrap().key, shown(&line("e30=")).unwrap());
    assert_eq!(found(&event(json!({"base64": "/wA="}))).unwrap().key, shown(&line("/wA=")).unwrap());
}

#[test]
fn every_field_of_a_fact_is_compared_but_what_the_merchant_edits_and_the_connector_adds() {
    let right = found(&published_order()).unwrap().key;
    let schema: Value = serde_json::from_str(RecordKind::Order.text()).unwrap();
    for field in schema["fields"].as_array().unwrap() {
        let field = field["name"].as_str().unwrap();
        let mut event = published_order();
        assert!(event.get(field).is_some(), "the order of this test is without {field}");
        event[field] = if field.ends_with("_time") { json!("2020-01-01T00:00:00Z") } else { json!("other") };
        let is_left_out = ["event_id", "id_kind", "role_id", "retail_id", "extra_info", "observed_at"].contains(&field);
        assert_eq!(found(&event).unwrap().key == right, is_left_out, "{field}");
    }
}

#[test]
fn a_fraction_of_a_second_is_refused() {
    let mut event = published_order();
    event["paid_time"] = json!("2022-11-16T16:00:00.001Z");
    assert!(found(&event).is_err());
}

proptest! {
    #[test]
    fn any_order_between_streams_is_fine(found in facts()) {
        let mut other = found.clone();
        other.sort_by(|one, two| one.stream.cmp(&two.stream));
        prop_assert!(judge(keys(&found), found.clone()).is_exact());
        prop_assert!(judge(keys(&found), other).is_exact());
    }

    #[test]
    fn a_dropped_fact_is_missing(found in facts(), at in any::<prop::sample::Index>()) {
        let mut mutated = found.clone();
        let dropped = mutated.remove(at.index(found.len()));
        let verdict = judge(keys(&found), mutated);
        prop_assert_eq!(&verdict.missing, &[dropped.key]);
        prop_assert!(verdict.twice.is_empty() && verdict.foreign.is_empty() && verdict.misordered.is_empty());
    }

    #[test]
    fn a_doubled_fact_is_there_twice(found in facts(), at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let mut mutated = found.clone();
        let doubled = found[at.index(found.len())].clone();
        mutated.insert(to.index(found.len() + 1), doubled.clone());
        let verdict = judge(keys(&found), mutated);
        prop_assert_eq!(&verdict.twice, &[doubled.key]);
        prop_assert!(verdict.missing.is_empty() && verdict.foreign.is_empty());
    }

    #[test]
    fn a_fact_in_the_place_of_another_is_both_missing_and_twice(
        found in facts(),
        at in any::<prop::sample::Index>(),
        distance in any::<prop::sample::Index>(),
    ) {
        let lost = at.index(found.len());
        let copied = (lost + 1 + distance.index(found.len() - 1)) % found.len();
        let mut mutated = found.clone();
        mutated[lost] = found[copied].clone();
        let verdict = judge(keys(&found), mutated);
        prop_assert_eq!(&verdict.missing, &[found[lost].key.clone()]);
        prop_assert_eq!(&verdict.twice, &[found[copied].key.clone()]);
    }

    #[test]
    fn a_fact_that_was_never_shown_is_foreign(found in facts(), at in any::<prop::sample::Index>()) {
        let mut mutated = found.clone();
        mutated[at.index(found.len())].key.push('!');
        let verdict = judge(keys(&found), mutated);
        prop_assert_eq!(verdict.foreign.len(), 1);
        prop_assert_eq!(verdict.missing.len(), 1);
    }

    #[test]
    fn a_fact_behind_a_later_one_of_its_stream_is_misordered(found in facts(), at in any::<prop::sample::Index>()) {
        let mut mutated = found.clone();
        let moved = mutated.remove(at.index(found.len()));
        mutated.push(PublishedEvent { time: moved.time, ..moved.clone() });
        let later = found.iter().any(|other| other.stream == moved.stream && other.time > moved.time);
        let verdict = judge(keys(&found), mutated);
        let expected = if later { vec![moved.key] } else { vec![] };
        prop_assert_eq!(verdict.misordered, expected);
        prop_assert!(verdict.missing.is_empty() && verdict.twice.is_empty() && verdict.foreign.is_empty());
    }
}
