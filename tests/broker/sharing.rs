//! Instances of one connector share its promoters, and hand them over as they come and go.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively, two_instances};
use crate::harness::case::Case;
use crate::harness::consumer::high_watermarks;
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

/// Begins the line about instances that are configured with different promoters.
const OTHER_PROMOTERS: &str = "another instance is configured with other promoters";

/// Begins the line about instances that are configured otherwise.
const OTHERWISE: &str = "another instance is configured otherwise";
const STANDBY: &str = "standby: there are more instances than partitions";

pub const CASES: &[Case] = &[
    Case::shared("sharing: a second instance takes its part, and gives it back", a_second_instance_comes_and_goes),
    Case::shared("sharing: instances with different promoters or settings say so", differences_are_told),
    Case::shared("sharing: an instance too many stands by, says so once, and takes over", one_too_many),
];

fn a_second_instance_comes_and_goes(context: &Context) -> Result<()> {
    let simulator = lively(context, "20s")?;
    let [one, two] = two_instances(context, &simulator, &format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}"))?;
    // Both have written once each partition has grown.
    let topic = context.topics().name("touches");
    let before = high_watermarks(context.bootstrap(), &topic)?;
    wait_until("every partition grows", BOUND, || {
        let now = high_watermarks(context.bootstrap(), &topic)?;
        Ok(before.iter().all(|(partition, end)| now[partition] > *end).then_some(()))
    })?;

    let opened = one.log()?.matches(OPEN).count();
    ensure!(opened == 1, "what it kept was opened once, and not {opened} times");
    ensure!(two.terminate()?.success(), "the second instance ends in order");
    // Then everything is the first one's again.
    one.wait_logged(OPEN, 2, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    ensure!(one.terminate()?.success(), "the first instance ends in order");
    for (name, connector) in [("one", one), ("two", two)] {
        ensure!(published(&connector.log()?)? > 0, "instance {name} has published nothing");
    }
    Ok(())
}

fn differences_are_told(context: &Context) -> Result<()> {
    let simulator = lively(context, "1s")?;
    let config = |instance, promoters| context.config_of(instance, simulator.url(), promoters, QUICK_GROUP);
    let one = context.connector("one", &config("one", PROMOTERS), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let lateness = |config: String| config.replace("feeds.touches = {", "feeds.touches = { lateness = \"11m\",");
    let two = context.connector("two", &lateness(config("two", PROMOTERS - 1)), &[])?;
    two.wait_logged(OPEN, 1, BOUND)?;
    for (connector, other, named) in [(&one, "two", Some("wx_simulated/oSimulated000012")), (&two, "one", None)] {
        connector.wait_logged(OTHER_PROMOTERS, 1, BOUND)?;
        let log = connector.log()?;
        let line = log.lines().find(|line| line.contains(OTHER_PROMOTERS)).context("it is there")?;
        let line: Value = serde_json::from_str(line)?;
        ensure!(line["other_instance"] == other && line["unknown_there"].as_str() == named, "{line}");
        connector.wait_logged(OTHERWISE, 1, BOUND)?;
        let log = connector.log()?;
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(OTHERWISE)).collect();
        let line: Value = serde_json::from_str(lines[0])?;
        ensure!(lines.len() == 1 && line["other_instance"] == other, "{lines:?}");
        ensure!(line["level"] == "WARN" && line["sections"] == "feeds.touches", "{line}");
    }
    Ok(())
}

fn one_too_many(context: &Context) -> Result<()> {
    let simulator = lively(context, "1s")?;
    let config = |instance| {
        let config = context.config_of(instance, simulator.url(), PROMOTERS, QUICK_GROUP);
        format!("{}\ncommands = {{ enabled = false }}", config.replace("partitions = 3", "partitions = 1"))
    };
    let one = context.connector("one", &config("one"), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let two = context.connector("two", &config("two"), &[])?;
    two.wait_logged(STANDBY, 1, BOUND)?;
    ensure!(one.terminate()?.success(), "the first instance ends in order");
    two.wait_logged(OPEN, 1, BOUND)?;
    let log = two.log()?;
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(STANDBY)).collect();
    let line: Value = serde_json::from_str(lines[0])?;
    ensure!(lines.len() == 1 && line["partitions"] == 1 && line["instances"] == 2, "{lines:?}");
    ensure!(!one.log()?.contains(STANDBY), "the first one has all");
    context.settle(&simulator, SETTLE)?;
    two.must_run()
}

/// What the last line of a log says was published.
fn published(log: &str) -> Result<u64> {
    let is_last = |line: &&str| line.contains("\"stopped\"") && line.contains("\"published\"");
    let line = log.lines().rfind(is_last).context("it has not said what it did")?;
    serde_json::from_str::<Value>(line)?["published"].as_u64().context("the line has no such number")
}
