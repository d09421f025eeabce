//! Promoters that are registered while instances run.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::PARTITIONS;
use crate::broker::producer::Transactional;
use crate::broker::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::client;
use crate::harness::connector::{BINARY, Connector};
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

/// From a command's end to what it changes.
const ACTS_WITHIN: Duration = Duration::from_secs(5);

/// Two instances that know one promoter from their configuration, and all the others by the registry.
pub fn are_polled(context: &Context) -> Result<()> {
    let simulator = lively(context, "25s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    let config = |instance| context.config_of(instance, simulator.url(), 1, &more);
    let one = context.connector("one", &config("one"), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let two = context.connector("two", &config("two"), &[])?;
    two.wait_logged(OPEN, 1, BOUND)?;
    wait_for_records(context, &one, "touches", 1)?;

    register_others(context)?;
    let began = Instant::now();
    let known = || -> Result<usize> {
        let published = context.decoded("touches")?;
        let promoters: BTreeSet<String> =
            published.iter().filter_map(|event| Some(event["promoter_openid"].as_str()?.to_owned())).collect();
        Ok(promoters.len())
    };
    let before = known()?;
    // Not all of them have touches yet.
    wait_until("promoters that were added are polled", BOUND, || Ok((known()? > before + 2).then_some(())))?;
    let took = began.elapsed();
    println!("polled and published {took:?} behind the command's end");
    ensure!(took < 3 * ACTS_WITHIN, "it took {took:?}");

    // Whoever owns the shards next reads the same registry.
    ensure!(two.terminate()?.success(), "the second instance ends in order");
    one.wait_logged(OPEN, 2, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    an_unreadable_record_is_told_once(context, one)
}

/// What is said after the registry of a shard could be read, and before all else of it is restored, is no less said.
pub fn while_shards_are_restored(context: &Context) -> Result<()> {
    let simulator = lively(context, "10s")?;
    // Not from the earliest time on: nobody is to wait for a backfill.
    let start = Timestamp::now() - SignedDuration::from_hours(1);
    let config = context.config(simulator.url(), 1, QUICK_GROUP).replace("earliest", &start.to_string());
    let first = context.connector("one", &config, &[])?;
    first.wait_logged(OPEN, 1, BOUND)?;
    ensure!(first.terminate()?.success(), "it ends in order");
    let state = context.topics().name("state");
    let open = Transactional::open(context.bootstrap(), &state)?;
    open.begin()?;
    (0..PARTITIONS).try_for_each(|partition| open.write_to(&state, partition, "hello", "open"))?;
    let again = context.connector("again", &config, &[])?;
    again.wait_logged("waiting for an open transaction", 1, BOUND)?;
    register_others(context)?;
    ensure!(!again.log()?.contains(OPEN), "it is still being restored");
    open.abort()?;
    context.settle(&simulator, SETTLE)?;
    again.must_run()
}

/// Registers all but the first promoter of the upstream, as the instance "one" is configured.
fn register_others(context: &Context) -> Result<()> {
    let keys: Vec<String> = (2..=PROMOTERS).map(|number| format!("wx_simulated/oSimulated{number:06}")).collect();
    let mut arguments = vec!["promoters", "add", "--config", "one.toml"];
    arguments.extend(keys.iter().map(String::as_str));
    let added = Command::new(BINARY).args(&arguments).current_dir(context.directory()).output()?;
    ensure!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    Ok(())
}

fn an_unreadable_record_is_told_once(context: &Context, one: Connector) -> Result<()> {
    let letters = || -> Result<usize> {
        let letters = context.decoded("dead-letters")?;
        Ok(letters.iter().filter(|letter| letter["source"] == "registry").count())
    };
    let producer: BaseProducer = client::config(context.bootstrap()).create()?;
    let registry = context.topics().name("registry");
    let record = BaseRecord::to(&registry).key("wx_simulated/oSimulated000001").payload("{");
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(BOUND)?;
    wait_until("it is a dead letter", BOUND, || Ok((letters()? == 1).then_some(())))?;
    ensure!(one.terminate()?.success(), "it ends in order");
    let again = context.connector("again", &std::fs::read_to_string(context.directory().join("one.toml"))?, &[])?;
    again.wait_logged(OPEN, 1, BOUND)?;
    // What it has read of the registry is in the queue before the first facts are.
    let count = letters()?;
    ensure!(count == 1, "{count} dead letters of one record");
    ensure!(again.terminate()?.success(), "it ends in order");
    ensure!(letters()? == 1, "told again");
    Ok(())
}
