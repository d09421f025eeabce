//! The oldest Kafka that keeps the promise, and one that is too old for it. All other cases run on a new one.

use anyhow::{Result, ensure};

use super::world::{BOUND, OPEN, PROMOTERS, SETTLE, asking_is_answered, lively};
use crate::harness::case::Case;
use crate::harness::context::Context;

pub const CASES: &[Case] = &[
    Case::old("versions: Kafka 2.5 serves, over a kill and a restart", "2.5.1", the_oldest_serves),
    Case::old("versions: Kafka 2.4 is refused before anything is polled", "2.4.1", older_ones_are_refused),
];

fn the_oldest_serves(context: &Context) -> Result<()> {
    let simulator = lively(context, "6s")?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let first = context.connector("one", &config, &[])?;
    first.wait_logged(OPEN, 1, BOUND)?;
    super::world::wait_for_records(context, &first, "touches", 20)?;
    first.kill9()?;
    let second = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    asking_is_answered(context, &second)?;
    ensure!(second.terminate()?.success(), "it ends in order");
    Ok(())
}

fn older_ones_are_refused(context: &Context) -> Result<()> {
    let simulator = lively(context, "1s")?;
    let connector = context.connector("one", &context.config(simulator.url(), PROMOTERS, ""), &[])?;
    let end = connector.wait_exit(BOUND)?;
    ensure!(end.code() == Some(1), "it refuses, and does not end with {end}");
    let log = connector.log()?;
    ensure!(
        log.contains("Kafka 2.5 or later is needed") && !log.contains(OPEN),
        "it says why, and opens nothing:\n{log}"
    );
    Ok(())
}
