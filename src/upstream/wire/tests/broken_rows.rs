//! Rows with something wrong in them: what that costs the others.

use super::*;

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
