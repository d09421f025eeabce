//! The official page's samples, and the irregularities seen in the field.

use super::*;
use crate::model::feed::EventTopic;
use crate::model::row::{Row, RowKind};
use crate::upstream::raw_page::{ROWS_MAX, START_ID_BYTES_MAX};

mod any_bytes;
mod broken_rows;

const NOW: UnixTime = UnixTime(1_700_000_000);
const RELATION_SAMPLE: &[u8] = include_bytes!("../../../tests/samples/getrelation-answer.json");
const ORDER_SAMPLE: &[u8] = include_bytes!("../../../tests/samples/getorder-answer.json");
/// What the official page shows of an answer with rows of the kind.
fn sample(rows: RowKind) -> &'static [u8] {
    match rows {
        RowKind::Touch => RELATION_SAMPLE,
        RowKind::Order => ORDER_SAMPLE,
    }
}

#[test]
fn of_every_kind_of_rows_a_sample_is_read() {
    for topic in EventTopic::ALL {
        let expected = ExpectedPage { kind: topic.rows(), ..TOUCHES };
        let rows = read_page(sample(topic.rows()), expected, NOW).unwrap().1.rows;
        assert!(!rows.is_empty() && rows.iter().all(|row| row.content.is_ok()), "{rows:?}");
    }
}

const MATERIAL_SAMPLE: &[u8] = include_bytes!("../../../tests/samples/getsharematerial-answer.json");

const TOUCHES: ExpectedPage = ExpectedPage { kind: RowKind::Touch, promoter_id: "p", is_first: true };
const ORDERS: ExpectedPage = ExpectedPage { kind: RowKind::Order, ..TOUCHES };

fn touches(body: impl AsRef<[u8]>) -> RowPage {
    read_page(body.as_ref(), TOUCHES, NOW).unwrap().1
}

fn fault(body: impl AsRef<[u8]>) -> PageFault {
    read_page(body.as_ref(), TOUCHES, NOW).unwrap_err()
}

fn openids(page: &RowPage) -> Vec<String> {
    let openid = |row: &ReadRow| match &row.content {
        Ok(Row::Touch(_, touch) | Row::Order(touch, _)) => touch.openid.clone(),
        Err(fault) => format!("!{}", fault.reason),
    };
    page.rows.iter().map(openid).collect()
}

/// A page whose middle row is `row`.
fn around(row: &[u8]) -> Vec<u8> {
    let mut page = br#"{"relation_list":[{"promoter_openid":"p","openid":"a","create_time":1600000001},"#.to_vec();
    page.extend_from_slice(row);
    page.extend_from_slice(
        br#",{"promoter_openid":"p","openid":"z","create_time":1600000002}],"total_cnt":3,"errcode":0}"#,
    );
    page
}

#[test]
fn the_official_sample_of_touches_is_read() {
    let page = touches(RELATION_SAMPLE);
    assert_eq!((page.total_cnt, page.start_id.as_deref()), (Some(2), Some("2")));
    assert_eq!(page.rows.len(), 2);
    for row in &page.rows {
        let Ok(Row::Touch(create_time, touch)) = &row.content else { panic!("{row:?}") };
        assert_eq!(*create_time, UnixTime(1_668_667_349));
        assert_eq!((touch.scene, touch.role_id, touch.path.as_deref()), (Some(1077), Some(1), Some("pages/xxxxx")));
    }
}

#[test]
fn the_official_sample_of_orders_is_read_with_its_doubled_paid_time() {
    let page = read_page(ORDER_SAMPLE, ORDERS, NOW).unwrap().1;
    let [paid, refunded] = &page.rows[..] else { panic!("two rows are printed") };
    let (Ok(Row::Order(_, paid)), Ok(Row::Order(_, refunded))) = (&paid.content, &refunded.content) else {
        panic!("{page:?}")
    };
    assert_eq!((paid.status_code, paid.paid_amount, paid.refunded_time), (1, 150, None));
    assert_eq!(refunded.status_code, 2);
    assert_eq!(refunded.paid_time, UnixTime(1_668_667_360));
    assert_eq!(refunded.refunded_time, Some(UnixTime(1_668_668_000)));
}

#[test]
fn the_official_sample_of_material_is_a_success() {
    assert_eq!(read_envelope(MATERIAL_SAMPLE), Ok(Envelope::default()));
}

#[test]
fn the_raw_bytes_are_those_of_the_row_and_nothing_more() {
    let row = br#"{ "openid" : "u",  "create_time":1600000001 , "x":[ {"y":"},{"} ] }"#;
    let page = touches([b"{\"relation_list\": [ ", &row[..], b" ,\n", row, b"\t] }"].concat());
    assert_eq!(page.rows.iter().map(|row| &*row.raw).collect::<Vec<_>>(), [row, row]);
}

