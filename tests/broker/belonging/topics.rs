//! Of topics that are missing, were emptied, deleted or made by others.

use anyhow::{Result, ensure};

use super::{PARTITIONS, lived, nothing_twice, stops};
use crate::broker::world::{BOUND, OPEN, PROMOTERS, SETTLE, lively};
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

pub fn a_missing_state(context: &Context) -> Result<()> {
    let (simulator, config) = lived(context)?;
    delete(context, "state")?;
    let again = context.connector("again", &config, &[])?;
    stops(&again, &format!("topic {} does not exist, and topic", context.topics().name("state")))?;
    ensure!(context.topics().partitions(&context.topics().name("state"))? == 0, "it was not made anew");
    nothing_twice(context, &simulator)
}

pub fn an_emptied_state(context: &Context) -> Result<()> {
    let (simulator, config) = lived(context)?;
    delete(context, "state")?;
    context.topics().create("state", PARTITIONS, &[("cleanup.policy", "compact")])?;
    let again = context.connector("again", &config, &[])?;
    stops(&again, "it was emptied or made anew")?;
    ensure!(!again.log()?.contains(OPEN), "it has polled nothing");
    nothing_twice(context, &simulator)
}

pub fn both_deleted(context: &Context) -> Result<()> {
    let (_simulator, config) = lived(context)?;
    delete(context, "registry")?;
    delete(context, "state")?;
    let again = context.connector("again", &config, &[])?;
    again.wait_logged(OPEN, 1, BOUND)
}

pub fn topics_made_before(context: &Context) -> Result<()> {
    for topic in ["registry", "state"] {
        context.topics().create(topic, PARTITIONS, &[("cleanup.policy", "compact")])?;
    }
    for topic in ["touches", "orders", "dead-letters"] {
        context.topics().create(topic, PARTITIONS, &[])?;
    }
    let simulator = lively(context, "2s")?;
    let connector = context.connector("one", &context.config(simulator.url(), PROMOTERS, ""), &[])?;
    context.settle(&simulator, SETTLE)?;
    connector.must_run()
}

fn delete(context: &Context, topic: &str) -> Result<()> {
    let name = context.topics().name(topic);
    context.topics().delete(&name)?;
    wait_until("the topic is gone", BOUND, || Ok((context.topics().partitions(&name)? == 0).then_some(())))
}
