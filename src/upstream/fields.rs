//! The fields of a row: from its bytes to a [`Row`], or to the reason why not.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::loose_value::{LooseValue, Mismatch};
use super::repair::read_loosely;
use super::rows_request::ExpectedPage;
use crate::model::row::{Payment, Row, RowFault, RowKind, Touch};
use crate::model::time::UnixTime;
use crate::text;

/// How far ahead of both clocks a time may lie. A Kafka record's time must not be in the future, so a row from
/// there is a broken row.
const AHEAD_SECONDS_MAX: i64 = 24 * 3600;
/// 2015-01-01 in Beijing. No Mini Program is older; what says so is seconds of something else, or a date.
const TIME_MIN: UnixTime = UnixTime(1_420_041_600);
const DETAIL_CHARS_MAX: usize = 200;

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
///
/// # Errors
/// [`RowFault`] where a field is missing or wrong without which there is no fact. An optional one is only noted.
pub fn read_row(raw: &[u8], expected: ExpectedPage, latest_now: UnixTime) -> Result<ReadFields, RowFault> {
    if raw.first() != Some(&b'{') {
        return Err(RowFault { reason: "not_an_object", detail: "the row is no JSON object".into() });
    }
    let read = |text: &str| {
        let mut fields = RowFields::default();
        fields.read(text)?;
        Ok(fields.row(expected, latest_now))
    };
    read_loosely(raw, read).unwrap_or_else(|error: serde_json::Error| {
        let detail = text::bounded(&error.to_string(), DETAIL_CHARS_MAX).to_owned();
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
            #[cfg(test)]
            const ALL: [Field; Field::COUNT] = [$(Field::$variant),*];

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
struct RowFields<'a> {
    values: [LooseValue<'a>; Field::COUNT],
    /// The official page's own sample carries `paid_time` twice: first the payment, then the refund.
    first_paid_time: Option<LooseValue<'a>>,
    unreadable: Vec<&'static str>,
}

impl<'a> RowFields<'a> {
    /// Takes the values of an object. They are put where they stay: as a whole they are too large to be handed about.
    ///
    /// # Errors
    /// Where it is no object, or there is more behind it.
    fn read(&mut self, text: &'a str) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer.deserialize_map(RowFieldsVisitor(self))?;
        deserializer.end()
    }

    fn put(&mut self, field: Field, value: LooseValue<'a>) {
        // A time of 0 is none: where the upstream writes it, nothing has happened.
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

    /// # Errors
    /// [`RowFault`] of the first field without which there is no fact.
    fn row(&mut self, expected: ExpectedPage, latest_now: UnixTime) -> Result<ReadFields, RowFault> {
        self.settle_paid_time();
        let row = match expected.kind {
            RowKind::Touch => Row::Touch(self.required_time(Field::CreateTime, latest_now)?, self.touch()?),
            RowKind::Order => Row::Order(self.touch()?, self.payment(latest_now)?),
        };
        let names_another = self.values[Field::PromoterOpenid as usize].is_other_than(expected.promoter_id);
        Ok(ReadFields { row, unreadable: std::mem::take(&mut self.unreadable), names_another })
    }

    /// # Errors
    /// As [`row`](Self::row).
    fn touch(&mut self) -> Result<Touch, RowFault> {
        Ok(Touch {
            openid: self.required(Field::Openid, LooseValue::text)?,
            path: self.optional(Field::Path, LooseValue::text),
            scene: self.optional(Field::Scene, LooseValue::integer),
            share_extra_info: self.optional(Field::ShareExtraInfo, LooseValue::text),
            role_id: self.optional(Field::RoleId, LooseValue::integer),
            retail_id: self.optional(Field::RetailId, LooseValue::text),
            extra_info: self.optional(Field::ExtraInfo, LooseValue::text),
        })
    }

    /// # Errors
    /// As [`row`](Self::row).
    fn payment(&mut self, latest_now: UnixTime) -> Result<Payment, RowFault> {
        Ok(Payment {
            mch_id: self.required(Field::MchId, LooseValue::text)?,
            trade_no: self.required(Field::TradeNo, LooseValue::text)?,
            out_trade_no: self.optional(Field::OutTradeNo, LooseValue::text),
            create_time: self.optional(Field::CreateTime, |value| time(value, latest_now)),
            status_code: self.optional(Field::Status, LooseValue::integer).unwrap_or(0),
            paid_amount: self.required(Field::PaidAmount, LooseValue::integer)?,
            paid_time: self.required_time(Field::PaidTime, latest_now)?,
            refunded_time: self.optional(Field::RefundedTime, |value| time(value, latest_now)),
        })
    }

    /// A field without which there is no fact.
    ///
    /// # Errors
    /// [`RowFault`] where it is missing, or can't be read as what it should be.
    fn required<R>(
        &self,
        field: Field,
        read: impl FnOnce(&LooseValue<'a>) -> Result<Option<R>, Mismatch>,
    ) -> Result<R, RowFault> {
        let read = read(&self.values[field as usize]).map_err(|Mismatch| field.bad())?;
        read.ok_or_else(|| field.missing())
    }

    /// # Errors
    /// [`RowFault`] where it is missing, or no time that a fact may have.
    fn required_time(&self, field: Field, latest_now: UnixTime) -> Result<UnixTime, RowFault> {
        let time = time(&self.values[field as usize], latest_now).map_err(|no_time| no_time.of(field))?;
        time.ok_or_else(|| field.missing())
    }

    /// A field that a fact can do without: no fact is lost for it.
    fn optional<R, E>(
        &mut self,
        field: Field,
        read: impl FnOnce(&LooseValue<'a>) -> Result<Option<R>, E>,
    ) -> Option<R> {
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

/// A time that a fact may have.
///
/// # Errors
/// [`NoTime`] where it is no number, lies before [`TIME_MIN`], or more than [`AHEAD_SECONDS_MAX`] ahead of `latest_now`.
fn time(value: &LooseValue, latest_now: UnixTime) -> Result<Option<UnixTime>, NoTime> {
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

struct RowFieldsVisitor<'f, 'de>(&'f mut RowFields<'de>);

impl<'de> Visitor<'de> for RowFieldsVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(KnownField(field)) = map.next_key()? {
            match field {
                Some(field) => {
                    let value = LooseValue::read(map.next_value::<&RawValue>()?).map_err(serde::de::Error::custom)?;
                    self.0.put(field, value);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
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
mod tests;
