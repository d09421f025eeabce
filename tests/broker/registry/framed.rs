//! Records that other systems write, with a schema registry that is a real one.

use anyhow::{Context as _, Result, anyhow, ensure};
use apache_avro::Schema;
use apache_avro::types::{Record as AvroRecord, Value as AvroValue};
use apache_avro::writer::datum::GenericDatumWriter;
use promoter_connector::avro::framing::Framing;
use promoter_connector::avro::promoter::PromoterEncoder;
use promoter_connector::avro::schema_registry::SchemaRegistry;
use promoter_connector::avro::schemas::RecordKind;
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::time::UnixMillis;
use promoter_connector::registry::record::PromoterRecord;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use super::{listed, prepare, promoters, shown};
use crate::broker::world::BOUND;
use crate::harness::apicurio::Apicurio;
use crate::harness::client;
use crate::harness::consumer::read_all;
use crate::harness::context::Context;
use crate::harness::wait::block_on;

/// As another system has it: another name and order, a field more, and of those that may be left out only one.
const OTHERS_OWN: &str = r#"{
    "type": "record", "name": "Registration", "namespace": "shop", "fields": [
        {"name": "feeds", "type": {"type": "array", "items": "string"}},
        {"name": "shop", "type": "long"},
        {"name": "promoter_openid", "type": "string"},
        {"name": "app_id", "type": "string"}
    ]
}"#;
/// Of no schema.
const UNKNOWN_ID: i32 = 1_000_000;

pub fn read(context: &Context) -> Result<()> {
    let apicurio = Apicurio::start().map_err(|error| anyhow!(error))?;
    let topic = prepare(context, &format!("schema_registry.url = \"{}\"", apicurio.url()))?;
    let registry = SchemaRegistry::new(apicurio.url().parse::<url::Url>()?.into())?;
    let subject = format!("{topic}-value");
    shown(context, &["add", "oOurs", "--feeds", "orders"])?;
    let own_id = block_on(registry.look_up(&subject, RecordKind::Promoter.text()))?;
    let own_id = own_id.context("what is written is registered under the topic's subject")?;
    let value = read_all(context.bootstrap(), &topic)?.remove(0).value.context("a value")?;
    ensure!(value.starts_with(&header(own_id)), "what we write is framed with {own_id}: {:?}", &value[..5]);

    let others_id = block_on(registry.register(&subject, OTHERS_OWN))?;
    ensure!(own_id != others_id, "the other's schema is another");
    put(context, &topic, "oSingle", framed("oSingle", Framing::SingleObject)?, false)?;
    put(context, &topic, "oFramed", framed("oFramed", Framing::Confluent { schema_id: own_id })?, false)?;
    put(context, &topic, "oTheirs", [header(others_id), others_bytes("oTheirs")?].concat(), false)?;
    put(context, &topic, "oUnknown", [header(UNKNOWN_ID), b"?".to_vec()].concat(), false)?;
    let json = br#"{"app_id": "wx1", "promoter_openid": "oJson", "feeds": ["Orders"], "shop": 7}"#;
    put(context, &topic, "oJson", json.to_vec(), true)?;

    let list = listed(context)?;
    let names: Vec<&str> = list.keys().map(String::as_str).collect();
    ensure!(names == ["oConfigured", "oFramed", "oJson", "oOurs", "oSingle", "oTheirs"], "{names:?}");
    for name in ["oOurs", "oTheirs", "oJson"] {
        ensure!(list[name]["feeds"] == json!({"value": ["ORDERS"], "source": "registry"}), "{}", list[name]);
    }
    ensure!(list["oFramed"]["state"] == "paused" && list["oSingle"]["state"] == "paused", "as they were registered");
    let told = String::from_utf8(promoters(context, &["list"])?.stderr)?;
    let words =
        format!("key \"wx1/oUnknown\", changes nothing: unknown_schema: written with the schema id {UNKNOWN_ID}");
    ensure!(told.contains(&words) && told.matches("changes nothing").count() == 1, "{told}");
    Ok(())
}

fn header(schema_id: i32) -> Vec<u8> {
    [[0].as_slice(), &schema_id.to_be_bytes()].concat()
}

fn framed(id: &str, framing: Framing) -> Result<Vec<u8>> {
    let record = PromoterRecord { paused: true, updated_at: UnixMillis(1), ..PromoterRecord::default() };
    let mut bytes = Vec::new();
    PromoterEncoder::new(framing).encode(&Promoter::from_key(&format!("wx1/{id}"))?, &record, &mut bytes)?;
    Ok(bytes)
}

fn others_bytes(id: &str) -> Result<Vec<u8>> {
    let schema = Schema::parse_str(OTHERS_OWN)?;
    let mut record = AvroRecord::new(&schema).context("the schema is one of a record")?;
    record.put("feeds", AvroValue::Array(vec!["orders".into()]));
    record.put("shop", 42_i64);
    record.put("promoter_openid", id);
    record.put("app_id", "wx1");
    Ok(GenericDatumWriter::builder(&schema).build()?.write_value_to_vec(record)?)
}

/// As a Java program partitions.
pub fn put(context: &Context, topic: &str, id: &str, value: Vec<u8>, is_json: bool) -> Result<()> {
    let producer: BaseProducer = client::config(context.bootstrap()).set("partitioner", "murmur2_random").create()?;
    let key = format!("wx1/{id}");
    let mut record = BaseRecord::to(topic).key(&key).payload(&value);
    if is_json {
        let content_type = Header { key: "Content-Type", value: Some("application/json; charset=utf-8") };
        record = record.headers(OwnedHeaders::new().insert(content_type));
    }
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(producer.flush(BOUND)?)
}
