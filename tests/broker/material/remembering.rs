//! What is answered stands in the topics: under another name, and in another log.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use promoter_connector::avro::decode::Decoder;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::json_requester::JsonRequester;
use super::{config, prepare};
use crate::broker::world::{BOUND, OPEN, TAKEN};
use crate::harness::client;
use crate::harness::consumer::{read_all, read_until};
use crate::harness::context::Context;

const PARTITIONS: i32 = 3;
/// Some day, to the millisecond: a record that is written again is the same.
const FIRST_AT: i64 = 1_767_225_600_000;

/// The group that had answered them is not known any more, as when Kafka has forgotten its offsets.
pub fn under_another_name(context: &Context) -> Result<()> {
    let simulator = prepare(context, "10ms")?;
    let one = config(context, "one", &simulator, "");
    let connector = context.connector("one", &one, &[])?;
    connector.wait_logged(OPEN, 1, BOUND)?;
    ask(context, 0..50)?;
    answered(context, 50)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    let name = format!("connector = {{ name = \"{}\"", context.topics().prefix());
    let renamed = one.replace(&name, "connector = { name = \"renamed\"");
    ensure!(renamed != one, "the name is replaced");
    // The topics are another connector's, until its fences are taken away.
    let refused = context.connector("refused", &renamed, &[])?;
    refused.wait_exit(BOUND)?;
    ensure!(!refused.log()?.contains(TAKEN), "it has answered nothing");
    let producer: ThreadedProducer<_> = client::config(context.bootstrap()).create()?;
    let (state, key) = (context.topics().name("state"), format!("fence/{}", context.topics().prefix()));
    for partition in 0..PARTITIONS {
        let tombstone: BaseRecord<'_, String, [u8]> = BaseRecord::to(&state).key(&key).partition(partition);
        producer.send(tombstone).map_err(|(error, _)| error)?;
    }
    producer.flush(BOUND)?;
    let connector = context.connector("renamed", &renamed, &[])?;
    connector.wait_logged(TAKEN, 1, BOUND)?;
    ask(context, 50..60)?;
    answered(context, 60)?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    each_once(context, 0..60)
}

/// Its last records are lost, and others come to their places.
pub fn in_a_log_that_lost_its_tail(context: &Context) -> Result<()> {
    let simulator = prepare(context, "10ms")?;
    let requests = context.topics().name("material.requests");
    context.topics().delete(&requests)?;
    context.topics().create("material.requests", 1, &[])?;
    let one = config(context, "one", &simulator, "");
    let connector = context.connector("one", &one, &[])?;
    ask(context, 0..40)?;
    answered(context, 40)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    context.topics().delete(&requests)?;
    context.topics().create("material.requests", 1, &[])?;
    ask(context, 0..25)?;
    ask(context, 100..130)?;
    let connector = context.connector("again", &one, &[])?;
    answered(context, 70)?;
    // Also for whoever comes next.
    ask(context, 130..135)?;
    answered(context, 75)?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    let connector = context.connector("later", &one, &[])?;
    connector.wait_logged(TAKEN, 1, BOUND)?;
    ask(context, 135..140)?;
    answered(context, 80)?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    each_once(context, (0..40).chain(100..140))
}

/// What was answered is not known any more, and nobody answers it again.
pub fn after_its_memory_was_emptied(context: &Context) -> Result<()> {
    let simulator = prepare(context, "10ms")?;
    let one = config(context, "one", &simulator, "");
    let connector = context.connector("one", &one, &[])?;
    ask(context, 0..50)?;
    answered(context, 50)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    let state = context.topics().name("state");
    context.topics().delete(&state)?;
    context.topics().create("state", PARTITIONS, &[("cleanup.policy", "compact")])?;
    for start in 0..3 {
        let connector = context.connector(&format!("again-{start}"), &one, &[])?;
        let end = connector.wait_exit(BOUND)?;
        ensure!(end.code() == Some(1), "it stops, and does not end with {end}");
        ensure!(!connector.log()?.contains(TAKEN), "it has answered nothing");
    }
    each_once(context, 0..50)
}

fn ask(context: &Context, numbers: Range<i64>) -> Result<()> {
    let requester = JsonRequester::open(context)?;
    for number in numbers {
        let request = serde_json::json!({
            "request_id": number.to_string(), "app_id": "wx_simulated", "promoter_openid": "oSimulated000001",
            "path": "pages/index", "share_type": "1",
        });
        requester.put(&request.to_string(), Some(FIRST_AT + number))?;
    }
    requester.flush()
}

fn answered(context: &Context, count: usize) -> Result<()> {
    let results = context.topics().name("material.results");
    read_until(context.bootstrap(), &[&results], BOUND, |seen| seen.len() >= count).map(drop)
}

fn each_once(context: &Context, numbers: impl IntoIterator<Item = i64>) -> Result<()> {
    let replies = read_all(context.bootstrap(), &context.topics().name("material.results"))?;
    let decoder = Decoder::new([]);
    let mut found = Vec::new();
    for reply in replies {
        let reply = decoder.decode(reply.value.as_deref().context("a value")?)?;
        ensure!(reply.text("status") == Some("SUCCEEDED"), "{reply:?}");
        found.push(reply.text("request_id").context("an id")?.parse::<i64>()?);
    }
    found.sort_unstable();
    let asked: Vec<i64> = numbers.into_iter().collect();
    ensure!(found == asked, "answered {found:?}");
    Ok(())
}
