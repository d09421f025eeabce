//! Of a topic with more partitions than its state was written for.

use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{PARTITIONS, fence_in, lived, nothing_twice, stops};
use crate::broker::world::{BOUND, PROMOTERS, QUICK_GROUP, SMALL_TRANSACTIONS, lively, member_config, two_instances};
use crate::harness::connector::Connector;
use crate::harness::consumer::read_all;
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

/// What the log says once promoters are polled. That it is opened again is said of one that never was, too.
const POLLING: &str = "polling begins";
/// Members look at the topics again soon.
const QUICK_METADATA: &str = r#"kafka."topic.metadata.refresh.interval.ms" = 500"#;

pub fn raised_partitions(context: &Context) -> Result<()> {
    let simulator = lively(context, "60s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}\n{QUICK_METADATA}");
    let [one, two] = two_instances(context, &simulator, &more)?;

    for topic in ["state", "registry"] {
        context.topics().grow(&context.topics().name(topic), 6)?;
    }
    let config = context.config_of("three", simulator.url(), PROMOTERS, &more);
    let three = context.connector("three", &config, &[])?;
    for connector in [&one, &two, &three] {
        stops(connector, "it was written when it had another number of partitions: 3 then, 6 now")?;
    }
    ensure!(!three.log()?.contains(POLLING), "the new one has polled nothing");
    nothing_twice(context, &simulator)
}

/// Of the state no group counts them: an instance that runs does, and says what is wrong as the next start would.
pub fn raised_state(context: &Context) -> Result<()> {
    let simulator = lively(context, "60s")?;
    let instances = two_instances(context, &simulator, &format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}"))?;

    context.topics().grow(&context.topics().name("state"), 6)?;
    for connector in &instances {
        stops(connector, "has 6 partitions and topic")?;
    }
    nothing_twice(context, &simulator)
}

pub fn new_partitions_only(context: &Context) -> Result<()> {
    let (simulator, config, holder) = raised(context)?;
    let connector = context.connector("new", &config, &[])?;
    finds_other_partitions(&connector, &holder)?;
    let records = read_all(context.bootstrap(), &context.topics().name("state"))?;
    for partition in PARTITIONS..6 {
        ensure!(records.iter().any(|record| record.partition == partition), "it was given partition {partition}");
        ensure!(fence_in(context, partition, context.topics().prefix())?.is_none(), "its fence stays in {partition}");
    }
    nothing_twice(context, &simulator)
}

/// Killed between writing its fences and comparing them, it has left its number in the new partitions.
pub fn a_fence_of_nobody(context: &Context) -> Result<()> {
    let (simulator, config, holder) = raised(context)?;
    let killed = context.connector("killed", &config, &[("PROMOTER_FAILPOINT", "fences_written")])?;
    ends(&killed, &holder)?;
    let left = (PARTITIONS..6).map(|partition| fence_in(context, partition, context.topics().prefix()));
    ensure!(left.collect::<Result<Vec<_>>>()?.iter().any(Option::is_some), "it has left a fence");
    let next = context.connector("next", &config, &[])?;
    finds_other_partitions(&next, &holder)?;
    nothing_twice(context, &simulator)
}

/// Topics with a life behind them and more partitions now, the configuration of another instance, and a member like one
/// that still runs: it has the old partitions, and keeps them.
fn raised(context: &Context) -> Result<(Simulator, String, BaseConsumer)> {
    let (simulator, config) = lived(context)?;
    let holder: BaseConsumer = member_config(context, context.topics().prefix()).create()?;
    holder.subscribe(&[&context.topics().name("registry")])?;
    wait_until("the member has all partitions that there are", BOUND, || {
        holder.poll(Duration::from_millis(100));
        Ok((holder.assignment()?.count() == 3).then_some(()))
    })?;
    for topic in ["state", "registry"] {
        context.topics().grow(&context.topics().name(topic), 6)?;
    }
    Ok((simulator, config.replace("instance_id = \"one\"", "instance_id = \"z\""), holder))
}

fn finds_other_partitions(connector: &Connector, holder: &BaseConsumer) -> Result<()> {
    ends(connector, holder)?;
    stops(connector, "it was written when it had another number of partitions: 3 then, 6 now")?;
    ensure!(!connector.log()?.contains(POLLING), "it has polled nothing");
    Ok(())
}

/// It ends by itself, while the member takes part in the group.
fn ends(connector: &Connector, holder: &BaseConsumer) -> Result<()> {
    wait_until("the instance has ended", BOUND, || {
        holder.poll(Duration::from_millis(100));
        Ok(connector.must_run().is_err().then_some(()))
    })
}
