//! Who is who in the group: names that change, one name for two, members of another kind, and a roll from one life of every
//! instance to the next.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::shard::Shard;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

use super::commands::told as told_by;
use super::world::{
    BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively, member_config, wait_for_records,
};
use crate::harness::admin_port::{AdminPort, opened};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

const FOREIGN: &str = "a member of the consumer group is no instance";

pub const CASES: &[Case] = &[
    Case::shared("identity: every instance is stopped and started in turn", a_roll),
    Case::shared("identity: who is killed under one name goes on under another", another_name),
    Case::shared("identity: of two that run under one name the first ends and says so", one_name_twice),
    Case::shared(
        "identity: a stranger in the group takes a part, is named by all that look, and gives it back",
        a_stranger,
    ),
    Case::shared(
        "identity: a stranger that shares out in another way keeps instances out, is named, and told to go",
        a_stranger_of_another_kind,
    ),
];

/// As one of several instances that miss each other soon.
fn config(context: &Context, simulator: &Simulator, instance: &str) -> String {
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    context.config_of(instance, simulator.url(), PROMOTERS, &more)
}

fn a_roll(context: &Context) -> Result<()> {
    let simulator = lively(context, "20s")?;
    let start = |name| context.connector(name, &config(context, &simulator, name), &[]);
    let mut fleet = Vec::new();
    for name in ["one", "two", "three"] {
        let connector = start(name)?;
        connector.wait_logged(OPEN, 1, BOUND)?;
        fleet.push((name, connector));
    }
    for (name, connector) in &mut fleet {
        let opened = connector.log()?.matches(OPEN).count();
        let end = connector.terminate()?;
        ensure!(end.success(), "{name} ends in order, and not with {end}");
        *connector = start(name)?;
        connector.wait_logged(OPEN, opened + 1, BOUND)?;
    }
    context.settle(&simulator, SETTLE)?;
    fleet.iter().try_for_each(|(_, connector)| connector.must_run())
}

/// Its transaction is open, and nobody comes back under the name that could end it at once.
fn another_name(context: &Context) -> Result<()> {
    let simulator = lively(context, "10s")?;
    let failpoint = ("PROMOTER_FAILPOINT", "records_acknowledged:12");
    let before = context.connector("before", &config(context, &simulator, "before"), &[failpoint])?;
    before.wait_exit(BOUND)?;
    let after = context.connector("after", &config(context, &simulator, "after"), &[])?;
    context.settle(&simulator, SETTLE)?;
    after.must_run()
}

fn one_name_twice(context: &Context) -> Result<()> {
    let simulator = lively(context, "12s")?;
    let config = config(context, &simulator, "one");
    let first = context.connector("first", &config, &[])?;
    wait_for_records(context, &first, "orders", 1)?;
    let second = context.connector("second", &config, &[])?;
    let end = first.wait_exit(BOUND)?;
    ensure!(end.code() == Some(1), "the first gives up, and does not end with {end}");
    let words = "another process runs as connector.instance_id";
    ensure!(first.log()?.contains(words), "the first says why it gives up");
    context.settle(&simulator, SETTLE)?;
    second.must_run()
}

