//! A process that stood still while another took its place wakes up, and can do no harm.

use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::world::{
    BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, TAKEN, lively, member_config, wait_for_records,
};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

pub const CASES: &[Case] = &[
    Case::shared("zombie: it wakes up when another instance has its partitions", another_instance_took_over),
    Case::shared(
        "zombie: it is displaced among those who answer only, and takes its place again",
        displaced_in_one_group,
    ),
    Case::shared("zombie: it wakes up when a process of its own name has its place", a_process_of_its_name_took_over),
];

fn another_instance_took_over(context: &Context) -> Result<()> {
    let simulator = lively(context, "15s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    let config = |instance| context.config_of(instance, simulator.url(), PROMOTERS, &more);
    let zombie = context.connector("one", &config("one"), &[])?;
    wait_for_records(context, &zombie, "orders", 1)?;

    zombie.stop()?;
    let heir = context.connector("two", &config("two"), &[])?;
    heir.wait_logged(OPEN, 1, BOUND)?;
    let before = wait_for_records(context, &heir, "touches", 1)?;
    zombie.cont()?;
    // It learns that it is out, and comes back as an ordinary member.
    zombie.wait_logged(OPEN, 2, BOUND)?;
    wait_for_records(context, &heir, "touches", before + 1)?;

    context.settle(&simulator, SETTLE)?;
    zombie.must_run()?;
    heir.must_run()
}

fn a_process_of_its_name_took_over(context: &Context) -> Result<()> {
    let simulator = lively(context, "12s")?;
    // Its place has to be there until the heir takes it, however long that takes to start: whoever finds his place gone is a
    // second start, and displaces the heir.
    let more = format!("{SMALL_TRANSACTIONS}\nkafka.\"session.timeout.ms\" = 15000\n");
    let config = context.config(simulator.url(), PROMOTERS, &more);
    let zombie = context.connector("zombie", &config, &[])?;
    wait_for_records(context, &zombie, "orders", 1)?;
    // In both groups, for the same reason.
    zombie.wait_logged(TAKEN, 1, BOUND)?;

    zombie.stop()?;
    let heir = context.connector("heir", &config, &[])?;
    heir.wait_logged(OPEN, 1, BOUND)?;
    zombie.cont()?;
    let end = zombie.wait_exit(BOUND)?;
    ensure!(end.code() == Some(1), "the zombie gives up, and does not end with {end}");
    let words = "another process runs as connector.instance_id";
    ensure!(zombie.log()?.contains(words), "the zombie says why it gives up");
    let fenced = "another process under its connector.instance_id";
    ensure!(zombie.log()?.lines().any(|line| line.contains("fenced") && line.contains(fenced)), "it says by whom");

    context.settle(&simulator, SETTLE)?;
    heir.must_run()?;
    ensure!(!heir.log()?.contains("fenced in the group"), "nobody takes the heir's place in either group");
    Ok(())
}

fn displaced_in_one_group(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let config = context.config(simulator.url(), PROMOTERS, QUICK_GROUP);
    let connector = context.connector("one", &config, &[])?;
    connector.wait_logged(OPEN, 1, BOUND)?;
    connector.wait_logged(TAKEN, 1, BOUND)?;
    // A process of its name that it has displaced in the other group, where that one ends of it.
    let group = format!("{}:commands", context.topics().prefix());
    let displaced: BaseConsumer = member_config(context, &group).set("group.instance.id", "one").create()?;
    displaced.subscribe(&[&context.topics().name("material.requests")])?;
    wait_until("it has its place again", BOUND, || {
        connector.must_run()?;
        displaced.poll(Duration::from_millis(100));
        Ok((connector.log()?.matches(TAKEN).count() == 2).then_some(()))
    })?;
    connector.must_run()
}
