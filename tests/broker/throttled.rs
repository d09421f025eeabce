//! A broker that takes a client's records slowly: what does not go in one transaction goes in several.

use anyhow::{Result, ensure};

use super::world::{PROMOTERS, SETTLE};
use crate::harness::case::Case;
use crate::harness::context::Context;

/// Bytes a second that the broker takes of the connector.
const RATE: u32 = 30_000;

pub const CASES: &[Case] =
    &[Case::own("throttled: a backlog that is too much for one transaction goes in parts", a_backlog_goes_in_parts)];

fn a_backlog_goes_in_parts(context: &Context) -> Result<()> {
    let client = format!("{}-one", context.topics().prefix());
    context.broker().throttle(&client, RATE)?;
    let simulator = context.simulator(&[
        "--promoters=12",
        "--history=30m",
        "--history-touches=400",
        "--touches-per-hour=0",
        "--orders-per-hour=0",
        "--late-max=1s",
        "--moving=1s",
        "--page-rows=100",
        "--dead-rows=0",
        "--faults=none",
        "--quiet-after=1s",
    ])?;
    // Records that wait so long are given up, and with them their transaction.
    let config =
        context.config(simulator.url(), PROMOTERS, "kafka.\"message.timeout.ms\" = 4000\ncommit.linger = \"1s\"");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, 2 * SETTLE)?;
    let log = connector.log()?;
    ensure!(log.contains("a transaction took too long: it is split") && log.contains("commit.bytes_max"), "{log}");
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}