#[test]
fn a_list_that_is_absent_null_or_empty_has_no_rows() {
    for list in ["", r#","relation_list":null"#, r#","relation_list":"""#, r#","relation_list":[ ]"#] {
        assert_eq!(touches(format!(r#"{{"errcode":0{list}}}"#)), RowPage::default(), "{list}");
    }
    assert_eq!(touches(r#"{"relation_list":[]}"#), RowPage::default());
}

/// Each of them would move the cursor if it passed for a page without rows.
#[test]
fn what_has_no_field_of_an_answer_is_none() {
    let page = r#"{"relation_list":[{"openid":"u","create_time":1600000001}],"total_cnt":1,"errcode":0}"#;
    for body in [
        "{}",
        r#"{"code":50013,"message":"rate limited"}"#,
        r#"{"errcode":null}"#,
        r#"{"errcode":null,"relation_list":null,"total_cnt":null,"start_id":""}"#,
        r#"{"errmsg":"ok"}"#,
        r#"{"order_list":[]}"#,
        r#"{"start_id":{}}"#,
        "{\"errmsg\":\"\u{1}\"}",
        &format!(r#"{{"code":0,"data":{page}}}"#),
        &format!(r#"{{"errcode":0,"data":{page}}}"#),
        &format!(r#"{{"errcode":0,"errmsg":"ok","result":[{page}]}}"#),
    ] {
        assert!(matches!(fault(body), PageFault::NotAnAnswer(_)), "{body}");
    }
}

#[test]
fn what_is_added_to_an_answer_leaves_it_one() {
    for body in
        [r#"{"errcode":0,"rid":"x","cost":1}"#, r#"{"total_cnt":0,"more":{"a":[1]}}"#, r#"{"errcode":-1,"more":{}}"#]
    {
        assert!(read_page(body.as_bytes(), TOUCHES, NOW).is_ok(), "{body}");
    }
}

#[test]
fn a_field_of_an_answer_that_is_of_another_kind_makes_it_none() {
    for field in
        [r#""errcode":"x""#, r#""errcode":true"#, r#""total_cnt":"x""#, r#""total_cnt":{}"#, r#""total_cnt":1.5"#]
    {
        let body = format!(r#"{{"relation_list":[],"errcode":0,{field}}}"#);
        assert!(matches!(fault(&body), PageFault::NotAnAnswer(_)), "{body}");
    }
}

#[test]
fn rows_that_are_counted_and_not_there_are_missed_on_a_first_page() {
    for list in ["", r#""relation_list":null,"#, r#""relation_list":[],"#] {
        let body = format!(r#"{{"errcode":0,{list}"total_cnt":12}}"#);
        assert_eq!(fault(&body), PageFault::RowsMissing(12));
        let later = read_page(body.as_bytes(), ExpectedPage { is_first: false, ..TOUCHES }, NOW).unwrap().1;
        assert_eq!((later.rows.len(), later.total_cnt), (0, Some(12)));
    }
    for total_cnt in ["0", "-1", "\"0\"", "null"] {
        assert!(touches(format!(r#"{{"errcode":0,"total_cnt":{total_cnt}}}"#)).rows.is_empty(), "{total_cnt}");
    }
}

#[test]
fn what_is_odd_about_rows_is_counted() {
    let row = |more: &str| format!(r#"{{"openid":"u","create_time":1600000001{more}}}"#);
    let rows = [
        row(""),
        row(r#","promoter_openid":"q","scene":{}"#),
        row(r#","promoter_openid":"q","scene":"x","path":[]"#),
        r#"{"promoter_openid":"q","scene":{},"create_time":1600000001}"#.to_owned(),
    ];
    let page = touches(format!(r#"{{"relation_list":[{}]}}"#, rows.join(",")));
    assert_eq!(openids(&page), ["u", "u", "u", "!missing_openid"]);
    assert_eq!(page.oddities.other_promoter, 2);
    assert_eq!(Vec::from_iter(page.oddities.unreadable_fields), [("path", 1), ("scene", 2)]);
}

#[test]
fn a_list_of_another_kind_or_there_twice_is_refused() {
    for list in ["{}", "1", "-1", "1.5", "true", "\"x\"", r#"[],"relation_list":[1]"#] {
        assert_eq!(fault(format!(r#"{{"relation_list":{list}}}"#)), PageFault::List("relation_list"), "{list}");
    }
    let broken = "{\"relation_list\":[1],\"relation_list\":[2],\"errmsg\":\"\n\"}";
    assert_eq!(fault(broken), PageFault::List("relation_list"));
}

#[test]
fn the_errcode_is_a_number_or_a_text_wherever_it_stands() {
    for body in [r#"{"errcode":40001,"errmsg":"no rid: 1"}"#, r#"{"errmsg":"no rid: 1","errcode":"40001"}"#] {
        let (envelope, page) = read_page(body.as_bytes(), ORDERS, NOW).unwrap();
        assert_eq!(envelope, Envelope { errcode: 40001, errmsg: "no rid: 1".into() });
        assert_eq!(page, RowPage::default());
    }
    assert_eq!(read_envelope(br#"{"errcode":-1}"#).unwrap().errcode, -1);
    assert!(matches!(read_envelope(br#"{"errcode":"x"}"#), Err(PageFault::NotAnAnswer(_))));
}

#[test]
fn with_an_errcode_the_rows_of_a_broken_page_do_not_count_either() {
    let body = b"{\"relation_list\":[{\"openid\":\"u\x01\",\"create_time\":1600000000}],\"errcode\":103006}";
    let (envelope, page) = read_page(body, TOUCHES, NOW).unwrap();
    assert_eq!((envelope.errcode, page), (103006, RowPage::default()));
}

#[test]
fn with_an_errcode_a_strange_list_does_not_matter() {
    let body = br#"{"relation_list":{},"errcode":45009}"#;
    assert_eq!(read_page(body, TOUCHES, NOW).unwrap().0.errcode, 45009);
}

#[test]
fn a_broken_errmsg_does_not_hide_the_errcode() {
    let envelope = read_envelope(b"{\"errmsg\":\"bad\x01 \xff\",\"errcode\":40013}").unwrap();
    assert_eq!(envelope, Envelope { errcode: 40013, errmsg: "bad\u{1} \u{FFFD}".into() });
}

#[test]
fn counts_come_as_numbers_and_as_text_and_a_start_id_keeps_its_digits() {
    for (body, total_cnt, start_id) in [
        (
            r#"{"relation_list":[1],"total_cnt":"7","start_id":12345678901234567890123}"#,
            Some(7),
            Some("12345678901234567890123"),
        ),
        (r#"{"relation_list":[1],"total_cnt":7,"start_id":"007"}"#, Some(7), Some("007")),
        (r#"{"total_cnt":null,"start_id":"","errcode":0}"#, None, None),
        (r#"{"start_id":false,"errcode":0}"#, None, None),
        (r#"{"start_id":0}"#, None, Some("0")),
    ] {
        let page = touches(body);
        assert_eq!((page.total_cnt, page.start_id.as_deref()), (total_cnt, start_id), "{body}");
    }
    let long = format!(r#"{{"start_id":"{}"}}"#, "9".repeat(START_ID_BYTES_MAX + 1));
    assert_eq!(fault(long), PageFault::StartId);
}

#[test]
fn what_is_no_answer_is_not_taken_for_an_empty_page() {
    for body in ["", " ", "\0", "null", "[]", "<html>busy</html>", "{", r#"{"errcode":0}x"#, r#"{"errcode":0}{}"#, "OK"]
    {
        assert!(matches!(fault(body), PageFault::NotAnAnswer(_)), "{body}");
    }
}

#[test]
fn an_answer_that_was_cut_off_anywhere_is_never_a_page() {
    for end in 0..RELATION_SAMPLE.len() {
        assert!(matches!(fault(&RELATION_SAMPLE[..end]), PageFault::NotAnAnswer(_)), "cut at {end}");
    }
    let damaged = around(b"{\"openid\":\"u\xff\",\"create_time\":1600000001}");
    for end in 0..damaged.len() {
        assert!(matches!(fault(&damaged[..end]), PageFault::NotAnAnswer(_)), "cut at {end}");
    }
}

#[test]
fn a_byte_order_mark_and_nuls_behind_the_answer_are_passed_over() {
    assert_eq!(touches([b"\xEF\xBB\xBF", RELATION_SAMPLE].concat()).rows.len(), 2);
    let damaged = around(b"{\"openid\":\"u\xff\",\"create_time\":1600000001}");
    for end in [&b"\0"[..], b"\n\0\0", b"\0\r\n"] {
        assert_eq!(touches([RELATION_SAMPLE, end].concat()).rows.len(), 2);
        assert_eq!(touches([&damaged[..], end].concat()).rows.len(), 3);
    }
    assert_eq!(read_envelope(b"{\"errcode\":-1}\0").unwrap().errcode, -1);
}
