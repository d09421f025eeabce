//! The demo, on a real broker.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::connector::BINARY;
use crate::harness::consumer::read_all;
use crate::harness::context::Context;
use crate::harness::http;
use crate::harness::process::Process;
use crate::harness::wait::wait_until;

/// From the start to the first facts, and from its end to the exit: longer than the demo's own patience.
const BOUND: Duration = Duration::from_secs(240);
const CALL_BOUND: Duration = Duration::from_secs(10);
/// What the verdict's second line says.
const VERDICT: [&str; 4] = ["shown", "published", "missing", "twice"];

pub const CASES: &[Case] = &[
    Case::own("demo: a real broker that is named holds each fact once, under names of the demo's own", on_a_named_one),
    Case::shared("demo: a broker that does not answer is told with 1", nobody_there),
];

fn on_a_named_one(context: &Context) -> Result<()> {
    let before = topics(context)?;
    let mut command = Command::new(BINARY);
    command.args(["demo", "--seed", "7", "--for", "20s", "--bootstrap", context.bootstrap()]);
    let demo = Process::start("demo", &command, context.directory())?;
    let page = wait_until("it says where the status page is", BOUND, || {
        demo.must_run()?;
        let output = demo.output()?;
        Ok(output.lines().find_map(|line| line.strip_prefix("status     at ")).map(str::to_owned))
    })?;
    wait_until("the status page is there", BOUND, || {
        demo.must_run()?;
        Ok(http::get(&page, CALL_BOUND)
            .is_ok_and(|(status, page)| status == 200 && page.contains("Fresh"))
            .then_some(()))
    })?;
    let status = demo.wait_exit(BOUND)?;
    let output = demo.output()?;
    ensure!(status.code() == Some(0), "{status}: {output}{}", demo.errors_tail());
    let [shown, published, missing, twice] = verdict(&output)?;
    ensure!(shown > 50 && (published, missing, twice) == (shown, 0, 0), "{output}");

    let made: BTreeSet<String> = topics(context)?.difference(&before).cloned().collect();
    let own: Vec<&String> = made.iter().filter(|topic| !topic.starts_with("__")).collect();
    let first = own.first().context("topics are made")?;
    let (prefix, _) = first.split_once('.').context("a prefix")?;
    ensure!(prefix.starts_with("promoter-demo-") && own.iter().all(|topic| topic.starts_with(prefix)), "{made:?}");
    ensure!(output.contains(prefix), "the prefix is told: {output}");
    // What others find there, who read what is committed.
    let mut found = 0;
    for topic in ["touches", "orders", "dead-letters"] {
        found += read_all(context.bootstrap(), &format!("{prefix}.{topic}"))?.len();
    }
    ensure!(found as u64 == published, "{found} are found of {published}");
    Ok(())
}

fn nobody_there(context: &Context) -> Result<()> {
    let mut command = Command::new(BINARY);
    command.args(["demo", "--for", "5s", "--bootstrap", "127.0.0.1:1"]);
    let demo = Process::start("demo", &command, context.directory())?;
    let status = demo.wait_exit(BOUND)?;
    ensure!(status.code() == Some(1) && demo.errors()?.contains("127.0.0.1:1"), "{status}: {}", demo.errors_tail());
    Ok(())
}

/// The numbers in the last line.
fn verdict(output: &str) -> Result<[u64; 4]> {
    let line = output.lines().next_back().context("a verdict")?;
    let numbers: Option<Vec<u64>> = line
        .split(", ")
        .zip(VERDICT)
        .map(|(part, word)| part.strip_prefix(word).and_then(|number| number.trim().parse().ok()))
        .collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).with_context(|| format!("no verdict: {line}"))
}

fn topics(context: &Context) -> Result<BTreeSet<String>> {
    let consumer: BaseConsumer = client::config(context.bootstrap()).create()?;
    let metadata = consumer.fetch_metadata(None, CALL_BOUND)?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
}
