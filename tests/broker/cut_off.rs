//! An instance between which and the brokers the network is cut, while all others reach them.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::proxy::Proxy;

pub const CASES: &[Case] = &[
    Case::shared("cut off: another takes over, and what was on the way harms nobody when it arrives", for_longer),
    Case::shared("cut off: for less than its session, it goes on", for_a_moment),
];

/// Two instances, the first of which reaches the broker through a network that can be cut.
fn for_longer(context: &Context) -> Result<()> {
    let simulator = lively(context, "20s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    let (proxy, detour) = cuttable(context)?;
    let config = |instance| context.config_of(instance, simulator.url(), PROMOTERS, &more);
    let one = context.connector("one", &config("one").replace(context.bootstrap(), &detour), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let two = context.connector("two", &config("two"), &[])?;
    two.wait_logged(OPEN, 1, BOUND)?;
    let before = wait_for_records(context, &one, "touches", 1)?;
    wait_for_records(context, &one, "touches", before + 20)?;

    let opened = two.log()?.matches(OPEN).count();
    proxy.cut();
    two.wait_logged(OPEN, opened + 1, BOUND)?;
    let taken_over = wait_for_records(context, &two, "touches", 1)?;
    wait_for_records(context, &two, "touches", taken_over + 20)?;
    let opened = one.log()?.matches(OPEN).count();
    proxy.mend();
    // It learns that it is out, and comes back as an ordinary member.
    one.wait_logged(OPEN, opened + 1, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    one.must_run()?;
    two.must_run()
}

fn for_a_moment(context: &Context) -> Result<()> {
    const SESSION: &str = "kafka.\"session.timeout.ms\" = 20000\nkafka.\"heartbeat.interval.ms\" = 500\n";
    let simulator = lively(context, "12s")?;
    let (proxy, detour) = cuttable(context)?;
    let more = format!("{SMALL_TRANSACTIONS}\n{SESSION}");
    let config = context.config(simulator.url(), PROMOTERS, &more).replace(context.bootstrap(), &detour);
    let one = context.connector("one", &config, &[])?;
    for _ in 0..3 {
        let before = wait_for_records(context, &one, "touches", 1)?;
        wait_for_records(context, &one, "touches", before + 10)?;
        proxy.cut();
        std::thread::sleep(Duration::from_secs(2));
        proxy.mend();
    }
    context.settle(&simulator, SETTLE)?;
    ensure!(one.log()?.matches(OPEN).count() == 1, "it has lost nothing");
    one.must_run()
}

/// The way to the broker that can be cut, and its address.
fn cuttable(context: &Context) -> Result<(Proxy, String)> {
    let detour = context.broker().detour()?;
    Ok((Proxy::start(detour)?, format!("127.0.0.1:{}", detour.from)))
}
