//! Promoters that the configuration names when it is read again.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::broker::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::connector::Connector;
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

/// From a change to its first fact on the topic, behind a backfill together with others of an upstream at its worst.
const ACTS_WITHIN: Duration = Duration::from_secs(45);
const READ: &str = "the configuration was read again";
const REFUSED: &str = "the configuration can't be read again";

/// One instance, whose file names more promoters when it gets a hangup signal.
pub fn by_a_signal(context: &Context) -> Result<()> {
    let simulator = lively(context, "20s")?;
    let config = |promoters| context.config_of("one", simulator.url(), promoters, SMALL_TRANSACTIONS);
    let one = context.connector("one", &config(2), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    wait_for_records(context, &one, "touches", 1)?;

    let file = context.directory().join("one.toml");
    let faulty = config(PROMOTERS).replace("\"oSimulated000005\"", "\"o Simulated 5\"");
    fs::write(&file, faulty)?;
    one.hang_up()?;
    one.wait_logged(REFUSED, 1, BOUND)?;
    ensure!(one.log()?.contains("promoters[4]"), "the place of the fault is named");
    fs::write(&file, config(PROMOTERS))?;
    one.hang_up()?;
    one.wait_logged(READ, 1, BOUND)?;
    others_are_polled(context, 2)?;

    context.settle(&simulator, SETTLE)?;
    ensure!(one.log()?.matches(OPEN).count() == 1, "nothing was opened anew");
    ensure!(one.terminate()?.success(), "it ends in order");
    Ok(())
}

/// Two instances with one table of promoters, which another takes the place of.
pub fn by_a_change(context: &Context) -> Result<()> {
    let simulator = lively(context, "25s")?;
    let table = |promoters| {
        let rows: String = (2..=promoters).map(|number| format!("oSimulated{number:06}\n")).collect();
        format!("promoter\n{rows}")
    };
    let place = |name| context.directory().join(name);
    fs::write(place("promoters.csv"), table(3))?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    let config = |instance| {
        let config = context.config_of(instance, simulator.url(), 1, &more);
        config.replace("promoters = [", "promoters_file = \"promoters.csv\", promoters = [")
    };
    let one = context.connector("one", &config("one"), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let two = context.connector("two", &config("two"), &[])?;
    two.wait_logged(OPEN, 1, BOUND)?;
    wait_for_records(context, &one, "touches", 1)?;

    fs::write(place("next.csv"), table(PROMOTERS))?;
    fs::rename(place("next.csv"), place("promoters.csv"))?;
    others_are_polled(context, 3)?;
    for connector in [&one, &two] {
        connector.wait_logged(READ, 1, BOUND)?;
    }
    // Whoever takes over goes by the list as it is now.
    ensure!(two.terminate()?.success(), "the second instance ends in order");
    context.settle(&simulator, SETTLE)?;
    says_nothing_of_others(&one)?;
    ensure!(one.terminate()?.success(), "the first instance ends in order");
    Ok(())
}

/// Waits until facts of more than `before` promoters are published.
fn others_are_polled(context: &Context, before: usize) -> Result<()> {
    let began = Instant::now();
    wait_until("promoters that are named anew are polled", BOUND, || {
        let published = context.decoded("touches")?;
        let promoters: BTreeSet<&str> =
            published.iter().filter_map(|event| event["promoter_openid"].as_str()).collect();
        // Not all of them have touches.
        Ok((promoters.len() > before).then_some(()))
    })?;
    println!("polled and published {:?} behind the change", began.elapsed());
    ensure!(began.elapsed() < ACTS_WITHIN, "it took {:?}", began.elapsed());
    Ok(())
}

fn says_nothing_of_others(connector: &Connector) -> Result<()> {
    let log = connector.log()?;
    ensure!(!log.contains("is configured with other promoters"), "both have the same promoters");
    ensure!(!log.contains("act only after a restart"), "no setting has changed");
    Ok(())
}
