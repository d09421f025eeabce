//! The fields of a row: from its bytes to a [`Row`], or to the reason why not.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::repair::read_loosely;
use super::value::{Mismatch, Value};
use super::wire::PageAsked;
use crate::domain::row::{Payment, Row, RowFault, Touch};
use crate::domain::time::UnixTime;

/// How far ahead of both clocks a time may lie. A Kafka record's time must not be in the future, so a row from
/// there is a broken row.
const AHEAD_SECONDS_MAX: i64 = 24 * 3600;
/// 2015-01-01 in Beijing. No Mini Program is older; what says so is seconds of something else, or a date.
const TIME_MIN: UnixTime = UnixTime(1_420_041_600);
const DETAIL_CHARS_MAX: usize = 200;

/// What the elements of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Of `relation_list`.
    Touch,
    /// Of `order_list`.
    Order,
}

/// A row, and what is beside it.
#[derive(Debug)]
pub struct ReadFields {
    pub row: Row,
    /// The optional fields that are there and can't be read: absent in `row`.
    pub unreadable: Vec<&'static str>,
    /// Whether it names another promoter than the one asked for.
    pub names_another: bool,
}

/// Reads one element of a list. `latest_now` is the later of the clocks known.
pub fn read_row(raw: &[u8], asked: PageAsked, latest_now: UnixTime) -> Result<ReadFields, RowFault> {
    if raw.first() != Some(&b'{') {
        return Err(RowFault { reason: "not_an_object", detail: "the row is no JSON object".into() });
    }
    let read = |text: &str| Fields::read(text).map(|fields| fields.row(asked, latest_now));
    read_loosely(raw, read).unwrap_or_else(|error| {
        let detail = error.to_string().chars().take(DETAIL_CHARS_MAX).collect();
        Err(RowFault { reason: "not_json", detail })
    })
}

macro_rules! fields {
    ($($variant:ident $name:literal),* $(,)?) => {
        /// The fields of the official page. A row may hold others: they are passed over, whatever they hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($variant),* }

        impl Field {
            const COUNT: usize = [$($name),*].len();

            pub fn from_name(name: &str) -> Option<Field> {
                match name {
                    $($name => Some(Field::$variant),)*
                    _ => None,
                }
            }

            fn name(self) -> &'static str {
                match self { $(Field::$variant => $name),* }
            }

            fn missing(self) -> RowFault {
                let reason = match self { $(Field::$variant => concat!("missing_", $name)),* };
                RowFault { reason, detail: format!("{} is missing or empty", self.name()) }
            }

            fn bad(self) -> RowFault {
                let reason = match self { $(Field::$variant => concat!("bad_", $name)),* };
                RowFault { reason, detail: format!("{} is of another kind", self.name()) }
            }
        }
    };
}

fields! {
    PromoterOpenid "promoter_openid",
    RoleId "role_id",
    RetailId "retail_id",
    ExtraInfo "extra_info",
    Openid "openid",
    CreateTime "create_time",
    Path "path",
    Scene "scene",
    ShareExtraInfo "share_extra_info",
    MchId "mch_id",
    TradeNo "trade_no",
    OutTradeNo "out_trade_no",
    Status "status",
    PaidAmount "paid_amount",
    PaidTime "paid_time",
    RefundedTime "refunded_time",
}

