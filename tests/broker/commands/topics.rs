//! `topics plan` and `topics create`.

use anyhow::{Result, ensure};

use super::answer;
use crate::harness::context::Context;

pub fn made(context: &Context) -> Result<()> {
    // Of a name that has no compacted meaning to it yet.
    let config = context.config("http://127.0.0.1:1", 1, "").replace("topics = { ", "topics = { create = false, ");
    let topics = context.topics();
    topics.create("orders", 2, &[("cleanup.policy", "compact")])?;
    let plan = || answer(context, &config, &["topics", "plan", "--json"])?.must_end_with(1)?.json();
    let planned = plan()?;
    ensure!(planned["topics"][topics.name("state")]["state"] == "missing", "{planned}");
    ensure!(planned["topics"][topics.name("state")]["cleanup_policy"] == "compact", "{planned}");
    ensure!(planned["topics"][topics.name("orders")]["partitions"] == 2, "{planned}");
    ensure!(topics.partitions(&topics.name("state"))? == 0, "a plan makes nothing");

    let made = answer(context, &config, &["topics", "create"])?.must_end_with(1)?;
    let (bootstrap, orders) = (context.bootstrap(), topics.name("orders"));
    let fix = format!(
        "kafka-configs --bootstrap-server {bootstrap} --alter --topic {orders} --add-config cleanup.policy=delete"
    );
    ensure!(made.shown.contains(&format!("✗ topic {orders} has cleanup.policy=compact")), "{}", made.shown);
    ensure!(made.shown.contains(&fix), "{fix:?} is not in\n{}", made.shown);
    for (topic, policy) in
        [("state", "compact"), ("registry", "compact"), ("touches", "delete"), ("material.results", "delete")]
    {
        let settings = topics.settings(&topics.name(topic))?;
        ensure!(settings["cleanup.policy"] == policy, "{topic} has {}", settings["cleanup.policy"]);
        ensure!(topics.partitions(&topics.name(topic))? == 3, "as topics.partitions says");
    }
    let settings = topics.settings(&topics.name("orders"))?;
    ensure!(settings["cleanup.policy"] == "compact", "what differs is left alone");

    topics.set(&topics.name("orders"), "cleanup.policy", "delete")?;
    let planned = answer(context, &config, &["topics", "plan"])?.must_end_with(0)?.shown;
    ensure!(!planned.contains("would be made") && planned.contains("one replica"), "{planned}");
    Ok(())
}
