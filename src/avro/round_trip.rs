//! What the encoders write, the decoder reads back with the same values.

use std::ops::Range;

use apache_avro::types::Value;
use proptest::prelude::*;

use super::decode::{DecodeError, Decoder};
use super::encode::{Encoders, Framings};
use super::framing::Framing;
use super::schemas::RecordKind;
use crate::model::dead_letter::{DeadLetter, DeadLetterSource, Origin};
use crate::model::fact::{Fact, FactContent, OrderStatus};
use crate::model::feed::{EventTopic, Feed, PerEventTopic};
use crate::model::promoter::{AppId, IdKind, Promoter};
use crate::model::row::{Payment, RowKind, Touch};
use crate::model::time::{UnixMillis, UnixTime};

const CONFLUENT: Framings = Framings {
    events: PerEventTopic {
        touches: Framing::Confluent { schema_id: 11 },
        orders: Framing::Confluent { schema_id: 12 },
    },
    dead_letter: Framing::Confluent { schema_id: i32::MAX },
    ledger: Some(Framing::Confluent { schema_id: 13 }),
};
const IDS: [(i32, RecordKind); 3] =
    [(11, RecordKind::Touch), (12, RecordKind::Order), (i32::MAX, RecordKind::DeadLetter)];

/// Of a text, unless another number is wanted.
const CHARS: Range<usize> = 0..20;

/// The range in which a second still has its milliseconds in a long.
fn time() -> impl Strategy<Value = UnixTime> {
    (i64::MIN / 1000..i64::MAX / 1000).prop_map(UnixTime)
}

fn text() -> impl Strategy<Value = String> {
    text_of(CHARS)
}

/// With so many characters.
fn text_of(chars: Range<usize>) -> impl Strategy<Value = String> {
    // Every scalar value, not only the printable ones: `.` leaves out control characters.
    prop::collection::vec(any::<char>(), chars).prop_map(String::from_iter)
}

fn promoter() -> impl Strategy<Value = Promoter> {
    ("[a-zA-Z0-9_-]{1,30}", "[a-zA-Z0-9_-]{1,30}")
        .prop_map(|(app, promoter)| Promoter::new(&AppId::new(&app).unwrap(), &promoter).unwrap())
}

fn touch(chars: Range<usize>) -> impl Strategy<Value = Touch> {
    let text = || text_of(chars.clone());
    let merchant = (any::<Option<i64>>(), prop::option::of(text()), prop::option::of(text()));
    let way = (prop::option::of(text()), any::<Option<i64>>(), prop::option::of(text()));
    (text(), merchant, way).prop_map(|(openid, merchant, way)| Touch {
        openid,
        path: way.0,
        scene: way.1,
        share_extra_info: way.2,
        role_id: merchant.0,
        retail_id: merchant.1,
        extra_info: merchant.2,
    })
}

fn payment(chars: Range<usize>) -> impl Strategy<Value = Payment> {
    let text = || text_of(chars.clone());
    let numbers = (text(), text(), prop::option::of(text()));
    let times = (prop::option::of(time()), time(), prop::option::of(time()));
    (numbers, any::<i64>(), any::<i64>(), times).prop_map(
        |(numbers, status_code, paid_amount, (create_time, paid_time, refunded_time))| Payment {
            mch_id: numbers.0,
            trade_no: numbers.1,
            out_trade_no: numbers.2,
            create_time,
            status_code,
            paid_amount,
            paid_time,
            refunded_time,
        },
    )
}

type MakeFact = fn(&Promoter, Touch, Payment, Box<[u8]>) -> Fact;

/// What rows of a kind become.
fn makers(rows: RowKind) -> Vec<MakeFact> {
    match rows {
        RowKind::Touch => vec![|promoter, touch, payment, raw| Fact::touch(promoter, payment.paid_time, touch, raw)],
        RowKind::Order => vec![Fact::paid, Fact::refunded, Fact::unknown],
    }
}

