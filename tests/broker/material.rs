//! Each request for material has exactly one committed answer, whatever happens to those who answer.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use promoter_connector::avro::decode::{Decoded, Decoder};
use promoter_connector::avro::framing::Framing;
use promoter_connector::avro::material::RequestEncoder;
use promoter_connector::domain::material::MaterialRequest;
use promoter_connector::domain::time::UnixMillis;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::connector::BINARY;
use crate::harness::consumer::{Record, read_all, read_until};
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;

pub const CASES: &[Case] = &[
    Case::shared("material: kill -9 leaves exactly one answer to each request", kills_leave_one_answer_to_each),
    Case::shared("material: the command line asks and shows the reply", the_command_line_asks),
    Case::shared("material: two instances share the requests, and a zombie answers none", instances_and_a_zombie),
];

const REQUESTS: usize = 400;
const BOUND: Duration = Duration::from_secs(120);
/// How many answers come between one kill and the next.
const BETWEEN_KILLS: usize = 35;
const KILLS: usize = 6;

fn kills_leave_one_answer_to_each(context: &Context) -> Result<()> {
    let simulator = prepare(context)?;
    let config = context.config(simulator.url(), 1, "");
    put_requests(context)?;
    for kill in 1..=KILLS {
        let connector = context.connector("one", &config, &[])?;
        answers_beyond(context, kill * BETWEEN_KILLS)?;
        connector.kill9()?;
    }
    let connector = context.connector("one", &config, &[])?;
    answers_beyond(context, REQUESTS - 1)?;
    ensure!(connector.terminate()?.success(), "a stop in order");
    judge(context)
}

fn the_command_line_asks(context: &Context) -> Result<()> {
    let simulator = prepare(context)?;
    let connector = context.connector("one", &context.config(simulator.url(), 1, ""), &[])?;
    let directory = context.directory();
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["material", "request", "--app", "wx_simulated", "--path", "pages/index", "--timeout", "60s"]);
        command.arg("--config").arg(directory.join("one.toml")).args(arguments).current_dir(directory);
        command.output().context("the command does not start")
    };
    let asked = ask(&["--promoter", "oSimulated000001", "--out", "qrcode.png", "--json"])?;
    ensure!(asked.status.success(), "it succeeds: {}", String::from_utf8_lossy(&asked.stderr));
    let reply: serde_json::Value = serde_json::from_slice(&asked.stdout)?;
    ensure!(reply["status"] == "SUCCEEDED" && reply["promoter_openid"] == "oSimulated000001", "the reply: {reply}");
    ensure!(std::fs::read(directory.join("qrcode.png"))?.starts_with(b"\x89PNG"), "the image is there");

    let asked = ask(&["--promoter", "oSimulated000001", "--share-type", "1"])?;
    let shown = String::from_utf8(asked.stdout)?;
    ensure!(shown.contains("short link") && shown.contains("expires") && !shown.contains("QR code"), "{shown}");

    let asked = ask(&["--promoter", "oSimulated000001", "--title", "a title that is too long"])?;
    ensure!(asked.status.code() == Some(1), "a refusal is told by 1");
    let told = String::from_utf8(asked.stderr)?;
    ensure!(told.contains("REJECTED: title has 24 bytes of UTF-8, 20 are allowed"), "{told}");
    connector.must_run()
}

fn instances_and_a_zombie(context: &Context) -> Result<()> {
    let simulator = prepare(context)?;
    // A session that is short, so that the paused instance is thrown out while it stands still.
    let config = context.config(simulator.url(), 1, "").replace(
        "kafka = { ",
        "kafka = { \"session.timeout.ms\" = 3000, \"heartbeat.interval.ms\" = 500, \"transaction.timeout.ms\" = 5000, ",
    );
    put_requests(context)?;
    let first = context.connector("one", &config, &[])?;
    answers_beyond(context, BETWEEN_KILLS)?;
    let second = context.connector("two", &config.replace("instance_id = \"one\"", "instance_id = \"two\""), &[])?;
    answers_beyond(context, 3 * BETWEEN_KILLS)?;
    first.stop()?;
    answers_beyond(context, REQUESTS - 1)?;
    first.cont()?;
    // More comes while the zombie learns that it is one.
    put_requests(context)?;
    answers_beyond(context, 2 * REQUESTS - 1)?;
    for connector in [&first, &second] {
        connector.must_run()?;
        ensure!(connector.terminate()?.success(), "a stop in order");
    }
    judge(context)
}

fn prepare(context: &Context) -> Result<Simulator> {
    for topic in ["material.requests", "material.results", "dead-letters"] {
        context.topics().create(topic, 3, &[])?;
    }
    context.simulator(&["--promoters", "10", "--faults", "none", "--latency", "100ms", "--dead-rows", "0"])
}

fn promoter(number: usize) -> String {
    format!("oSimulated{:06}", number % 10 + 1)
}

/// Every tenth request can't be carried out, in one of five ways.
fn request(number: usize) -> MaterialRequest {
    let mut request = MaterialRequest {
        request_id: format!("request-{number}"),
        app_id: "wx_simulated".into(),
        promoter_openid: promoter(number),
        path: "pages/index".into(),
        extra_info: Some(format!("campaign-{number}")),
        ..MaterialRequest::default()
    };
    match number % 50 {
        0 => request.title = Some("a title that is too long".into()),
        10 => request.app_id = "wx_unknown".into(),
        20 => request.promoter_openid = "oStranger".into(),
        30 => request.deadline = Some(UnixMillis(1_600_000_000_000)),
        _ => {}
    }
    request
}

