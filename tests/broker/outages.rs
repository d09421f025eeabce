//! The broker goes away, in one way or another, and comes back.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use super::world::{PROMOTERS, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::case::{Case, log_tails};
use crate::harness::connector::Connector;
use crate::harness::consumer::{high_watermarks, stable_offsets};
use crate::harness::context::Context;

/// A broker that is killed between the decision to commit and the markers sometimes never writes these: of Kafka 4.3.0 the log of the
/// transactions says that it is complete, and no partition has its marker. No client can mend that, so the case begins anew.
const ATTEMPTS: usize = 3;
/// Longer than `transaction.timeout.ms` is by default, behind which brokers end any transaction that they know of.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(65);
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
    for attempt in 1..=ATTEMPTS {
        let context = context.anew()?;
        let comes_back = outlives_two_kills(&context);
        if comes_back.map_err(|error| anyhow!("{error:#}{}", log_tails(context.directory())))? {
            return Ok(());
        }
        eprintln!("attempt {attempt}: the broker has forgotten to end a transaction");
    }
    bail!("in each of {ATTEMPTS} attempts the broker has forgotten to end a transaction");
}

/// False where the broker keeps its consumers from the end of a partition for ever.
fn outlives_two_kills(context: &Context) -> Result<bool> {
    let simulator = lively(context, "20s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);
    let connector = context.connector("one", &config, &[])?;
    for _ in 0..2 {
        wait_for_more(context, &connector)?;
        context.broker().kill()?;
        context.broker().restart()?;
    }
    let settled = context.settle(&simulator, SETTLE);
    if settled.is_err() && has_forgotten_a_transaction(context)? {
        return Ok(false);
    }
    settled?;
    connector.must_run()?;
    Ok(true)
}

/// Whether a reader of committed records is held back at one place for longer than any transaction may be open.
fn has_forgotten_a_transaction(context: &Context) -> Result<bool> {
    let topics = ["state", "touches", "orders", "dead-letters"].map(|topic| context.topics().name(topic));
    let held_back = || -> Result<BTreeSet<(&String, i32, i64)>> {
        let mut held_back = BTreeSet::new();
        for topic in &topics {
            let stable = stable_offsets(context.bootstrap(), topic)?;
            let ends = high_watermarks(context.bootstrap(), topic)?;
            let below = stable.into_iter().filter(|(partition, stable)| *stable < ends[partition]);
            held_back.extend(below.map(|(partition, stable)| (topic, partition, stable)));
        }
        Ok(held_back)
    };
    let before = held_back()?;
    // That time passes is the very thing.
    thread::sleep(FORGOTTEN_AFTER);
    Ok(!before.is_disjoint(&held_back()?))
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