fn fact() -> impl Strategy<Value = (Promoter, Fact)> {
    fact_of(CHARS)
}

/// Any fact, with texts of so many characters.
pub(crate) fn fact_of(chars: Range<usize>) -> impl Strategy<Value = (Promoter, Fact)> {
    let make = prop::sample::select(EventTopic::ALL.map(|topic| makers(topic.rows())).concat());
    (promoter(), touch(chars.clone()), payment(chars), make).prop_map(|(promoter, touch, payment, make)| {
        let fact = make(&promoter, touch, payment, Box::default());
        (promoter, fact)
    })
}

fn dead_letter() -> impl Strategy<Value = DeadLetter> {
    let sources = [
        DeadLetterSource::Feed(Feed::Touches),
        DeadLetterSource::Feed(Feed::Refunds),
        DeadLetterSource::Requests,
        DeadLetterSource::Registry,
    ];
    let origin =
        (text(), any::<i32>(), any::<i64>()).prop_map(|(topic, partition, offset)| Origin { topic, partition, offset });
    (
        prop::sample::select(sources.to_vec()),
        text(),
        prop::option::of(promoter()),
        prop::option::of(origin),
        any::<Vec<u8>>(),
        any::<i64>(),
    )
        .prop_map(|(source, detail, promoter, origin, raw, observed_at)| DeadLetter {
            source,
            reason: "not_json",
            detail,
            promoter,
            origin,
            raw: raw.into(),
            observed_at: UnixMillis(observed_at),
        })
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn millis(time: UnixTime) -> Value {
    Value::TimestampMillis(time.0 * 1000)
}

fn optional(value: Option<Value>) -> Value {
    match value {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(value) => Value::Union(1, Box::new(value)),
    }
}

fn optional_string(text: &Option<String>) -> Value {
    optional(text.as_deref().map(string))
}

/// What a consumer must find, written down once more, field by field, from the contract.
fn expected_of_fact(promoter: &Promoter, fact: &Fact, observed_at: i64) -> Vec<(&'static str, Value)> {
    let (touch, create_time) = match &fact.content {
        FactContent::Touch(touch) => (touch, millis(fact.time)),
        FactContent::Order { touch, payment, .. } => (touch, optional(payment.create_time.map(millis))),
    };
    let mut fields = vec![
        ("event_id", string(&fact.id.to_string())),
        ("app_id", string(promoter.app_id())),
        ("id_kind", string("UNIONID")),
        ("promoter_openid", string(promoter.promoter_id())),
        ("role_id", optional(touch.role_id.map(Value::Long))),
        ("retail_id", optional_string(&touch.retail_id)),
        ("extra_info", optional_string(&touch.extra_info)),
        ("openid", string(&touch.openid)),
        ("create_time", create_time),
        ("path", optional_string(&touch.path)),
        ("scene", optional(touch.scene.map(Value::Long))),
        ("share_extra_info", optional_string(&touch.share_extra_info)),
    ];
    if let FactContent::Order { status, payment, .. } = &fact.content {
        let status = match status {
            OrderStatus::Unknown => string("UNKNOWN"),
            OrderStatus::Paid => string("PAID"),
            OrderStatus::Refunded => string("REFUNDED"),
        };
        fields.extend([
            ("mch_id", string(&payment.mch_id)),
            ("trade_no", string(&payment.trade_no)),
            ("out_trade_no", optional_string(&payment.out_trade_no)),
            ("status", status),
            ("status_code", Value::Long(payment.status_code)),
            ("paid_amount", Value::Long(payment.paid_amount)),
            ("paid_time", millis(payment.paid_time)),
            ("refunded_time", optional(payment.refunded_time.map(millis))),
        ]);
    }
    fields.push(("observed_at", Value::TimestampMillis(observed_at)));
    fields
}

fn expected_of_letter(letter: &DeadLetter) -> Vec<(&'static str, Value)> {
    let promoter = letter.promoter.as_ref();
    let origin = letter.origin.as_ref();
    vec![
        ("source", string(letter.source.name())),
        ("reason", string(letter.reason)),
        ("detail", string(&letter.detail)),
        ("app_id", optional(promoter.map(|promoter| string(promoter.app_id())))),
        ("promoter_openid", optional(promoter.map(|promoter| string(promoter.promoter_id())))),
        ("topic", optional(origin.map(|origin| string(&origin.topic)))),
        ("partition", optional(origin.map(|origin| Value::Int(origin.partition)))),
        ("offset", optional(origin.map(|origin| Value::Long(origin.offset)))),
        ("raw", Value::Bytes(letter.raw.to_vec())),
        ("observed_at", Value::TimestampMillis(letter.observed_at.0)),
    ]
}

fn read(framed: &[u8]) -> Result<(RecordKind, Vec<(String, Value)>), DecodeError> {
    Decoder::new(IDS).fields(framed)
}

fn named(fields: Vec<(&'static str, Value)>) -> Vec<(String, Value)> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn framings() -> impl Strategy<Value = Framings> {
    prop::sample::select(vec![Framings::SINGLE_OBJECT, CONFLUENT])
}

#[test]
fn the_schema_tells_every_source_of_a_dead_letter() {
    let schema: serde_json::Value = serde_json::from_str(RecordKind::DeadLetter.text()).unwrap();
    let fields = schema["fields"].as_array().unwrap();
    let doc = fields.iter().find(|field| field["name"] == "source").unwrap()["doc"].as_str().unwrap();
    let told: Vec<&str> = doc.split(|character: char| !character.is_ascii_alphabetic()).collect();
    let others = [DeadLetterSource::Requests, DeadLetterSource::Registry];
    for source in Feed::ALL.map(DeadLetterSource::Feed).into_iter().chain(others) {
        assert!(told.contains(&source.name()), "{source}: {doc}");
    }
}

proptest! {
    #[test]
    fn a_fact_is_read_back_as_it_was((promoter, fact) in fact(), observed_at: i64, framings in framings()) {
        let mut buffer = b"what the last record left".to_vec();
        Encoders::new(framings)
            .fact(&fact, &promoter, IdKind::UnionId, UnixMillis(observed_at), &mut buffer)
            .unwrap();
        let kind = match fact.content {
            FactContent::Touch(_) => RecordKind::Touch,
            FactContent::Order { .. } => RecordKind::Order,
        };
        prop_assert_eq!(read(&buffer), Ok((kind, named(expected_of_fact(&promoter, &fact, observed_at)))));
    }

    #[test]
    fn a_dead_letter_is_read_back_as_it_was(letter in dead_letter(), framings in framings()) {
        let mut buffer = Vec::new();
        Encoders::new(framings).dead_letter(&letter, &mut buffer).unwrap();
        prop_assert_eq!(read(&buffer), Ok((RecordKind::DeadLetter, named(expected_of_letter(&letter)))));
    }

    #[test]
    fn a_record_that_is_cut_or_goes_on_is_an_error((promoter, fact) in fact(), at: prop::sample::Index) {
        let mut buffer = Vec::new();
        let observed_at = UnixMillis(0);
        Encoders::new(CONFLUENT).fact(&fact, &promoter, IdKind::OpenId, observed_at, &mut buffer).unwrap();
        prop_assert!(read(&buffer[..at.index(buffer.len())]).is_err());
        buffer.push(0);
        prop_assert!(read(&buffer).is_err());
    }

    #[test]
    fn a_damaged_record_is_a_record_or_an_error(letter in dead_letter(), at: prop::sample::Index, byte: u8) {
        let mut buffer = Vec::new();
        Encoders::new(Framings::SINGLE_OBJECT).dead_letter(&letter, &mut buffer).unwrap();
        let at = at.index(buffer.len());
        buffer[at] = byte;
        let _ = Decoder::new(IDS).decode(&buffer);
    }
}
