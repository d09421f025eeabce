//! An end in order: what was polled becomes durable first, for a bounded time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::world::{BOUND, OPEN, PROMOTERS, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::case::Case;
use crate::harness::connector::Connector;
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

/// A stop with a broker that answers, or one that is not waited for.
const QUICK: Duration = Duration::from_secs(15);
/// One that waits lasts longer than this. The group may miss the broker before those 20 s are over.
const WAITED: Duration = Duration::from_secs(5);
/// A stop with one that does not: the connector waits for it for 20 s.
const SLOW: Duration = Duration::from_secs(25);
const STOPPING: &str = "stopping: what was polled is committed first";

pub const CASES: &[Case] = &[
    Case::shared("stopping: SIGTERM commits what was polled and ends with 0", sigterm_drains),
    Case::own("stopping: without a broker the wait is bounded", the_wait_is_bounded),
    Case::own("stopping: a second signal cuts the wait", a_second_signal_cuts_the_wait),
];

fn sigterm_drains(context: &Context) -> Result<()> {
    let simulator = lively(context, "20s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);
    for start in 1..=3 {
        let connector = context.connector("one", &config, &[])?;
        connector.wait_logged(OPEN, start, BOUND)?;
        let written = wait_for_records(context, &connector, "touches", 1)?;
        wait_for_records(context, &connector, "touches", written + 1)?;
        let begun = Instant::now();
        let end = connector.terminate()?;
        ensure!(end.code() == Some(0), "it ends in order, and not with {end}");
        ensure!(begun.elapsed() < QUICK, "it took {:?} to stop", begun.elapsed());
    }
    let last = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    last.must_run()
}

fn the_wait_is_bounded(context: &Context) -> Result<()> {
    without_a_broker(context, |connector| {
        let begun = Instant::now();
        connector.ask_to_end()?;
        let end = connector.wait_exit(SLOW)?;
        ensure!(end.code() == Some(1), "what could not be committed is told by 1, and not by {end}");
        let log = connector.log()?;
        let words = ["could not be committed within 20 s", "or nobody knows whether it did"];
        ensure!(words.iter().any(|words| log.contains(words)), "and by words");
        ensure!(begun.elapsed() > WAITED, "it has waited, if only {:?}", begun.elapsed());
        Ok(())
    })
}

fn a_second_signal_cuts_the_wait(context: &Context) -> Result<()> {
    without_a_broker(context, |connector| {
        connector.ask_to_end()?;
        connector.wait_logged(STOPPING, 1, BOUND)?;
        let begun = Instant::now();
        // One that comes at once is taken for the first.
        wait_until("another signal ends it", QUICK, || {
            let asked = connector.ask_to_end();
            Ok((asked.is_err() && connector.must_run().is_err()).then_some(()))
        })?;
        let end = connector.wait_exit(SLOW)?;
        ensure!(end.code() == Some(1), "a second signal ends it with 1, and not with {end}");
        ensure!(begun.elapsed() < QUICK, "it took {:?}", begun.elapsed());
        Ok(())
    })
}

/// Stops a connector that holds what it can't commit; the next one makes good for it.
fn without_a_broker(context: &Context, stop: impl FnOnce(&Connector) -> Result<()>) -> Result<()> {
    // Longer than the connector takes to start on a machine that is busy: there has to be something new to poll then.
    let simulator = lively(context, "30s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);
    let connector = context.connector("one", &config, &[])?;
    wait_for_records(context, &connector, "touches", 1)?;
    context.broker().pause()?;
    let before = simulator.truth()?.len();
    wait_until("something was polled that can't be committed", BOUND, || {
        connector.must_run()?;
        Ok((simulator.truth()?.len() > before).then_some(()))
    })?;
    stop(&connector)?;
    context.broker().resume()?;

    let last = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    last.must_run()
}
