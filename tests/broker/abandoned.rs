//! What an instance that is gone has left open is ended by whoever takes its shards, and nobody who is there is harmed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::producer::Transactional;
use super::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively};
use crate::harness::case::Case;
use crate::harness::context::Context;

const ENDED: &str = "what an instance that is gone had left open is ended";
/// Of [`QUICK_GROUP`].
const SESSION: Duration = Duration::from_secs(3);
/// From the end of a session to the first poll, on a machine that has other things to do: far below the transaction's own time-out.
const TAKEOVER_MAX: Duration = Duration::from_secs(7);

pub const CASES: &[Case] = &[
    Case::shared("abandoned: an open transaction of a killed instance holds nobody longer than its session", killed),
    Case::shared("abandoned: an instance of the group keeps its transactional.id, whatever holds a restore", kept),
];

/// The killed one dies with its records in the state topic and its transaction open, which brokers would end after 30 s.
fn killed(context: &Context) -> Result<()> {
    let simulator = lively(context, "25s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    let config = |name| context.config_of(name, simulator.url(), PROMOTERS, &more);
    let heir = context.connector("heir", &config("heir"), &[])?;
    heir.wait_logged(OPEN, 1, BOUND)?;
    let dying = context.connector("dying", &config("dying"), &[("PROMOTER_FAILPOINT", "records_acknowledged:40")])?;
    dying.wait_exit(BOUND)?;
    ensure!(dying.log()?.contains(OPEN), "it had shards");
    let died = Instant::now();
    heir.wait_logged(OPEN, 2, BOUND)?;
    let took = died.elapsed();
    println!("its shards are polled {took:?} after it died");
    ensure!(took < SESSION + TAKEOVER_MAX, "they stood still for {took:?}");
    // Said by whoever has ended it, which may be after the shards are polled.
    heir.wait_logged(ENDED, 1, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    heir.must_run()
}

/// A transaction that nobody of the group has left open holds the restore of what the fences say is a member's.
fn kept(context: &Context) -> Result<()> {
    let simulator = lively(context, "30s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    let config = |name| context.config_of(name, simulator.url(), PROMOTERS, &more);
    let one = context.connector("one", &config("one"), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let holder = held(context)?;
    let two = context.connector("two", &config("two"), &[])?;
    two.wait_logged("waiting for an open transaction", 1, BOUND)?;
    ensure!(!two.log()?.contains(OPEN), "it is held up");
    holder.abort()?;
    two.wait_logged(OPEN, 1, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    let (first, second) = (one.log()?, two.log()?);
    ensure!(!second.contains(ENDED), "it took what is a member's");
    let reopens = |line: &str| line.contains("the log is opened again") && line.contains("\"polls\"");
    ensure!(first.matches(OPEN).count() == 1 && !first.lines().any(reopens), "it was disturbed: {first}");
    two.must_run()
}

/// A transaction of somebody else, open in each partition of the state.
pub fn held(context: &Context) -> Result<Transactional> {
    let topic = context.topics().name("state");
    let holder = Transactional::open(context.bootstrap(), &format!("{topic}-holder"))?;
    holder.begin()?;
    (0..3).try_for_each(|partition| holder.write_to(&topic, partition, "held", "up"))?;
    Ok(holder)
}
