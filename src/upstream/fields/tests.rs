//! Rows as the upstream writes them, and what is wrong with some.

use super::*;

const NOW: UnixTime = UnixTime(1_700_000_000);

/// A time in every test that does not matter.
const T: i64 = 1_600_000_000;

fn asked(kind: RowKind) -> ExpectedPage<'static> {
    ExpectedPage { kind, promoter_id: "oP", is_first: true }
}

fn read_touch(text: &str) -> Result<ReadFields, RowFault> {
    read_row(text.as_bytes(), asked(RowKind::Touch), NOW)
}

fn touch(text: &str) -> Result<Touch, RowFault> {
    match read_touch(text)?.row {
        Row::Touch(_, touch) => Ok(touch),
        Row::Order(..) => panic!("a row of getrelation became an order"),
    }
}

fn read_order(more: &str) -> Result<ReadFields, RowFault> {
    let text = format!(r#"{{"openid":"u","mch_id":"m","trade_no":"t","paid_amount":150{more}}}"#);
    read_row(text.as_bytes(), asked(RowKind::Order), NOW)
}

fn payment(more: &str) -> Result<Payment, RowFault> {
    match read_order(more)?.row {
        Row::Order(_, payment) => Ok(payment),
        Row::Touch(..) => panic!("a row of getorder became a touch"),
    }
}

/// The times of a payment and its refund, counted from `T`; a digit in `more` stands for the time that many seconds after `T`.
fn times(more: &str) -> (i64, Option<i64>) {
    let payment = payment(&dated(more)).unwrap();
    (payment.paid_time.0 - T, payment.refunded_time.map(|time| time.0 - T))
}

/// Digits other than 0 become times.
fn dated(more: &str) -> String {
    let expand = |c: char| match c.to_digit(10) {
        Some(digit @ 1..) => (T + i64::from(digit)).to_string(),
        _ => c.to_string(),
    };
    more.chars().map(expand).collect()
}

fn reason<R: fmt::Debug>(read: Result<R, RowFault>) -> &'static str {
    read.unwrap_err().reason
}

