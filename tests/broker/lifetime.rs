//! The harness's own brokers come back with what they had, and stand still when they are told to.

use std::time::Duration;

use anyhow::Result;

use super::producer::Transactional;
use crate::harness::case::Case;
use crate::harness::consumer::{read_texts, read_until};
use crate::harness::context::Context;

/// A broker that runs answers far sooner.
const SILENCE: Duration = Duration::from_secs(1);

pub const CASES: &[Case] = &[
    Case::own("lifetime: a killed broker comes back with its records", a_killed_broker_comes_back_with_its_records),
    Case::own("lifetime: a paused broker answers when it is resumed", a_paused_broker_answers_when_it_is_resumed),
];

fn a_killed_broker_comes_back_with_its_records(context: &Context) -> Result<()> {
    let topic = context.topics().create("events", 2, &[("cleanup.policy", "compact")])?;
    let producer = Transactional::open(context.bootstrap(), &topic)?;
    producer.commit_all(&topic, &["before"])?;

    context.broker().kill()?;
    assert!(!context.broker().answers(SILENCE)?);
    context.broker().restart()?;

    producer.commit_all(&topic, &["after"])?;
    assert_eq!(read_texts(context.bootstrap(), &topic)?, ["before", "after"]);
    assert_eq!(context.topics().settings(&topic)?["cleanup.policy"], "compact");
    assert_eq!(context.topics().partitions(&topic)?, 2);
    context.topics().delete(&topic)
}

fn a_paused_broker_answers_when_it_is_resumed(context: &Context) -> Result<()> {
    let topic = context.topics().create("events", 1, &[])?;
    let producer = Transactional::open(context.bootstrap(), &topic)?;

    context.broker().pause()?;
    assert!(!context.broker().answers(SILENCE)?);
    context.broker().resume()?;

    producer.commit_all(&topic, &["after"])?;
    let records = read_until(context.bootstrap(), &[&topic], Duration::from_secs(20), |seen| !seen.is_empty())?;
    assert_eq!(records[0].value_text(), "after");
    Ok(())
}