/// A row's values by field. Of a field that stands there several times the last value counts that is not absent.
#[derive(Default)]
struct Fields<'a> {
    values: [Value<'a>; Field::COUNT],
    /// The official page's own sample carries `paid_time` twice: first the payment, then the refund.
    first_paid_time: Option<Value<'a>>,
    unreadable: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Fields<'a>, serde_json::Error> {
        serde_json::from_str(text)
    }

    fn put(&mut self, field: Field, value: Value<'a>) {
        if value.is_absent() || (field.is_time() && value.integer() == Ok(Some(0))) {
            return;
        }
        let slot = &mut self.values[field as usize];
        let before = std::mem::replace(slot, value);
        if field == Field::PaidTime && self.first_paid_time.is_none() && !before.is_absent() {
            self.first_paid_time = Some(before);
        }
    }

    /// With two `paid_time`, the second is the refund's unless that has its own field.
    fn settle_paid_time(&mut self) {
        if let Some(first) = self.first_paid_time.take() {
            let last = std::mem::replace(&mut self.values[Field::PaidTime as usize], first);
            let refunded = &mut self.values[Field::RefundedTime as usize];
            if refunded.is_absent() {
                *refunded = last;
            }
        }
    }

    fn row(mut self, asked: PageAsked, latest_now: UnixTime) -> Result<ReadFields, RowFault> {
        self.settle_paid_time();
        let row = match asked.kind {
            RowKind::Touch => {
                let create_time = Some(self.required_time(Field::CreateTime, latest_now)?);
                Row::Touch(Touch { create_time, ..self.touch()? })
            }
            RowKind::Order => {
                let create_time = self.optional(Field::CreateTime, |value| time(value, latest_now));
                Row::Order(Touch { create_time, ..self.touch()? }, self.payment(latest_now)?)
            }
        };
        let names_another = self.values[Field::PromoterOpenid as usize].is_other_than(asked.promoter_id);
        Ok(ReadFields { row, unreadable: self.unreadable, names_another })
    }

    /// All but its time, which only a row of `getrelation` has to have.
    fn touch(&mut self) -> Result<Touch, RowFault> {
        Ok(Touch {
            openid: self.required(Field::Openid, Value::text)?,
            create_time: None,
            path: self.optional(Field::Path, Value::text),
            scene: self.optional(Field::Scene, Value::integer),
            share_extra_info: self.optional(Field::ShareExtraInfo, Value::text),
            role_id: self.optional(Field::RoleId, Value::integer),
            retail_id: self.optional(Field::RetailId, Value::text),
            extra_info: self.optional(Field::ExtraInfo, Value::text),
        })
    }

    fn payment(&mut self, latest_now: UnixTime) -> Result<Payment, RowFault> {
        Ok(Payment {
            mch_id: self.required(Field::MchId, Value::text)?,
            trade_no: self.required(Field::TradeNo, Value::text)?,
            out_trade_no: self.optional(Field::OutTradeNo, Value::text),
            status_code: self.optional(Field::Status, Value::integer).unwrap_or(0),
            paid_amount: self.required(Field::PaidAmount, Value::integer)?,
            paid_time: self.required_time(Field::PaidTime, latest_now)?,
            refunded_time: self.optional(Field::RefundedTime, |value| time(value, latest_now)),
        })
    }

    /// A field without which there is no fact.
    fn required<R>(
        &self,
        field: Field,
        read: impl FnOnce(&Value<'a>) -> Result<Option<R>, Mismatch>,
    ) -> Result<R, RowFault> {
        let read = read(&self.values[field as usize]).map_err(|Mismatch| field.bad())?;
        read.ok_or_else(|| field.missing())
    }

    fn required_time(&self, field: Field, latest_now: UnixTime) -> Result<UnixTime, RowFault> {
        let time = time(&self.values[field as usize], latest_now).map_err(|no_time| no_time.of(field))?;
        time.ok_or_else(|| field.missing())
    }

    /// A field that a fact can do without: no fact is lost for it.
    fn optional<R, E>(&mut self, field: Field, read: impl FnOnce(&Value<'a>) -> Result<Option<R>, E>) -> Option<R> {
        let read = read(&self.values[field as usize]);
        if read.is_err() {
            self.unreadable.push(field.name());
        }
        read.ok().flatten()
    }
}

/// Why a value is no time.
enum NoTime {
    OtherKind,
    TooEarly(UnixTime),
    Ahead(UnixTime),
}

impl NoTime {
    fn of(self, field: Field) -> RowFault {
        let name = field.name();
        match self {
            NoTime::OtherKind => field.bad(),
            NoTime::TooEarly(time) => {
                RowFault { reason: "time_before_2015", detail: format!("{name} lies before 2015: {}", time.0) }
            }
            NoTime::Ahead(time) => {
                RowFault { reason: "time_ahead", detail: format!("{name} lies more than a day ahead: {}", time.0) }
            }
        }
    }
}

fn time(value: &Value, latest_now: UnixTime) -> Result<Option<UnixTime>, NoTime> {
    match value.integer().map_err(|Mismatch| NoTime::OtherKind)?.map(UnixTime) {
        Some(time) if time < TIME_MIN => Err(NoTime::TooEarly(time)),
        Some(time) if time > latest_now.plus(AHEAD_SECONDS_MAX) => Err(NoTime::Ahead(time)),
        time => Ok(time),
    }
}

impl Field {
    fn is_time(self) -> bool {
        matches!(self, Field::CreateTime | Field::PaidTime | Field::RefundedTime)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(KnownField(field)) = map.next_key()? {
            match field {
                Some(field) => {
                    let value = Value::read(map.next_value::<&RawValue>()?).map_err(serde::de::Error::custom)?;
                    fields.put(field, value);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

struct KnownField(Option<Field>);

impl<'de> Deserialize<'de> for KnownField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KnownField, D::Error> {
        deserializer.deserialize_identifier(KnownFieldVisitor)
    }
}

struct KnownFieldVisitor;

impl Visitor<'_> for KnownFieldVisitor {
    type Value = KnownField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<KnownField, E> {
        Ok(KnownField(Field::from_name(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_700_000_000);

    /// A time in every test that does not matter.
    const T: i64 = 1_600_000_000;

    fn asked(kind: RowKind) -> PageAsked<'static> {
        PageAsked { kind, promoter_id: "oP", is_first: true }
    }

    fn read_touch(text: &str) -> Result<ReadFields, RowFault> {
        read_row(text.as_bytes(), asked(RowKind::Touch), NOW)
    }

    fn touch(text: &str) -> Result<Touch, RowFault> {
        match read_touch(text)?.row {
            Row::Touch(touch) => Ok(touch),
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
            Row::Touch(_) => panic!("a row of getorder became a touch"),
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
        let row = format!(
            r#"{{"openid":"a","openid":"b","openid":null,"openid":"","create_time":{T},"scene":[],"scene":2}}"#
        );
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
        let row = touch(r#"{"openid":12345678901234567890123,"create_time":"1600000000","path":"","scene":"1007","retail_id":4.0,"role_id":1.0,"extra_info":true}"#).unwrap();
        assert_eq!(row.openid, "12345678901234567890123");
        assert_eq!(row.create_time, Some(UnixTime(T)));
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
        let Row::Touch(row) = read.row else { panic!("no touch") };
        assert_eq!(row, Touch { openid: "u".into(), create_time: Some(UnixTime(T)), ..Touch::default() });
        assert_eq!(read.unreadable, ["path", "scene", "share_extra_info", "role_id", "retail_id", "extra_info"]);
        let odd = r#","status":"paid","out_trade_no":[1],"create_time":"soon","refunded_time":{}"#;
        let read = read_order(&format!(r#","paid_time":{T}{odd}"#)).unwrap();
        let Row::Order(touch, payment) = read.row else { panic!("no order") };
        assert_eq!((touch.create_time, payment.out_trade_no, payment.refunded_time), (None, None, None));
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
        for (named, another) in
            [("", false), (r#""promoter_openid":"oP","#, false), (r#""promoter_openid":"oQ","#, true)]
        {
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
        let Row::Touch(row) = read.row else { panic!("the row was lost") };
        assert_eq!(row.openid, "u\u{FFFD}");
        assert_eq!(row.path.as_deref(), Some("a\nb"));
        assert_eq!(row.extra_info.as_deref(), Some("\u{FFFD}"));
        assert_eq!(read.unreadable, [""; 0]);
    }

    #[test]
    fn nesting_without_end_does_not_exhaust_the_stack() {
        let deep = "[".repeat(200_000);
        let closed = format!(
            r#"{{"x":{deep}{},"create_time":{T},"openid":{deep}{}}}"#,
            "]".repeat(200_000),
            "]".repeat(200_000)
        );
        assert_eq!(reason(touch(&closed)), "bad_openid");
        assert_eq!(reason(touch(&format!(r#"{{"x":{deep}"#))), "not_json");
    }
}
