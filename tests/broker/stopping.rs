//! An end in order: what was polled becomes durable first, for a bounded time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::world::{BOUND, OPEN, PROMOTERS, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::case::Case;
use crate::harness::connector::Connector;
use crate::harness::context::Context;

/// A stop with a broker that answers.
const QUICK: Duration = Duration::from_secs(5);
/// A stop with one that does not: the connector waits for it for 20 s.
const SLOW: Duration = Duration::from_secs(25);
const STOPPING: &str = "stopping: what was polled is committed first";

pub const CASES: &[Case] = &[
    Case::shared("stopping: SIGTERM commits what was polled and ends with 0", sigterm_drains),
    Case::own("stopping: without a broker the wait is bounded, and a second signal cuts it", without_a_broker),
];

fn sigterm_drains(context: &Context) -> Result<()> {
    let simulator = lively(context, "10s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);
    for records in [1, 200, 400] {
        let connector = context.connector("one", &config, &[])?;
        wait_for_records(context, &connector, "touches", records)?;
        let begun = Instant::now();
        let end = connector.terminate()?;
        ensure!(end.code() == Some(0), "it ends in order, and not with {end}");
        ensure!(begun.elapsed() < QUICK, "it took {:?} to stop", begun.elapsed());
    }
    let last = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    last.must_run()
}

fn without_a_broker(context: &Context) -> Result<()> {
    let simulator = lively(context, "50s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);
    let first = polling(context, &config, 1)?;
    context.broker().pause()?;
    let begun = Instant::now();
    first.ask_to_end()?;
    let end = first.wait_exit(SLOW)?;
    ensure!(end.code() == Some(1), "what could not be committed is told by 1, and not by {end}");
    ensure!(first.log()?.contains("could not be committed within 20 s"), "and by words");
    ensure!(begun.elapsed() > QUICK, "it has waited, if only {:?}", begun.elapsed());
    context.broker().resume()?;

    let second = polling(context, &config, 2)?;
    context.broker().pause()?;
    second.ask_to_end()?;
    second.wait_logged(STOPPING, 2, BOUND)?;
    let begun = Instant::now();
    second.ask_to_end()?;
    let end = second.wait_exit(QUICK)?;
    ensure!(end.code() == Some(1), "a second signal ends it with 1, and not with {end}");
    ensure!(begun.elapsed() < QUICK, "it took {:?}", begun.elapsed());
    context.broker().resume()?;

    let last = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    last.must_run()
}

/// A connector that has something to lose; the `start`-th one of this case.
fn polling(context: &Context, config: &str, start: usize) -> Result<Connector> {
    let connector = context.connector("one", config, &[])?;
    connector.wait_logged(OPEN, start, BOUND)?;
    let written = wait_for_records(context, &connector, "touches", 1)?;
    wait_for_records(context, &connector, "touches", written + 1)?;
    Ok(connector)
}
