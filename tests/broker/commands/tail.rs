//! `tail` against topics that a connector writes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{answer, command};
use crate::broker::producer::Transactional;
use crate::broker::world::{BOUND, PROMOTERS, SETTLE, lively};
use crate::harness::context::Context;
use crate::harness::process::Process;
use crate::harness::wait::wait_until;

pub fn shown(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    let orders = context.decoded("orders")?;
    let limit = orders.len().to_string();
    let tailed = answer(context, &config, &["tail", "orders", "--from", "earliest", "--limit", &limit, "--json"])?;
    let tailed = tailed.must_end_with(0)?;
    let lines: Vec<Value> = tailed.shown.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut values: Vec<String> = lines.iter().map(|line| line["value"]["event_id"].to_string()).collect();
    let mut expected: Vec<String> = orders.iter().map(|order| order["event_id"].to_string()).collect();
    values.sort();
    expected.sort();
    ensure!(values == expected, "all that is committed, and each once");
    ensure!(lines[0]["key"].as_str().is_some_and(|key| key.starts_with("wx_simulated/")), "{}", lines[0]);
    let touches = answer(context, &config, &["tail", "touches", "--from", "2022-01-01T00:00:00Z", "--limit", "2"])?;
    let touches = touches.must_end_with(0)?.shown;
    ensure!(touches.lines().count() == 2 && touches.contains("  touch"), "{touches}");
    ends_in_order(context, &config)
}

/// Nothing comes; it is told to end, or nobody reads it any more. What is not committed is not shown.
fn ends_in_order(context: &Context, config: &str) -> Result<()> {
    let topic = context.topics().name("touches");
    let open = Transactional::open(context.bootstrap(), &topic)?;
    let tail = command(context, config, &["tail", "touches", "--from", "latest"])?;
    let process = Process::start("tail", &tail, context.directory())?;
    // It reads once a record comes that was written after it has begun.
    let shown = wait_until("what is committed is shown", BOUND, || {
        process.must_run()?;
        open.begin()?;
        open.write_to(&topic, 0, "wx_simulated/o", "committed, and no event")?;
        open.commit()?;
        open.begin()?;
        open.write_to(&topic, 0, "aborted", "aborted")?;
        open.abort()?;
        let shown = process.output()?;
        Ok((!shown.is_empty()).then_some(shown))
    })?;
    ensure!(shown.contains("wx_simulated/o  can't be read: ") && !shown.contains("aborted"), "{shown}");
    ensure!(process.terminate(Duration::from_secs(10))?.success(), "it ends in order: {}", process.errors_tail());

    let mut unread = command(context, config, &["tail", "touches", "--from", "earliest"])?;
    let mut unread = unread.stdout(Stdio::piped()).spawn()?;
    let mut reader = BufReader::new(unread.stdout.take().context("a pipe")?);
    ensure!(reader.read_line(&mut String::new())? > 0, "something is shown");
    drop(reader);
    let began = Instant::now();
    let end = wait_until("it ends once nobody reads", BOUND, || Ok(unread.try_wait()?));
    let _ = unread.kill();
    ensure!(end?.success(), "nobody reading is no failure, {:?}", began.elapsed());
    Ok(())
}