#[test]
fn the_second_of_two_paid_times_is_the_refund() {
    assert_eq!(times(r#","paid_time":5,"paid_time":9"#), (5, Some(9)));
    assert_eq!(times(r#","paid_time":"5","paid_time":"9","refunded_time":null"#), (5, Some(9)));
    assert_eq!(times(r#","refunded_time":0,"paid_time":5,"paid_time":9"#), (5, Some(9)));
    assert_eq!(times(r#","paid_time":5,"paid_time":7,"paid_time":9"#), (5, Some(9)));
}

#[test]
fn a_refund_with_its_own_time_leaves_the_first_paid_time_to_the_payment() {
    assert_eq!(times(r#","paid_time":5,"paid_time":9,"refunded_time":8"#), (5, Some(8)));
    assert_eq!(times(r#","refunded_time":8,"paid_time":5,"paid_time":9"#), (5, Some(8)));
}

#[test]
fn an_absent_paid_time_is_not_counted_as_one_of_two() {
    for absent in ["0", "\"0\"", "null", "\"\"", "0.0"] {
        assert_eq!(times(&format!(r#","paid_time":{absent},"paid_time":9"#)), (9, None), "{absent}");
        assert_eq!(times(&format!(r#","paid_time":9,"paid_time":{absent}"#)), (9, None), "{absent}");
    }
    assert_eq!(reason(payment(r#","paid_time":0"#)), "missing_paid_time");
}

#[test]
fn of_other_doubled_fields_the_last_that_says_something_counts() {
    let row =
        format!(r#"{{"openid":"a","openid":"b","openid":null,"openid":"","create_time":{T},"scene":[],"scene":2}}"#);
    let row = touch(&row).unwrap();
    assert_eq!((row.openid.as_str(), row.scene), ("b", Some(2)));
}

#[test]
fn unknown_fields_are_passed_over_whatever_they_hold() {
    let row =
        format!(r#"{{"a":{{"openid":[1]}},"openid":"u","b":1e999,"create_time":{T},"c":"\ud800","ppp":[[{{}}]]}}"#);
    assert_eq!(touch(&row).unwrap().openid, "u");
}

#[test]
fn names_are_recognised_through_escapes() {
    assert_eq!(touch(&format!(r#"{{"\u006fpenid":"u","create_time":{T}}}"#)).unwrap().openid, "u");
}

#[test]
fn empty_text_is_absent_and_numbers_and_texts_change_places() {
    let read = read_touch(r#"{"openid":12345678901234567890123,"create_time":"1600000000","path":"","scene":"1007","retail_id":4.0,"role_id":1.0,"extra_info":true}"#).unwrap();
    let Row::Touch(create_time, row) = read.row else { panic!("no touch") };
    assert_eq!(row.openid, "12345678901234567890123");
    assert_eq!(create_time, UnixTime(T));
    assert_eq!((row.path, row.scene), (None, Some(1007)));
    assert_eq!((row.retail_id.as_deref(), row.role_id), (Some("4.0"), Some(1)));
    assert_eq!(row.extra_info.as_deref(), Some("true"));
}

#[test]
fn a_row_without_what_it_needs_names_the_field() {
    assert_eq!(reason(touch(&format!(r#"{{"create_time":{T}}}"#))), "missing_openid");
    assert_eq!(reason(touch(r#"{"openid":"u"}"#)), "missing_create_time");
    assert_eq!(reason(touch(r#"{"openid":"u","create_time":"0"}"#)), "missing_create_time");
    assert_eq!(reason(payment("")), "missing_paid_time");
    for name in ["openid", "mch_id", "trade_no", "paid_amount"] {
        let fault = payment(&format!(r#","paid_time":{T},"{name}":null"#));
        assert!(fault.is_ok(), "a null after a value says nothing");
    }
    for (left_out, row) in [
        ("missing_mch_id", r#"{"openid":"u","trade_no":"t","paid_amount":1,"paid_time":1600000000}"#),
        ("missing_trade_no", r#"{"openid":"u","mch_id":"m","paid_amount":1,"paid_time":1600000000}"#),
        ("missing_paid_amount", r#"{"openid":"u","mch_id":"m","trade_no":"t","paid_time":1600000000}"#),
    ] {
        assert_eq!(reason(read_row(row.as_bytes(), asked(RowKind::Order), NOW)), left_out);
    }
}

#[test]
fn an_order_needs_no_create_time_and_no_status() {
    let payment = payment(&format!(r#","paid_time":{T}"#)).unwrap();
    assert_eq!((payment.status_code, payment.paid_amount), (0, 150));
}

#[test]
fn a_needed_value_of_the_wrong_kind_names_the_field() {
    assert_eq!(reason(touch(r#"{"openid":"u","create_time":1.5}"#)), "bad_create_time");
    assert_eq!(reason(touch(&format!(r#"{{"openid":["u"],"create_time":{T}}}"#))), "bad_openid");
    assert_eq!(reason(payment(&format!(r#","paid_time":{T},"paid_amount":"1,50""#))), "bad_paid_amount");
}

#[test]
fn an_optional_field_that_cannot_be_read_is_absent_and_named() {
    let odd = r#""scene":"x","path":["a"],"role_id":18446744073709551615,"retail_id":{},"extra_info":[],"share_extra_info":{}"#;
    let read = read_touch(&format!(r#"{{"openid":"u","create_time":{T},{odd}}}"#)).unwrap();
    let Row::Touch(create_time, row) = read.row else { panic!("no touch") };
    assert_eq!((create_time, row), (UnixTime(T), Touch { openid: "u".into(), ..Touch::default() }));
    assert_eq!(read.unreadable, ["path", "scene", "share_extra_info", "role_id", "retail_id", "extra_info"]);
    let odd = r#","status":"paid","out_trade_no":[1],"create_time":"soon","refunded_time":{}"#;
    let read = read_order(&format!(r#","paid_time":{T}{odd}"#)).unwrap();
    let Row::Order(_, payment) = read.row else { panic!("no order") };
    assert_eq!((payment.create_time, payment.out_trade_no, payment.refunded_time), (None, None, None));
    assert_eq!((payment.status_code, read.unreadable.len()), (0, 4));
}

#[test]
fn an_optional_time_that_cannot_be_true_is_absent() {
    for time in [1, TIME_MIN.0 - 1, NOW.0 + AHEAD_SECONDS_MAX + 1, 1_668_667_349_000] {
        let read = read_order(&format!(r#","paid_time":{T},"refunded_time":{time},"create_time":{time}"#)).unwrap();
        assert_eq!(read.unreadable, ["create_time", "refunded_time"], "{time}");
    }
}

#[test]
fn a_needed_time_that_cannot_be_true_is_refused() {
    let latest = NOW.plus(AHEAD_SECONDS_MAX).0;
    for time in [TIME_MIN.0, latest] {
        assert_eq!(payment(&format!(r#","paid_time":{time}"#)).unwrap().paid_time, UnixTime(time));
    }
    assert_eq!(reason(payment(&format!(r#","paid_time":{}"#, latest + 1))), "time_ahead");
    assert_eq!(reason(touch(r#"{"openid":"u","create_time":1668667349000}"#)), "time_ahead");
    for time in ["-5", "1", "1700000", "20231115", "1420041599"] {
        assert_eq!(reason(touch(&format!(r#"{{"openid":"u","create_time":{time}}}"#))), "time_before_2015");
        assert_eq!(reason(payment(&format!(r#","paid_time":{time}"#))), "time_before_2015");
    }
}

#[test]
fn a_row_of_another_promoter_is_read_and_told() {
    for (named, another) in [("", false), (r#""promoter_openid":"oP","#, false), (r#""promoter_openid":"oQ","#, true)] {
        let read = read_touch(&format!(r#"{{{named}"openid":"u","create_time":{T}}}"#)).unwrap();
        assert_eq!(read.names_another, another, "{named}");
    }
    let read = read_touch(&format!(r#"{{"promoter_openid":7,"openid":"u","create_time":{T}}}"#)).unwrap();
    assert!(read.names_another);
}

#[test]
fn what_is_no_object_or_no_json_says_so() {
    for row in ["null", "1", "[]", "\"x\"", ""] {
        assert_eq!(reason(touch(row)), "not_an_object", "{row}");
    }
    for row in ["{", r#"{"openid":tru}"#, r#"{"openid":"u"}x"#, r#"{"a":"b"c"}"#] {
        assert_eq!(reason(touch(row)), "not_json", "{row}");
    }
}

#[test]
fn a_row_with_broken_bytes_is_read_with_replacements() {
    let raw = b"{\"openid\":\"u\xff\",\"create_time\":1600000000,\"path\":\"a\nb\",\"extra_info\":\"\\ud83d\"}";
    let read = read_row(raw, asked(RowKind::Touch), NOW).unwrap();
    let Row::Touch(_, row) = read.row else { panic!("the row was lost") };
    assert_eq!(row.openid, "u\u{FFFD}");
    assert_eq!(row.path.as_deref(), Some("a\nb"));
    assert_eq!(row.extra_info.as_deref(), Some("\u{FFFD}"));
    assert_eq!(read.unreadable, [""; 0]);
}

#[test]
fn nesting_without_end_does_not_exhaust_the_stack() {
    let deep = "[".repeat(200_000);
    let closed =
        format!(r#"{{"x":{deep}{},"create_time":{T},"openid":{deep}{}}}"#, "]".repeat(200_000), "]".repeat(200_000));
    assert_eq!(reason(touch(&closed)), "bad_openid");
    assert_eq!(reason(touch(&format!(r#"{{"x":{deep}"#))), "not_json");
}

#[test]
fn where_users_are_shown_by_pseudonyms_no_documented_field_is_left_out_of_a_dead_letter() {
    let left_out = Field::ALL.into_iter().filter(|field| !crate::user_ids::is_shown(field.name()));
    assert_eq!(left_out.collect::<Vec<_>>(), []);
}
