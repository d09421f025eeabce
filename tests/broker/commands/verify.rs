//! `verify`: exact where all is published once, and what differs where it is not.

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use super::{Answer, answer};
use crate::broker::world::{BOUND, SETTLE};
use crate::harness::client;
use crate::harness::consumer::{Record, read_all};
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

const PROMOTER: &str = "wx_simulated/oSimulated000001";
/// More days than the world has a history of, and each of them costs a call.
const DAYS: i64 = 30;
const TO: &str = "2100-01-01T00:00:00Z";

fn verify(context: &Context, config: &str) -> Result<Answer> {
    verify_in(context, config, &["--json"])
}

fn verify_in(context: &Context, config: &str, form: &[&str]) -> Result<Answer> {
    let from = (Timestamp::now() - SignedDuration::from_hours(24 * DAYS)).to_string();
    let arguments = ["verify", "--promoter", PROMOTER, "--from", &from, "--to", TO];
    answer(context, config, &[&arguments, form].concat())
}

/// How many facts the report has in a list.
fn count(report: &Value, list: &str) -> usize {
    report[list].as_array().map_or(0, Vec::len)
}

pub fn differences(context: &Context) -> Result<()> {
    // Several days of history, so that some have closed.
    let simulator = context.simulator(&[
        "--promoters=2",
        "--faults=none",
        "--history=6d",
        "--touches-per-hour=4",
        "--orders-per-hour=3",
        "--late=0",
        "--dead-rows=0.02",
        "--told-later=0",
        "--quiet-after=1s",
    ])?;
    let mut config = context.config(simulator.url(), 2, "");
    for feed in ["touches", "orders", "refunds"] {
        config = config.replace(&format!("feeds.{feed} = {{"), &format!("feeds.{feed} = {{ lateness = \"1s\","));
    }
    ensure!(config.matches("lateness").count() == 3, "each feed has one: {config}");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    let exact = verify(context, &config)?.must_end_with(0)?;
    let report = exact.json()?;
    ensure!(report["shown"] == report["published"] && report["shown"].as_u64() > Some(100), "{report}");
    ensure!(report["judged"].as_array().is_some_and(|judged| judged.len() == 3), "{report}");
    ensure!(exact.told.contains("costs "), "its cost comes first: {}", exact.told);

    let records = read_all(context.bootstrap(), &context.topics().name("touches"))?;
    let own: Vec<&Record> = records.iter().filter(|record| record.key_text() == PROMOTER).collect();
    plant(context, "touches", own.first().copied().context("a touch")?)?;
    let report = verify(context, &config)?.must_end_with(1)?.json()?;
    ensure!((count(&report, "twice"), count(&report, "missing")) == (1, 0), "a double: {report}");

    // Of the touches nothing is left but one that the upstream has shown, and one that it has not.
    let topic = context.topics().name("touches");
    context.topics().delete(&topic)?;
    wait_until("the topic is gone", BOUND, || Ok((context.topics().partitions(&topic)? == 0).then_some(())))?;
    context.topics().create("touches", 3, &[])?;
    plant(context, "touches", own[0])?;
    let mut stranger = own[1].clone();
    // The first byte of the identity, behind the frame and the length.
    let value = stranger.value.as_mut().context("a value")?;
    value[11] = if value[11] == b'0' { b'1' } else { b'0' };
    plant(context, "touches", &stranger)?;
    let report = verify(context, &config)?.must_end_with(1)?.json()?;
    ensure!(count(&report, "missing") == own.len() - 1, "{} of {}: {report}", count(&report, "missing"), own.len());
    ensure!((count(&report, "extra"), count(&report, "twice")) == (1, 0), "{report}");
    let text = verify_in(context, &config, &[])?;
    ensure!(text.must_end_with(1)?.shown.contains("missing   touch "), "and in words");
    Ok(())
}

/// Puts a record where another one stood, by hand.
fn plant(context: &Context, topic: &str, record: &Record) -> Result<()> {
    let producer: BaseProducer = client::config(context.bootstrap()).create()?;
    let topic = context.topics().name(topic);
    let (key, value) = (record.key.clone().context("a key")?, record.value.clone().context("a value")?);
    let planted = BaseRecord::to(&topic).key(&key).payload(&value).partition(record.partition);
    let planted = planted.timestamp(record.timestamp_ms.context("a time")?);
    producer.send(planted).map_err(|(error, _)| error)?;
    Ok(producer.flush(BOUND)?)
}
