//! The broker goes away, in one way or another, and comes back.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::world::{PROMOTERS, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::case::Case;
use crate::harness::connector::Connector;
use crate::harness::context::Context;

/// Longer than the transaction's timeout, the session's, and a request's, as they are set below.
const PAUSE: Duration = Duration::from_secs(15);
const TIMEOUTS: &str = r#"
kafka."transaction.timeout.ms" = 8000
kafka."session.timeout.ms" = 6000
kafka."socket.timeout.ms" = 4000
"#;

pub const CASES: &[Case] = &[
    Case::own("outage: the broker is killed and starts again, twice", the_broker_is_killed_twice),
    Case::own("outage: the broker stands still for longer than any timeout", the_broker_stands_still),
    Case::own("outage: the broker stands still for a moment", the_broker_stands_still_for_a_moment),
];

fn the_broker_is_killed_twice(context: &Context) -> Result<()> {
    let simulator = lively(context, "20s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);
    let connector = context.connector("one", &config, &[])?;
    for _ in 0..2 {
        wait_for_more(context, &connector)?;
        context.broker().kill()?;
        context.broker().restart()?;
    }
    context.settle(&simulator, SETTLE)?;
    connector.must_run()
}

fn the_broker_stands_still(context: &Context) -> Result<()> {
    stands_still(context, PAUSE, "25s")
}

fn the_broker_stands_still_for_a_moment(context: &Context) -> Result<()> {
    stands_still(context, Duration::from_secs(2), "8s")
}

fn stands_still(context: &Context, pause: Duration, quiet_after: &str) -> Result<()> {
    let simulator = lively(context, quiet_after)?;
    let config = context.config(simulator.url(), PROMOTERS, &format!("{SMALL_TRANSACTIONS}\n{TIMEOUTS}"));
    let connector = context.connector("one", &config, &[])?;
    wait_for_more(context, &connector)?;
    context.broker().pause()?;
    // That time passes is the very thing.
    thread::sleep(pause);
    context.broker().resume()?;
    context.settle(&simulator, SETTLE)?;
    connector.must_run()
}

/// Until the connector is seen to write, so that what comes next meets it at that.
fn wait_for_more(context: &Context, connector: &Connector) -> Result<()> {
    let written = wait_for_records(context, connector, "touches", 1)?;
    wait_for_records(context, connector, "touches", written + 1)?;
    Ok(())
}
