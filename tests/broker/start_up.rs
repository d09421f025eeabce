//! What the connector looks at before it writes anything: every problem at once, in words for an operator.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::commands::ledger_sums;
use super::world::{
    BOUND, NO_LEDGER, OPEN, PROMOTERS, SETTLE, config_of_days, days_ago, lively, of_days, wait_for_records,
};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::read_only_registry::ReadOnlyRegistry;
use crate::harness::wait::wait_until;

const REFUSAL_BOUND: Duration = Duration::from_secs(20);

pub const CASES: &[Case] = &[
    Case::shared("start: every topic that would break the promise is named", unfit_topics_are_named),
    Case::shared("start: topics that are missing and not to be created are named", missing_topics_are_named),
    Case::shared("start: a state that was laid out for other partitions is refused", repartitioned_topics_are_refused),
    Case::shared("start: one partition serves as well as three", one_partition_serves),
    Case::shared("start: a broker's complaint about a value ends with 1 and its words", a_bad_replication_is_told),
    Case::shared(
        "start: settings that the brokers do not allow end with 2, as others that can't work",
        settings_beyond_the_brokers_are_told,
    ),
    Case::shared(
        "start: without a ledger topic it runs and says so once, and tells the days as soon as there is one",
        a_ledger_may_be_missing,
    ),
    Case::shared("start: a schema registry that registers nothing keeps no start", a_registry_may_register_nothing),
];

fn unfit_topics_are_named(context: &Context) -> Result<()> {
    let topics = context.topics();
    topics.create("registry", 3, &[("cleanup.policy", "delete")])?;
    topics.create("state", 2, &[("cleanup.policy", "compact,delete"), ("max.message.bytes", "1000")])?;
    topics.create("touches", 3, &[("message.timestamp.type", "LogAppendTime")])?;
    topics.create("orders", 3, &[("cleanup.policy", "compact")])?;
    topics.create("dead-letters", 3, &[("max.message.bytes", "2000")])?;
    let problems = refusal(context, "")?;
    for (topic, words) in [
        ("state", "has 2 partitions"),
        ("registry", "has cleanup.policy=delete"),
        ("state", "has cleanup.policy=compact,delete"),
        ("state", "has max.message.bytes=1000"),
        ("touches", "has message.timestamp.type=LogAppendTime"),
        ("orders", "has cleanup.policy=compact"),
        ("dead-letters", "has max.message.bytes=2000"),
    ] {
        let words = format!("topic {} {words}", topics.name(topic));
        ensure!(problems.contains(&words), "{words:?} is not in\n{problems}");
    }
    Ok(())
}

fn missing_topics_are_named(context: &Context) -> Result<()> {
    context.topics().create("registry", 3, &[("cleanup.policy", "compact")])?;
    let problems = refusal(context, "create = false, ")?;
    for topic in ["state", "touches", "orders", "dead-letters", "material.requests", "material.results"] {
        let words = format!("topic {} does not exist", context.topics().name(topic));
        ensure!(problems.contains(&words), "{words:?} is not in\n{problems}");
    }
    ensure!(!problems.contains(&format!("topic {} does", context.topics().name("registry"))), "{problems}");
    Ok(())
}

fn repartitioned_topics_are_refused(context: &Context) -> Result<()> {
    let simulator = lively(context, "1s")?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    for topic in ["registry", "state"] {
        context.topics().grow(&context.topics().name(topic), 4)?;
    }
    let again = context.connector("one", &config, &[])?;
    let end = again.wait_exit(BOUND)?;
    ensure!(end.code() == Some(1), "it refuses, and does not end with {end}");
    let words = "it was written when it had another number of partitions";
    ensure!(again.log()?.contains(words), "{words:?} is not in\n{}", again.log()?);
    Ok(())
}

fn one_partition_serves(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let config = context.config(simulator.url(), PROMOTERS, "").replace("partitions = 3", "partitions = 1");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(context.topics().partitions(&context.topics().name("state"))? == 1, "the topics have one partition");
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}

fn a_bad_replication_is_told(context: &Context) -> Result<()> {
    let config = context.config(lively(context, "1s")?.url(), 1, "").replace("replication = 1", "replication = 7");
    let connector = context.connector("one", &config, &[])?;
    let end = connector.wait_exit(REFUSAL_BOUND)?;
    ensure!(end.code() == Some(1), "it refuses, and does not end with {end}");
    ensure!(connector.log()?.contains("can't be created"), "it says why:\n{}", connector.log()?);
    Ok(())
}