fn expected_status(number: usize) -> Option<&'static str> {
    match number % 50 {
        0 | 10 => Some("REJECTED"),
        20 => Some("FAILED"),
        30 => Some("EXPIRED"),
        40 => None,
        _ => Some("SUCCEEDED"),
    }
}

/// Avro and JSON by turns; `number % 50 == 40` is neither.
fn put_requests(context: &Context) -> Result<()> {
    let topic = context.topics().name("material.requests");
    let producer: BaseProducer = client::config(context.bootstrap()).create()?;
    let encoder = RequestEncoder::new(Framing::SingleObject);
    let mut avro = Vec::new();
    for number in 0..REQUESTS {
        let request = request(number);
        let (content_type, value) = match number % 50 {
            40 => ("application/avro", b"neither Avro nor JSON".to_vec()),
            _ if number % 2 == 0 => ("application/json", json(&request)),
            _ => {
                encoder.encode(&request, &mut avro)?;
                ("application/avro", avro.clone())
            }
        };
        let key = format!("wx_simulated/{}", promoter(number));
        let headers = OwnedHeaders::new()
            .insert(Header { key: "content-type", value: Some(content_type) })
            .insert(Header { key: "correlation-id", value: Some(&number.to_string()) });
        let record = BaseRecord::to(&topic).key(&key).payload(&value).headers(headers);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}

fn json(request: &MaterialRequest) -> Vec<u8> {
    let deadline = request.deadline.map(|time| jiff::Timestamp::from_millisecond(time.0).expect("a time").to_string());
    let json = serde_json::json!({
        "request_id": request.request_id, "app_id": request.app_id, "promoter_openid": request.promoter_openid,
        "path": request.path, "extra_info": request.extra_info, "title": request.title, "deadline": deadline,
    });
    json.to_string().into_bytes()
}

/// Waits for more than `count` answers, dead letters among them.
fn answers_beyond(context: &Context, count: usize) -> Result<()> {
    let topics = ["material.results", "dead-letters"].map(|name| context.topics().name(name));
    let topics = topics.each_ref().map(String::as_str);
    read_until(context.bootstrap(), &topics, BOUND, |seen| seen.len() > count).map(drop)
}

/// Replies by the request records that they answer, and dead letters by their places, against what was asked.
fn judge(context: &Context) -> Result<()> {
    let [requests, results, dead_letters] = ["material.requests", "material.results", "dead-letters"]
        .map(|name| read_all(context.bootstrap(), &context.topics().name(name)));
    let mut expected: BTreeMap<(String, String, String), i64> = BTreeMap::new();
    let mut expected_dead = Vec::new();
    for record in requests? {
        let number: usize = correlation(&record)?.parse()?;
        match expected_status(number) {
            Some(status) => *expected.entry(answer(&record, number, status)?).or_default() += 1,
            None => expected_dead.push((record.partition, record.offset)),
        }
    }
    let decoder = Decoder::new([]);
    for record in results? {
        let result = decoder.decode(record.value.as_deref().unwrap_or_default())?;
        let number: usize = correlation(&record)?.parse()?;
        let request = request(number);
        ensure!(result.text("request_id") == Some(&request.request_id), "another's reply: {record:?}");
        ensure!(header(&record, "content-type")? == "application/avro", "always Avro: {record:?}");
        let status = result.text("status").context("a reply without its status")?;
        *expected.entry(answer(&record, number, status)?).or_default() -= 1;
        check_content(&result, status)?;
    }
    let wrong: Vec<_> = expected.iter().filter(|(_, count)| **count != 0).collect();
    ensure!(wrong.is_empty(), "key, number and status, with how many are missing (or too many, below 0): {wrong:?}");

    let mut dead = Vec::new();
    for record in dead_letters? {
        let letter = decoder.decode(record.value.as_deref().unwrap_or_default())?;
        ensure!(letter.text("source") == Some("commands"), "a dead letter of something else: {letter:?}");
        ensure!(letter.text("raw") == Some("neither Avro nor JSON"), "the bytes: {letter:?}");
        let number = |name| letter.field(name).and_then(|field| field.as_i64()).context("a place");
        dead.push((i32::try_from(number("partition")?)?, number("offset")?));
    }
    dead.sort_unstable();
    expected_dead.sort_unstable();
    ensure!(dead == expected_dead, "dead letters of {dead:?}, expected {expected_dead:?}");
    Ok(())
}

fn check_content(result: &Decoded, status: &str) -> Result<()> {
    let absent = |name| result.field(name).is_some_and(|field| field.is_null());
    let succeeded = status == "SUCCEEDED";
    for name in ["share_path", "qrcode", "qrcode_type", "tag", "issued_at", "expires_at"] {
        ensure!(absent(name) != succeeded, "{name} of {result:?}");
    }
    ensure!(absent("errmsg") == succeeded, "errmsg of {result:?}");
    if succeeded {
        ensure!(result.text("qrcode_type") == Some("image/png"), "the type of {result:?}");
    }
    if status == "FAILED" {
        ensure!(result.field("errcode") == Some(&103_006.into()), "errcode of {result:?}");
    }
    Ok(())
}

fn answer(record: &Record, number: usize, status: &str) -> Result<(String, String, String)> {
    ensure!(record.key_text() == format!("wx_simulated/{}", promoter(number)), "the key of {record:?}");
    Ok((record.key_text(), number.to_string(), status.to_owned()))
}

fn correlation(record: &Record) -> Result<String> {
    header(record, "correlation-id")
}

fn header(record: &Record, name: &str) -> Result<String> {
    let values: Vec<_> = record.headers.iter().filter(|(header, _)| header == name).collect();
    ensure!(values.len() == 1, "one header {name}: {record:?}");
    Ok(String::from_utf8(values[0].1.clone())?)
}