/// Polls nothing of what it is given, as a consumer of somebody who has taken the group's name for his own. Whoever looks says so, an
/// instance that owns nothing too, as long as it is there.
fn a_stranger(context: &Context) -> Result<()> {
    const PARTITIONS: i32 = 2;
    let simulator = lively(context, "15s")?;
    let config_of = |instance| {
        let config = opened(&config(context, &simulator, instance)).replace("partitions = 3", "partitions = 2");
        format!("{config}\ncommands = {{ enabled = false }}")
    };
    let one = context.connector("one", &config_of("one"), &[])?;
    wait_for_records(context, &one, "orders", 1)?;
    let stranger: BaseConsumer =
        member_config(context, context.topics().prefix()).set("client.id", "billing").create()?;
    stranger.subscribe(&[&context.topics().name("registry")])?;
    wait_until("it is given a partition", BOUND, || {
        one.must_run()?;
        stranger.poll(Duration::from_millis(100));
        Ok((stranger.assignment()?.count() > 0).then_some(()))
    })?;
    let two = context.connector("two", &config_of("two"), &[])?;
    let ports = [AdminPort::of(&one)?, AdminPort::of(&two)?];
    let cause = |port: &AdminPort| -> Result<Option<Value>> {
        let status = port.json("/api/v1/status")?.1;
        let mut causes = status["causes"].as_array().into_iter().flatten();
        Ok(causes.find(|cause| cause["code"] == "foreign_member").cloned())
    };
    let began = Instant::now();
    let told = wait_until("both tell who is there", BOUND, || {
        // Or it would not take part when the second one joins.
        stranger.poll(Duration::from_millis(100));
        Ok(cause(&ports[0])?.zip(cause(&ports[1])?))
    })?;
    println!("told {:?} after the second one began", began.elapsed());
    // The list holds on to the consumer's partitions, and would keep it from ending.
    let owned: Vec<i32> = {
        let assignment = stranger.assignment()?;
        assignment.elements().iter().map(|element| element.partition()).collect()
    };
    for told in [&told.0, &told.1] {
        ensure!(told["severity"] == "stopped" && told["partitions"] == json!(owned), "{owned:?}: {told}");
        ensure!(told["text"].as_str().is_some_and(|text| text.contains("billing-")), "{told}");
    }
    let log = one.log()?;
    let line = log.lines().find(|line| line.contains(FOREIGN)).context("the log tells as well")?;
    let line: Value = serde_json::from_str(line)?;
    ensure!(line["level"] == "WARN" && line["client_id"] == "billing", "{line}");
    ensure!(line["member"].as_str().is_some_and(|member| member.starts_with("billing-")), "{line}");

    let mut keys = (1..=PROMOTERS).map(|number| format!("wx_simulated/oSimulated{number:06}"));
    let partition_of = |key: &String| Promoter::from_key(key).map(|promoter| Shard::of(&promoter, PARTITIONS).0);
    let key = keys.find(|key| partition_of(key).is_ok_and(|partition| owned.contains(&partition)));
    let key = key.context("some promoter is in its partition")?;
    for port in &ports {
        let told = port.get(&format!("/api/v1/promoters/{key}"))?.1;
        ensure!(told.contains("foreign_member since") && told.contains("billing-"), "{told}");
    }
    let [first, second] = [ports[0].address(), ports[1].address()];
    let command = ["explain", &key, "--at", first, "--at", second];
    let explained = told_by(context, &config_of("one"), &command, 0)?;
    ensure!(explained.contains("is no instance of this connector, so nobody polls it: billing-"), "{explained}");
    let checked = told_by(context, &config_of("one"), &["check"], 2)?;
    ensure!(checked.contains("✗ group") && checked.contains("billing-"), "{checked}");

    drop(stranger);
    for connector in [&one, &two] {
        connector.wait_logged("that is no instance owns nothing any more", 1, BOUND)?;
    }
    ensure!(cause(&ports[0])?.is_none() && cause(&ports[1])?.is_none(), "the cause ends with it");
    two.wait_logged(OPEN, 1, BOUND)?;
    let checked = told_by(context, &config_of("one"), &["check"], 0)?;
    ensure!(checked.contains("2 instances in it now"), "{checked}");
    let explained = told_by(context, &config_of("one"), &command, 0)?;
    ensure!(explained.contains("is owned by") && !explained.contains("billing"), "{explained}");
    context.settle(&simulator, SETTLE)?;
    one.must_run()
}

/// In the group while no instance is: none can join then, and what is in its way is named, as is a stranger among those who answer requests.
fn a_stranger_of_another_kind(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let config = config(context, &simulator, "one");
    let join = |group: &str, topic: &str, strategy: &str| -> Result<BaseConsumer> {
        let mut stranger = member_config(context, group);
        let stranger: BaseConsumer =
            stranger.set("client.id", "billing").set("partition.assignment.strategy", strategy).create()?;
        stranger.subscribe(&[&context.topics().name(topic)])?;
        wait_until("it is given partitions", BOUND, || {
            stranger.poll(Duration::from_millis(100));
            Ok((stranger.assignment()?.count() > 0).then_some(()))
        })?;
        Ok(stranger)
    };
    let before = context.connector("before", &config, &[])?;
    wait_for_records(context, &before, "orders", 1)?;
    ensure!(before.terminate()?.success(), "it ends in order");

    // Once the group has missed that one.
    let stranger = join(context.topics().prefix(), "registry", "range")?;
    let kept_out = context.connector("kept-out", &config, &[])?;
    let end = kept_out.wait_exit(BOUND)?;
    ensure!(end.code() == Some(1), "it can't work, and does not end with {end}");
    let log = kept_out.log()?;
    let checked = told_by(context, &config, &["check"], 2)?;
    ensure!(checked.contains("✗ group"), "{checked}");
    for told in [&log, &checked] {
        let named = told.lines().find(|line| line.contains("no instances of this connector")).context("it is told")?;
        ensure!(named.contains("another way: billing-") && named.contains("give it another group.id"), "{named}");
    }

    drop(stranger);
    let after = context.connector("after", &config, &[])?;
    after.wait_logged(OPEN, 1, BOUND)?;
    let requests = format!("{}:commands", context.topics().prefix());
    let stranger = join(&requests, "material.requests", "cooperative-sticky")?;
    let checked = told_by(context, &config, &["check"], 2)?;
    let named = checked.lines().find(|line| line.contains("✗ group")).context("it is told")?;
    ensure!(named.contains("billing-") && named.contains(&requests), "{named}");
    drop(stranger);
    context.settle(&simulator, SETTLE)?;
    after.must_run()
}