fn settings_beyond_the_brokers_are_told(context: &Context) -> Result<()> {
    let simulator = lively(context, "1s")?;
    // Each in groups of its own.
    let start = |name: &str, property: &str| {
        let config = context.config_of(name, simulator.url(), 1, property);
        let connector = format!("connector = {{ name = \"{}", context.topics().prefix());
        context.connector(name, &config.replace(&connector, &format!("{connector}-{name}")), &[])
    };
    let beyond = [
        ("session", "kafka.\"session.timeout.ms\" = 100", "group.min.session.timeout.ms"),
        ("transaction", "kafka.\"transaction.timeout.ms\" = 7200000", "transaction.max.timeout.ms"),
    ];
    let started = beyond.map(|(name, property, words)| (start(name, property), words));
    for (connector, words) in started {
        let connector = connector?;
        let end = connector.wait_exit(REFUSAL_BOUND)?;
        let log = connector.log()?;
        ensure!(end.code() == Some(2), "a setting that can't work is told by 2, and not by {end}:\n{log}");
        ensure!(log.contains(words), "it says what to change:\n{log}");
    }
    Ok(())
}

/// What a start says that ends with 1 before it polls. `topics` goes in front of the table of that name.
fn refusal(context: &Context, topics: &str) -> Result<String> {
    let simulator = lively(context, "1s")?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let config = config.replace("topics = { ", &format!("topics = {{ {topics}"));
    let connector = context.connector("one", &config, &[])?;
    let end = connector.wait_exit(REFUSAL_BOUND)?;
    ensure!(end.code() == Some(1), "it refuses, and does not end with {end}");
    let log = connector.log()?;
    ensure!(!log.contains(OPEN), "nothing was opened");
    Ok(log)
}

/// As where an operator makes the topics, and has not heard of this one.
fn a_ledger_may_be_missing(context: &Context) -> Result<()> {
    let topics = context.topics();
    for topic in ["registry", "state"] {
        topics.create(topic, 3, &[("cleanup.policy", "compact")])?;
    }
    for topic in ["touches", "orders", "dead-letters", "material.requests", "material.results"] {
        topics.create(topic, 3, &[])?;
    }
    let simulator = of_days(context)?;
    let config = config_of_days(context, &simulator, "").replace("replication = 1", "replication = 1, create = false");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    let log = connector.log()?;
    let ledger = topics.name("ledger");
    ensure!(log.matches(NO_LEDGER).count() == 1, "it is said once:\n{log}");
    ensure!(log.contains(&format!("topic {ledger} does not exist")) && topics.partitions(&ledger)? == 0, "{log}");
    let checked = super::commands::told(context, &config, &["check"], 0)?;
    ensure!(checked.contains(&format!("no ledger would be kept: topic {ledger} does not exist")), "{checked}");
    let asked = super::commands::told(context, &config, &["status", "--day", &days_ago(3)?], 1)?;
    ensure!(asked.contains("there is no ledger to ask"), "{asked}");
    ensure!(connector.terminate()?.success(), "it ends in order");

    // What was counted meanwhile is told, whenever it was closed.
    topics.create("ledger", 3, &[("cleanup.policy", "compact")])?;
    let again = context.connector("two", &config, &[])?;
    let day = days_ago(3)?;
    wait_until("the day is complete", BOUND, || {
        Ok(super::commands::told(context, &config, &["status", "--day", &day], 0).ok())
    })?;
    let sums = ledger_sums(context)?;
    ensure!(sums.get(&("touches".to_owned(), day.clone())).is_some_and(|touches| *touches > 0), "{day}: {sums:?}");
    ensure!(!again.log()?.contains(NO_LEDGER), "{}", again.log()?);
    again.must_run()
}

/// As one to which only others register: it has the schemas of the release before.
fn a_registry_may_register_nothing(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let registry = ReadOnlyRegistry::start(&context.topics().name("ledger"))?;
    let more = format!("schema_registry.url = \"{}\"", registry.url());
    let config = context.config(simulator.url(), PROMOTERS, &more);
    let connector = context.connector("one", &config, &[])?;
    wait_for_records(context, &connector, "touches", 20)?;
    let log = connector.log()?;
    ensure!(log.matches(NO_LEDGER).count() == 1, "it is said once:\n{log}");
    ensure!(log.contains("the schema registry does not take its schema"), "{log}");
    let checked = super::commands::told(context, &config, &["check"], 0)?;
    ensure!(checked.contains("! schemas        no ledger would be kept"), "{checked}");
    connector.must_run()
}
