//! The process dies, at any named place and at any other, and starts again: nothing is lost, nothing comes twice.

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use promoter_connector::commit::failpoint::Failpoint;

use super::world::{BOUND, OPEN, PROMOTERS, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

const SIGABRT: i32 = 6;
const KILLS: u64 = 20;

pub const CASES: &[Case] = &[
    Case::shared("crash: when earlier writers are fenced", crash_at::<0>),
    Case::shared("crash: when the state is read", crash_at::<1>),
    Case::shared("crash: with a batch planned", crash_at::<2>),
    Case::shared("crash: with records on their way", crash_at::<3>),
    Case::shared("crash: with all records acknowledged", crash_at::<4>),
    Case::shared("crash: with the offsets sent", crash_at::<5>),
    Case::shared("crash: behind the commit", crash_at::<6>),
    Case::shared("crash: while the state is taken over", crash_while_taking_over),
    Case::shared("crash: killed twenty times at any moment", killed_twenty_times),
    Case::shared("crash: facts that appear during a downtime", facts_of_a_downtime),
];

/// By the place in [`Failpoint::POLLS`]: cases are plain functions.
fn crash_at<const POINT: usize>(context: &Context) -> Result<()> {
    let point = Failpoint::POLLS[POINT];
    let simulator = lively(context, "6s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);

    // There is something to restore first, then a start that does not survive.
    let first = context.connector("one", &config, &[])?;
    wait_for_records(context, &first, "orders", 1)?;
    first.kill9()?;
    let at = match point {
        Failpoint::Fenced | Failpoint::Restored => format!("{}:1", point.name()),
        _ => format!("{}:2", point.name()),
    };
    let second = context.connector("one", &config, &[("PROMOTER_FAILPOINT", &at)])?;
    let end = second.wait_exit(BOUND)?;
    ensure!(end.signal() == Some(SIGABRT), "{at}: the process was to die there, and ended with {end}");

    let third = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    third.must_run()
}

/// The first transaction of a start is the one of its fences.
fn crash_while_taking_over(context: &Context) -> Result<()> {
    let simulator = lively(context, "6s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);
    let first = context.connector("one", &config, &[])?;
    wait_for_records(context, &first, "orders", 1)?;
    first.kill9()?;
    for point in ["records_sent", "records_acknowledged", "offsets_sent", "committed"] {
        let dying = context.connector(point, &config, &[("PROMOTER_FAILPOINT", point)])?;
        let end = dying.wait_exit(BOUND)?;
        ensure!(end.signal() == Some(SIGABRT), "{point}: the process was to die there, and ended with {end}");
        ensure!(!dying.log()?.contains(OPEN), "{point}: nothing was polled");
    }
    let last = context.connector("last", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    last.must_run()
}

fn killed_twenty_times(context: &Context) -> Result<()> {
    let simulator = lively(context, "30s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);
    for kill in 0..KILLS {
        let connector = context.connector("one", &config, &[])?;
        // Every other one dies before it has come to poll. The moments are spread evenly, which is as good as random
        // against what happens on three processes and two cores.
        if kill % 2 == 1 {
            connector.wait_logged(OPEN, usize::try_from(kill)? / 2 + 1, BOUND)?;
        }
        thread::sleep(Duration::from_millis(kill * 37 % 400));
        connector.kill9()?;
    }
    let last = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    last.must_run()
}

fn facts_of_a_downtime(context: &Context) -> Result<()> {
    // Far longer than it takes to begin.
    let simulator = lively(context, "40s")?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let connector = context.connector("one", &config, &[])?;
    wait_for_records(context, &connector, "touches", 100)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    let before = simulator.truth()?.len();
    let existing = simulator.stats()?["facts"]["existing"].as_u64();
    wait_until("the world has gone on", BOUND, || {
        let now = simulator.stats()?["facts"]["existing"].as_u64();
        Ok((now >= existing.map(|facts| facts + 5)).then_some(()))
    })?;
    ensure!(simulator.truth()?.len() == before, "nobody asks during the downtime");

    let again = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    again.must_run()
}
