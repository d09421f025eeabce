//! fastavro and confluent-kafka read what we wrote.

use promoter_connector::avro::encode::{Encoders, Framings};
use promoter_connector::avro::framing::Framing;
use promoter_connector::avro::material::ResultEncoder;
use promoter_connector::avro::schema_registry::SchemaRegistry;
use promoter_connector::avro::schemas::RecordKind;
use promoter_connector::model::dead_letter::{DeadLetter, DeadLetterSource, Origin};
use promoter_connector::model::fact::Fact;
use promoter_connector::model::feed::{Feed, PerEventTopic};
use promoter_connector::model::material::{
    Image, ImageKind, Material, MaterialOutcome, MaterialRefusal, MaterialResult,
};
use promoter_connector::model::promoter::{AppId, IdKind, Promoter};
use promoter_connector::model::row::{Payment, Touch};
use promoter_connector::model::time::{UnixMillis, UnixTime};
use serde_json::{Value as Json, json};

use crate::harness::apicurio::Apicurio;
use crate::harness::python::Python;

const OBSERVED_AT: UnixMillis = UnixMillis(1_668_700_000_123);
const CREATE_TIME: UnixTime = UnixTime(1_668_614_400);

pub fn fastavro_finds_our_fingerprints(python: &Python) -> Result<(), String> {
    let ours = RecordKind::ALL.map(|kind| (kind.name().to_owned(), Json::from(kind.fingerprint().to_string())));
    same(&python.fingerprints()?, &Json::Object(ours.into_iter().collect()))
}

pub fn fastavro_reads_single_objects(python: &Python) -> Result<(), String> {
    let (records, expected) = samples(Framings::SINGLE_OBJECT, Framing::SingleObject)?;
    same(&python.decode(&records, None)?, &expected)
}

