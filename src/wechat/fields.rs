//! The fields of a row: from its bytes to a [`Row`], or to the reason why not.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::repair::repair;
use super::value::{Mismatch, Value};
use crate::domain::row::{Payment, Row, RowFault, Touch};
use crate::domain::time::UnixTime;

/// How far ahead of both clocks a time may lie. A Kafka record's time must not be in the future, so a row from
/// there is a broken row.
const AHEAD_SECONDS_MAX: i64 = 24 * 3600;
const DETAIL_CHARS_MAX: usize = 200;

/// What the elements of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Of `relation_list`.
    Touch,
    /// Of `order_list`.
    Order,
}

/// Reads one element of a list. `latest_now` is the later of the clocks known.
pub fn read_row(raw: &[u8], kind: RowKind, latest_now: UnixTime) -> Result<Row, RowFault> {
    if raw.first() != Some(&b'{') {
        return Err(RowFault { reason: "not_an_object", detail: "the row is no JSON object".into() });
    }
    let strict = std::str::from_utf8(raw).ok().and_then(|text| Fields::read(text).ok());
    if let Some(fields) = strict {
        return fields.row(kind, latest_now);
    }
    match Fields::read(&repair(raw)) {
        Ok(fields) => fields.row(kind, latest_now),
        Err(error) => {
            let detail = error.to_string().chars().take(DETAIL_CHARS_MAX).collect();
            Err(RowFault { reason: "not_json", detail })
        }
    }
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

            fn bad(self, wanted: &str) -> RowFault {
                let reason = match self { $(Field::$variant => concat!("bad_", $name)),* };
                RowFault { reason, detail: format!("{} is not {wanted}", self.name()) }
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

    fn row(mut self, kind: RowKind, latest_now: UnixTime) -> Result<Row, RowFault> {
        self.settle_paid_time();
        let touch = self.touch(latest_now)?;
        match kind {
            RowKind::Touch if touch.create_time.is_none() => Err(Field::CreateTime.missing()),
            RowKind::Touch => Ok(Row::Touch(touch)),
            RowKind::Order => Ok(Row::Order(touch, self.payment(latest_now)?)),
        }
    }

    fn touch(&self, latest_now: UnixTime) -> Result<Touch, RowFault> {
        Ok(Touch {
            openid: self.required_text(Field::Openid)?,
            create_time: self.time(Field::CreateTime, latest_now)?,
            path: self.text(Field::Path)?,
            scene: self.integer(Field::Scene)?,
            share_extra_info: self.text(Field::ShareExtraInfo)?,
            role_id: self.integer(Field::RoleId)?,
            retail_id: self.text(Field::RetailId)?,
            extra_info: self.text(Field::ExtraInfo)?,
        })
    }

    fn payment(&self, latest_now: UnixTime) -> Result<Payment, RowFault> {
        Ok(Payment {
            mch_id: self.required_text(Field::MchId)?,
            trade_no: self.required_text(Field::TradeNo)?,
            out_trade_no: self.text(Field::OutTradeNo)?,
            status_code: self.integer(Field::Status)?.unwrap_or(0),
            paid_amount: self.integer(Field::PaidAmount)?.ok_or_else(|| Field::PaidAmount.missing())?,
            paid_time: self.time(Field::PaidTime, latest_now)?.ok_or_else(|| Field::PaidTime.missing())?,
            refunded_time: self.time(Field::RefundedTime, latest_now)?,
        })
    }

    fn text(&self, field: Field) -> Result<Option<String>, RowFault> {
        self.values[field as usize].text().map_err(|Mismatch| field.bad("a text"))
    }

    fn required_text(&self, field: Field) -> Result<String, RowFault> {
        self.text(field)?.ok_or_else(|| field.missing())
    }

    fn integer(&self, field: Field) -> Result<Option<i64>, RowFault> {
        self.values[field as usize].integer().map_err(|Mismatch| field.bad("a whole number"))
    }

    fn time(&self, field: Field, latest_now: UnixTime) -> Result<Option<UnixTime>, RowFault> {
        match self.integer(field)?.map(UnixTime) {
            Some(time) if time < UnixTime(0) => Err(field.bad("a time after 1970")),
            Some(time) if time > latest_now.plus(AHEAD_SECONDS_MAX) => Err(RowFault {
                reason: "time_ahead",
                detail: format!("{} lies more than a day ahead: {}", field.name(), time.0),
            }),
            time => Ok(time),
        }
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

    fn touch(text: &str) -> Result<Touch, RowFault> {
        match read_row(text.as_bytes(), RowKind::Touch, NOW)? {
            Row::Touch(touch) => Ok(touch),
            Row::Order(..) => panic!("a row of getrelation became an order"),
        }
    }

    fn payment(more: &str) -> Result<Payment, RowFault> {
        let text = format!(r#"{{"openid":"u","mch_id":"m","trade_no":"t","paid_amount":150{more}}}"#);
        match read_row(text.as_bytes(), RowKind::Order, NOW)? {
            Row::Order(_, payment) => Ok(payment),
            Row::Touch(_) => panic!("a row of getorder became a touch"),
        }
    }

    fn times(more: &str) -> (i64, Option<i64>) {
        let payment = payment(more).unwrap();
        (payment.paid_time.0, payment.refunded_time.map(|time| time.0))
    }

    fn reason<T: fmt::Debug>(read: Result<T, RowFault>) -> &'static str {
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
            touch(r#"{"openid":"a","openid":"b","openid":null,"openid":"","create_time":1,"scene":[],"scene":2}"#);
        let row = row.unwrap();
        assert_eq!((row.openid.as_str(), row.scene), ("b", Some(2)));
    }

    #[test]
    fn unknown_fields_are_passed_over_whatever_they_hold() {
        let row = touch(r#"{"a":{"openid":[1]},"openid":"u","b":1e999,"create_time":1,"c":"\ud800","ppp":[[{}]]}"#);
        assert_eq!(row.unwrap().openid, "u");
    }

    #[test]
    fn names_are_recognised_through_escapes() {
        assert_eq!(touch(r#"{"\u006fpenid":"u","create_time":1}"#).unwrap().openid, "u");
    }

    #[test]
    fn empty_text_is_absent_and_numbers_and_texts_change_places() {
        let row = touch(r#"{"openid":12345678901234567890123,"create_time":"7","path":"","scene":"1007","retail_id":4.0,"role_id":1.0,"extra_info":true}"#).unwrap();
        assert_eq!(row.openid, "12345678901234567890123");
        assert_eq!(row.create_time, Some(UnixTime(7)));
        assert_eq!((row.path, row.scene), (None, Some(1007)));
        assert_eq!((row.retail_id.as_deref(), row.role_id), (Some("4.0"), Some(1)));
        assert_eq!(row.extra_info.as_deref(), Some("true"));
    }

    #[test]
    fn a_row_without_what_it_needs_names_the_field() {
        assert_eq!(reason(touch(r#"{"create_time":1}"#)), "missing_openid");
        assert_eq!(reason(touch(r#"{"openid":"u"}"#)), "missing_create_time");
        assert_eq!(reason(touch(r#"{"openid":"u","create_time":"0"}"#)), "missing_create_time");
        assert_eq!(reason(payment("")), "missing_paid_time");
        for name in ["openid", "mch_id", "trade_no", "paid_amount"] {
            let fault = payment(&format!(r#","paid_time":1,"{name}":null"#));
            assert!(fault.is_ok(), "a null after a value says nothing");
        }
        for (left_out, row) in [
            ("missing_mch_id", r#"{"openid":"u","trade_no":"t","paid_amount":1,"paid_time":1}"#),
            ("missing_trade_no", r#"{"openid":"u","mch_id":"m","paid_amount":1,"paid_time":1}"#),
            ("missing_paid_amount", r#"{"openid":"u","mch_id":"m","trade_no":"t","paid_time":1}"#),
        ] {
            assert_eq!(reason(read_row(row.as_bytes(), RowKind::Order, NOW)), left_out);
        }
    }

    #[test]
    fn an_order_needs_no_create_time_and_no_status() {
        let payment = payment(r#","paid_time":1"#).unwrap();
        assert_eq!((payment.status_code, payment.paid_amount), (0, 150));
    }

    #[test]
    fn a_value_of_the_wrong_kind_names_the_field() {
        assert_eq!(reason(touch(r#"{"openid":"u","create_time":1,"scene":"x"}"#)), "bad_scene");
        assert_eq!(reason(touch(r#"{"openid":"u","create_time":1.5}"#)), "bad_create_time");
        assert_eq!(reason(touch(r#"{"openid":"u","create_time":-5}"#)), "bad_create_time");
        assert_eq!(reason(touch(r#"{"openid":["u"],"create_time":1}"#)), "bad_openid");
        assert_eq!(reason(payment(r#","paid_time":1,"paid_amount":"1,50""#)), "bad_paid_amount");
    }

    #[test]
    fn a_time_more_than_a_day_ahead_is_refused() {
        let latest = NOW.plus(AHEAD_SECONDS_MAX).0;
        assert_eq!(times(&format!(r#","paid_time":{latest}"#)), (latest, None));
        assert_eq!(reason(payment(&format!(r#","paid_time":1,"refunded_time":{}"#, latest + 1))), "time_ahead");
        assert_eq!(reason(touch(r#"{"openid":"u","create_time":1668667349000}"#)), "time_ahead");
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
        let raw = b"{\"openid\":\"u\xff\",\"create_time\":1,\"path\":\"a\nb\",\"extra_info\":\"\\ud83d\"}";
        let Ok(Row::Touch(row)) = read_row(raw, RowKind::Touch, NOW) else { panic!("the row was lost") };
        assert_eq!(row.openid, "u\u{FFFD}");
        assert_eq!(row.path.as_deref(), Some("a\nb"));
        assert_eq!(row.extra_info.as_deref(), Some("\u{FFFD}"));
    }

    #[test]
    fn nesting_without_end_does_not_exhaust_the_stack() {
        let deep = "[".repeat(200_000);
        let closed = format!(r#"{{"x":{deep}{},"openid":{deep}{}}}"#, "]".repeat(200_000), "]".repeat(200_000));
        assert_eq!(reason(touch(&closed)), "bad_openid");
        assert_eq!(reason(touch(&format!(r#"{{"x":{deep}"#))), "not_json");
    }
}
