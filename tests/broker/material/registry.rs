//! Requests and replies that are framed for a schema registry, which is a real one.

use anyhow::{Context as _, Result, anyhow, ensure};
use apache_avro::Schema;
use apache_avro::types::Record as AvroRecord;
use apache_avro::writer::datum::GenericDatumWriter;
use promoter_connector::avro::decode::{Decoded, Decoder};
use promoter_connector::avro::framing::Framing;
use promoter_connector::avro::material::RequestEncoder;
use promoter_connector::avro::schema_registry::SchemaRegistry;
use promoter_connector::avro::schemas::RecordKind;
use promoter_connector::model::material::MaterialRequest;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{config, prepare};
use crate::broker::world::{BOUND, TAKEN};
use crate::harness::apicurio::Apicurio;
use crate::harness::client;
use crate::harness::consumer::{Record, read_all, read_until};
use crate::harness::context::Context;
use crate::harness::wait::block_on;

/// As a requester has it that was written by hand: another name and order, a field more with its default, and of the
/// optional ones only one.
const REQUESTERS_OWN: &str = r#"{
    "type": "record", "name": "Ask", "namespace": "shop", "fields": [
        {"name": "path", "type": "string"},
        {"name": "shop", "type": "long", "default": 0},
        {"name": "promoter_openid", "type": "string"},
        {"name": "title", "type": ["null", "string"], "default": null},
        {"name": "app_id", "type": "string"},
        {"name": "request_id", "type": "string"}
    ]
}"#;
/// Of no schema.
const UNKNOWN_ID: i32 = 1_000_000;
const ANSWERS: usize = 4;

pub fn framed_for_a_registry(context: &Context) -> Result<()> {
    let apicurio = Apicurio::start().map_err(|error| anyhow!(error))?;
    let simulator = prepare(context, "10ms")?;
    let more = format!("schema_registry.url = \"{}\"", apicurio.url());
    let connector = context.connector("one", &config(context, "one", &simulator, &more), &[])?;
    connector.wait_logged(TAKEN, 1, BOUND)?;
    let registry = SchemaRegistry::new(apicurio.url().parse::<url::Url>()?.into())?;
    let subject = |topic: &str| format!("{}-value", context.topics().name(topic));
    let id_of = |topic: &str, kind: RecordKind| {
        let id = block_on(registry.look_up(&subject(topic), kind.text()))?;
        id.with_context(|| format!("the connector has not registered {kind} for {topic}"))
    };

    let own_id = id_of("material.requests", RecordKind::MaterialRequest)?;
    let requesters_id = block_on(registry.register(&subject("material.requests"), REQUESTERS_OWN))?;
    ensure!(own_id != requesters_id, "the requester's schema is another");
    let framed = |schema_id| framed(&request("ours"), Framing::Confluent { schema_id });
    put(
        context,
        &[
            framed(own_id)?,
            [header(requesters_id), requesters_bytes("theirs", "short")?].concat(),
            [header(requesters_id), requesters_bytes("theirs, refused", "a title that is too long")?].concat(),
            framed(UNKNOWN_ID)?,
        ],
    )?;

    let topics = ["material.results", "dead-letters"].map(|name| context.topics().name(name));
    let topics = topics.each_ref().map(String::as_str);
    read_until(context.bootstrap(), &topics, BOUND, |seen| seen.len() >= ANSWERS)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    let result_id = id_of("material.results", RecordKind::MaterialResult)?;
    let replies = decoded(context, "material.results", result_id, RecordKind::MaterialResult)?;
    let found: Vec<_> = replies.iter().map(|reply| (reply.text("request_id"), reply.text("status"))).collect();
    let expected = [("ours", "SUCCEEDED"), ("theirs", "SUCCEEDED"), ("theirs, refused", "REJECTED")]
        .map(|(id, status)| (Some(id), Some(status)));
    ensure!(found == expected, "replies {found:?}");
    let letter_id = id_of("dead-letters", RecordKind::DeadLetter)?;
    let letters = decoded(context, "dead-letters", letter_id, RecordKind::DeadLetter)?;
    let told = letters[0].text("detail").context("a detail")?.to_owned();
    ensure!(letters.len() == 1 && letters[0].text("reason") == Some("unknown_schema"), "{letters:?}");
    ensure!(told.contains(&format!("schema id {UNKNOWN_ID}, which no registry knows")), "{told}");
    Ok(())
}

fn request(id: &str) -> MaterialRequest {
    let [request_id, app_id, promoter_openid, path] =
        [id, "wx_simulated", "oSimulated000001", "pages/index"].map(str::to_owned);
    MaterialRequest { request_id, app_id, promoter_openid, path, ..MaterialRequest::default() }
}

fn framed(request: &MaterialRequest, framing: Framing) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    RequestEncoder::new(framing).encode(request, &mut bytes)?;
    Ok(bytes)
}

fn header(schema_id: i32) -> Vec<u8> {
    [[0].as_slice(), &schema_id.to_be_bytes()].concat()
}

fn requesters_bytes(id: &str, title: &str) -> Result<Vec<u8>> {
    let schema = Schema::parse_str(REQUESTERS_OWN)?;
    let request = request(id);
    let mut record = AvroRecord::new(&schema).context("the schema is one of a record")?;
    record.put("path", request.path);
    record.put("shop", 42_i64);
    record.put("promoter_openid", request.promoter_openid);
    record.put("title", Some(title.to_owned()));
    record.put("app_id", request.app_id);
    record.put("request_id", request.request_id);
    Ok(GenericDatumWriter::builder(&schema).build()?.write_value_to_vec(record)?)
}

fn put(context: &Context, values: &[Vec<u8>]) -> Result<()> {
    let topic = context.topics().name("material.requests");
    let producer: BaseProducer = client::config(context.bootstrap()).create()?;
    for value in values {
        let record = BaseRecord::to(&topic).key("wx_simulated/oSimulated000001").payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(BOUND)?)
}

/// All records of a topic, each framed with that id, in the order of their ids.
fn decoded(context: &Context, topic: &str, schema_id: i32, kind: RecordKind) -> Result<Vec<Decoded>> {
    let decoder = Decoder::new([(schema_id, kind)]);
    let decode = |record: Record| {
        let value = record.value.context("a value")?;
        ensure!(value.starts_with(&header(schema_id)), "{topic} is not framed with {schema_id}: {:?}", &value[..5]);
        Ok(decoder.decode(&value)?)
    };
    let records = read_all(context.bootstrap(), &context.topics().name(topic))?;
    let mut decoded: Vec<Decoded> = records.into_iter().map(decode).collect::<Result<_>>()?;
    decoded.sort_by_key(|record| record.text("request_id").map(str::to_owned));
    Ok(decoded)
}
