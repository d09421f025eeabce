//! The official page's samples, the irregularities seen in the field, and damage at random.

use proptest::prelude::*;

use super::*;
use crate::model::row::Row;
use crate::upstream::raw_page::{ROWS_MAX, START_ID_BYTES_MAX};

const NOW: UnixTime = UnixTime(1_700_000_000);
const RELATION_SAMPLE: &[u8] = include_bytes!("../../../tests/samples/getrelation-answer.json");
const ORDER_SAMPLE: &[u8] = include_bytes!("../../../tests/samples/getorder-answer.json");
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

#[test]
fn a_row_with_broken_bytes_is_read_and_keeps_them() {
    let row = b"{\"openid\":\"u\",\"create_time\":1600000001,\"path\":\"a\x02\xff\\ud800\"}";
    let page = touches(around(row));
    assert_eq!(openids(&page), ["a", "u", "z"]);
    assert_eq!(&*page.rows[1].raw, row);
}

#[test]
fn a_row_that_is_no_json_is_a_fault_in_its_own_place() {
    for (row, expected) in [
        (&br#"{"openid":tru}"#[..], "!not_json"),
        (br#"{"openid":"u" "create_time":1600000001}"#, "!not_json"),
        (br#"{"openid":"u","create_time":1600000001]}"#, "!not_json"),
        (br#"{"openid":"u","create_time":1600000001]]}"#, "!not_json"),
        (br#"{"openid":["u","create_time":1600000001}"#, "!not_json"),
        (br#"{"openid":{"u":1,"create_time":1600000001}"#, "!not_json"),
        (br#"{"openid":"u"c","create_time":1600000001}"#, "!not_json"),
        (br#"{"openid":"u","path":"a"]},","create_time":1600000001}"#, "!not_json"),
        (br#"{"openid":"u","create_time":1600000001}],"path":"b"}"#, "!not_json"),
        (br#"{"openid":"u\","create_time":1600000001}"#, "!not_json"),
        (br#"{"openid":"u,"create_time":1600000001}"#, "!not_json"),
        (br#"{"openid":"u","create_time":1600000001}x"#, "!not_json"),
        (br#"nul"#, "!not_an_object"),
    ] {
        let shown = String::from_utf8_lossy(row);
        let page = touches(around(row));
        assert_eq!(openids(&page), ["a", expected, "z"], "{shown}");
        assert_eq!(&*page.rows[1].raw, row, "{shown}");
    }
}

#[test]
fn a_row_closed_too_early_costs_no_other() {
    let page = touches(around(br#"{"openid":"u"},"create_time":1600000001,"path":"[,]"}"#));
    assert_eq!(openids(&page), ["a", "!missing_create_time", "!not_an_object", "z"]);
    let page = touches(around(br#"{"openid":"u","create_time":1600000001},]","path":"x"}"#));
    assert_eq!(openids(&page), ["a", "u", "!not_an_object", "z"]);
}

#[test]
fn the_last_row_may_be_the_broken_one() {
    for row in [r#"{"openid":"u"c","create_time":1600000001}"#, r#"{"openid":"u\","create_time":1600000001}"#] {
        for tail in [r#"],"total_cnt":2}"#, " ] } ", r#"] , "errcode" : 0}"#] {
            let page = touches(format!(r#"{{"relation_list":[{{"openid":"a","create_time":1600000001}},{row}{tail}"#));
            assert_eq!(openids(&page), ["a", "!not_json"], "{row}{tail}");
            assert_eq!(&*page.rows[1].raw, row.as_bytes());
        }
    }
}

#[test]
fn a_page_may_go_on_with_fields_that_are_not_known() {
    let page =
        touches("{\"relation_list\":[{\"openid\":\"a\",\"create_time\":1600000001}],\"x\":[\"\n\"],\"total_cnt\":1}");
    assert_eq!((openids(&page), page.total_cnt), (vec!["a".to_owned()], Some(1)));
}

#[test]
fn nested_objects_that_look_like_rows_do_not_split_theirs() {
    let row = r#"{"x":[{"openid":"1"},{"openid":"2"}],"openid":"u","create_time":1600000001}"#;
    let broken = format!(r#"{{"relation_list":[{row},{{"openid":tru}}]}}"#);
    let page = touches(broken);
    assert_eq!(openids(&page), ["u", "!not_json"]);
    assert_eq!(&*page.rows[0].raw, row.as_bytes());
}

#[test]
fn a_missing_comma_between_rows_costs_none() {
    let page = touches(
        r#"{"relation_list":[{"openid":"a","create_time":1600000001} {"openid":"b","create_time":1600000001}]}"#,
    );
    assert_eq!(openids(&page), ["a", "b"]);
}

#[test]
fn every_row_may_be_broken_on_a_large_page_without_taking_long() {
    let row = r#"{"openid":"u"c","create_time":1600000001,"path":"pages/index?a=b"}"#;
    let page = format!(r#"{{"relation_list":[{}]}}"#, vec![row; ROWS_MAX].join(","));
    assert_eq!(touches(page).rows.len(), ROWS_MAX);
}

#[test]
fn more_rows_than_any_page_has_are_refused() {
    for tail in ["]}", "],\"errmsg\":\"\n\"}"] {
        let page = format!(r#"{{"relation_list":[1{}{tail}"#, ",1".repeat(ROWS_MAX));
        assert_eq!(fault(page), PageFault::TooManyRows);
    }
}

#[test]
fn nesting_without_end_does_not_exhaust_the_stack() {
    let deep = "[".repeat(300_000) + &"]".repeat(300_000);
    assert_eq!(openids(&touches(format!(r#"{{"relation_list":[{deep}]}}"#))), ["!not_an_object"]);
    assert_eq!(openids(&touches(format!("{{\"relation_list\":[{deep}],\"errmsg\":\"\n\"}}"))), ["!not_an_object"]);
    assert!(matches!(fault("[{\"a\":".repeat(100_000)), PageFault::NotAnAnswer(_)));
    assert!(matches!(fault(format!("{{\"relation_list\":{}", "[{\"a\":".repeat(100_000))), PageFault::NotAnAnswer(_)));
}

#[test]
fn brackets_that_damage_put_between_rows_do_not_lift_the_bound() {
    let page = format!(r#"{{"relation_list":[{}]}}"#, r#"1],{"openid":"u"},"#.repeat(ROWS_MAX));
    assert_eq!(fault(page), PageFault::TooManyRows);
}

/// Text with everything that matters to a splitter in it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,8}",
        ".{0,12}",
        r#"[\[\]{},:" \\\n]{0,12}"#,
        Just(r#"},{"openid":""#.to_owned()),
        Just("],".to_owned())
    ]
}

fn valid_row() -> impl Strategy<Value = String> {
    (text(), text(), text(), 1_500_000_000i64..1_600_000_000, any::<bool>()).prop_map(|(openid, path, other, time, first)| {
        let row =
            serde_json::json!({"openid": format!("u{openid}"), "create_time": time, "path": path, "other": [other]});
        let row = row.to_string();
        // The upstream begins its rows with the promoter; serde_json sorts by name.
        if first { format!(r#"{{"promoter_openid":"p",{}"#, &row[1..]) } else { row }
    })
}

fn valid_page() -> impl Strategy<Value = (Vec<String>, String)> {
    (proptest::collection::vec(valid_row(), 1..8), "[ \n\t]{0,2}").prop_map(|(rows, space)| {
        let list = rows.join(&format!("{space},{space}"));
        let page = format!(r#"{{{space}"relation_list"{space}:{space}[{space}{list}{space}]{space},"total_cnt":1,"#);
        (rows, page + r#""start_id":"2","errcode":0,"errmsg":"OK"}"#)
    })
}

/// Every place strictly inside a string value of a row that begins with the promoter.
fn insides_of_strings(row: &str) -> Vec<usize> {
    let (mut insides, mut in_string, mut escaped) = (Vec::new(), false, false);
    for (at, byte) in row.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => insides.push(at),
            _ => {}
        }
    }
    insides
}

/// Rows as the upstream writes them: its own fields in its own order, user text in some.
fn upstream_row() -> impl Strategy<Value = String> {
    ("[A-Za-z0-9_-]{1,10}", text(), text()).prop_map(|(openid, path, extra)| {
        let (path, extra) = (serde_json::json!(path), serde_json::json!(extra));
        format!(
            r#"{{"promoter_openid":"oP","role_id":1,"extra_info":{extra},"openid":"{openid}","create_time":1600000005,"path":{path},"scene":1007}}"#
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_page(&body, ORDERS, NOW);
        let _ = read_page(&[b"{\"order_list\":[", &body[..]].concat(), ORDERS, NOW);
    }

    #[test]
    fn json_like_bytes_of_any_kind_are_read_or_refused(body in r#"[\[\]{},:"\\ a1\n]{0,60}"#) {
        let _ = read_page(format!(r#"{{"order_list":[{{"openid":"u"}},{body}]}}"#).as_bytes(), ORDERS, NOW);
    }

    #[test]
    fn both_ways_read_a_valid_page_alike((rows, page) in valid_page()) {
        // A control character in a text beside the list is all it takes to leave the strict way.
        let tolerant = page.replace(r#""errmsg":"OK""#, "\"errmsg\":\"\u{1}\"");
        let (strict, tolerant) = (touches(page), touches(tolerant));
        let raws: Vec<_> = strict.rows.iter().map(|row| String::from_utf8_lossy(&row.raw).into_owned()).collect();
        prop_assert_eq!(raws, rows);
        prop_assert!(strict.rows.iter().all(|row| row.content.is_ok()));
        prop_assert_eq!(strict, tolerant);
    }

    #[test]
    fn damage_in_one_row_leaves_the_others(
        rows in proptest::collection::vec(upstream_row(), 1..8),
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        damage in prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..6),
            r#"[\[\]{},:"\\]{1,4}"#.prop_map(String::into_bytes),
        ],
    ) {
        let which = which.index(rows.len());
        let mut bytes: Vec<Vec<u8>> = rows.iter().map(|row| row.clone().into_bytes()).collect();
        let insides = insides_of_strings(&rows[which]);
        let place = *place.get(&insides);
        bytes[which].splice(place..place + 1, damage);
        let page = [&b"{\"relation_list\":["[..], &bytes.join(&b','), b"],\"total_cnt\":3,\"start_id\":\"3\"}"].concat();
        let page = touches(page);
        for (at, row) in rows.iter().enumerate().filter(|(at, _)| *at != which) {
            let kept = page.rows.iter().any(|read| *read.raw == *row.as_bytes() && read.content.is_ok());
            prop_assert!(kept, "row {} of {} was lost with row {}: {:?}", at, rows.len(), which, page);
        }
        prop_assert_eq!(page.start_id.as_deref(), Some("3"));
    }
}
