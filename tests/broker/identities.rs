//! Who is who in the group: names that change, one name for two, members of another kind, and a roll from one life of every
//! instance to the next.

use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::world::{
    BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively, member_config, wait_for_records,
};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

pub const CASES: &[Case] = &[
    Case::shared("identity: every instance is stopped and started in turn", a_roll),
    Case::shared("identity: who is killed under one name goes on under another", another_name),
    Case::shared("identity: of two that run under one name the first ends and says so", one_name_twice),
    Case::shared("identity: a stranger in the group takes a part and gives it back", a_stranger),
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

/// Polls nothing of what it is given, as a consumer of somebody who has taken the group's name for his own.
fn a_stranger(context: &Context) -> Result<()> {
    let simulator = lively(context, "15s")?;
    let one = context.connector("one", &config(context, &simulator, "one"), &[])?;
    wait_for_records(context, &one, "orders", 1)?;
    let stranger: BaseConsumer = member_config(context, context.topics().prefix()).create()?;
    stranger.subscribe(&[&context.topics().name("registry")])?;
    wait_until("it is given a partition", BOUND, || {
        one.must_run()?;
        stranger.poll(Duration::from_millis(100));
        Ok((stranger.assignment()?.count() > 0).then_some(()))
    })?;
    let opened = one.log()?.matches(OPEN).count();
    drop(stranger);
    one.wait_logged(OPEN, opened + 1, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    one.must_run()
}