pub fn confluent_kafka_reads_records_through_the_registry(python: &Python, apicurio: &Apicurio) -> Result<(), String> {
    let url = apicurio.url();
    let parsed: url::Url = url.parse().map_err(|error| format!("{url}: {error}"))?;
    let registry = SchemaRegistry::new(parsed.into()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let framing = |kind: RecordKind| {
        let subject = format!("elsewhere.{kind}-value");
        let schema_id = runtime.block_on(registry.resolve(&subject, kind.text())).map_err(|error| error.to_string())?;
        Ok::<Framing, String>(Framing::Confluent { schema_id })
    };
    let framings = Framings {
        events: PerEventTopic { touches: framing(RecordKind::Touch)?, orders: framing(RecordKind::Order)? },
        dead_letter: framing(RecordKind::DeadLetter)?,
        ledger: Some(framing(RecordKind::LedgerDay)?),
    };
    let (records, expected) = samples(framings, framing(RecordKind::MaterialResult)?)?;
    same(&python.decode(&records, Some(&url))?, &expected)
}

/// Records of each kind, full and bare, and what a reader must see in them.
fn samples(framings: Framings, of_replies: Framing) -> Result<(Vec<Vec<u8>>, Vec<Json>), String> {
    let encoders = Encoders::new(framings);
    let app = AppId::new("wx0123456789abcdef").map_err(|error| error.to_string())?;
    let promoter = Promoter::new(&app, "oPROMOTER").map_err(|error| error.to_string())?;
    let (mut records, mut expected) = (Vec::new(), Vec::new());
    for (fact, json) in facts(&promoter) {
        let mut record = Vec::new();
        let written = encoders.fact(&fact, &promoter, IdKind::UnionId, OBSERVED_AT, &mut record);
        written.map_err(|error| error.to_string())?;
        records.push(record);
        expected.push(json);
    }
    for (letter, json) in letters(&promoter) {
        let mut record = Vec::new();
        encoders.dead_letter(&letter, &mut record).map_err(|error| error.to_string())?;
        records.push(record);
        expected.push(json);
    }
    let replies_encoder = ResultEncoder::new(of_replies);
    for (reply, json) in replies() {
        let mut record = Vec::new();
        replies_encoder.encode(&reply, &mut record).map_err(|error| error.to_string())?;
        records.push(record);
        expected.push(json);
    }
    Ok((records, expected))
}

fn full_touch() -> Touch {
    Touch {
        openid: "oUSER".into(),
        path: Some("pages/index?a=1".into()),
        scene: Some(1007),
        share_extra_info: Some("海报 🎈".into()),
        role_id: Some(i64::MIN),
        retail_id: Some("店\u{1}".into()),
        extra_info: Some("\u{fffd}".into()),
    }
}

fn facts(promoter: &Promoter) -> Vec<(Fact, Json)> {
    let bare = Touch { openid: "oUSER".into(), ..Touch::default() };
    let payment = Payment {
        mch_id: "1230000109".into(),
        trade_no: "4200001".into(),
        out_trade_no: Some("A-1".into()),
        create_time: Some(CREATE_TIME),
        status_code: 2,
        paid_amount: i64::MAX,
        paid_time: UnixTime(1_668_614_401),
        refunded_time: Some(UnixTime(1_668_614_402)),
    };
    let strange = Payment {
        out_trade_no: None,
        create_time: None,
        status_code: 7,
        paid_amount: -1,
        refunded_time: None,
        ..payment.clone()
    };
    let touched = Fact::touch(promoter, CREATE_TIME, full_touch(), Box::default());
    let refunded = Fact::refunded(promoter, full_touch(), payment, Box::default());
    let unknown = Fact::unknown(promoter, bare, strange, Box::default());
    let about_user = |fact: &Fact| {
        json!({
            "event_id": fact.id.to_string(), "app_id": "wx0123456789abcdef", "id_kind": "UNIONID",
            "promoter_openid": "oPROMOTER", "role_id": i64::MIN, "retail_id": "店\u{1}", "extra_info": "\u{fffd}",
            "openid": "oUSER", "create_time": "2022-11-16T16:00:00.000Z", "path": "pages/index?a=1", "scene": 1007,
            "share_extra_info": "海报 🎈", "observed_at": "2022-11-17T15:46:40.123Z",
        })
    };
    let touch_json = about_user(&touched);
    let mut refund_json = about_user(&refunded);
    merge(
        &mut refund_json,
        json!({
            "mch_id": "1230000109", "trade_no": "4200001", "out_trade_no": "A-1", "status": "REFUNDED",
            "status_code": 2, "paid_amount": i64::MAX, "paid_time": "2022-11-16T16:00:01.000Z",
            "refunded_time": "2022-11-16T16:00:02.000Z",
        }),
    );
    let mut unknown_json = about_user(&unknown);
    merge(
        &mut unknown_json,
        json!({
            "role_id": null, "retail_id": null, "extra_info": null, "create_time": null, "path": null, "scene": null,
            "share_extra_info": null, "mch_id": "1230000109", "trade_no": "4200001", "out_trade_no": null,
            "status": "UNKNOWN", "status_code": 7, "paid_amount": -1, "paid_time": "2022-11-16T16:00:01.000Z",
            "refunded_time": null,
        }),
    );
    vec![(touched, touch_json), (refunded, refund_json), (unknown, unknown_json)]
}

fn letters(promoter: &Promoter) -> Vec<(DeadLetter, Json)> {
    let raw: Box<[u8]> = [b'{', 0, 0xFF].into();
    let of_row =
        DeadLetter::of_row(Feed::Refunds, promoter.clone(), "not_json", "column 2".into(), raw.clone(), OBSERVED_AT);
    let of_record = DeadLetter {
        source: DeadLetterSource::Registry,
        promoter: None,
        origin: Some(Origin { topic: "promoter.registry".into(), partition: 3, offset: 1 << 40 }),
        ..of_row.clone()
    };
    let common = json!({
        "reason": "not_json", "detail": "column 2", "raw": "ewD/", "observed_at": "2022-11-17T15:46:40.123Z",
    });
    let mut row_json = common.clone();
    merge(
        &mut row_json,
        json!({
            "source": "refunds", "app_id": "wx0123456789abcdef", "promoter_openid": "oPROMOTER", "topic": null,
            "partition": null, "offset": null,
        }),
    );
    let mut record_json = common;
    merge(
        &mut record_json,
        json!({
            "source": "registry", "app_id": null, "promoter_openid": null, "topic": "promoter.registry",
            "partition": 3, "offset": 1_i64 << 40,
        }),
    );
    vec![(of_row, row_json), (of_record, record_json)]
}

fn replies() -> [(MaterialResult, Json); 2] {
    let material = Material {
        share_path: Some("pages/index?promoter_mark=1".into()),
        qrcode: Some(Image { kind: ImageKind::Jpeg, bytes: vec![0xFF, 0xD8, 0] }),
        tag: Some("#小程序://推广/1".into()),
        issued_at: OBSERVED_AT,
    };
    let result = |outcome| MaterialResult {
        request_id: "request-1".into(),
        app_id: "wx0123456789abcdef".into(),
        promoter_openid: "oPROMOTER".into(),
        outcome,
    };
    let refusal = MaterialRefusal { errcode: Some(103_006), message: "没有数据".into() };
    let ids = json!({ "request_id": "request-1", "app_id": "wx0123456789abcdef", "promoter_openid": "oPROMOTER" });
    let (mut succeeded_json, mut failed_json) = (ids.clone(), ids);
    merge(
        &mut succeeded_json,
        json!({
            "status": "SUCCEEDED", "share_path": "pages/index?promoter_mark=1", "qrcode": "/9gA",
            "qrcode_type": "image/jpeg", "tag": "#小程序://推广/1", "errcode": null, "errmsg": null,
            "issued_at": "2022-11-17T15:46:40.123Z", "expires_at": "2022-12-17T15:46:40.123Z",
        }),
    );
    merge(
        &mut failed_json,
        json!({
            "status": "FAILED", "share_path": null, "qrcode": null, "qrcode_type": null, "tag": null,
            "errcode": 103_006, "errmsg": "没有数据", "issued_at": null, "expires_at": null,
        }),
    );
    [
        (result(MaterialOutcome::Succeeded(material)), succeeded_json),
        (result(MaterialOutcome::Failed(refusal)), failed_json),
    ]
}

fn merge(into: &mut Json, more: Json) {
    if let (Json::Object(into), Json::Object(more)) = (into, more) {
        into.extend(more);
    }
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("found {found:#?}\nexpected {expected:#?}")) }
}
