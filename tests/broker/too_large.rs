//! What its topic does not take becomes a dead letter, in the transaction of its neighbours, and holds nobody up.

use anyhow::{Context as _, Result, ensure};

use super::world::{BOUND, OPEN, PROMOTERS, SETTLE, wait_for_records};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::facts;
use crate::harness::judge::{Verdict, judge};
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

/// A record of a touch is about that long: some fit, some do not.
const LIMIT: &str = "300";
/// Rows in the plain form, so that their bytes can be compared with the truth.
const PLAIN: &[&str] = &[
    "--promoters=12",
    "--history=10m",
    "--touches-per-hour=600",
    "--orders-per-hour=100",
    "--late-max=2s",
    "--moving=2s",
    "--refund-within=3s",
    "--page-rows=40",
    "--odd-rows=0",
    "--dead-rows=0",
    "--latency=10ms",
    "--spell=2s",
];

pub const CASES: &[Case] = &[
    Case::shared("too large: what a topic does not take is a dead letter", rows_that_do_not_fit),
    Case::shared("too large: a limit that is lowered meanwhile is learnt", a_limit_is_lowered_meanwhile),
];

fn rows_that_do_not_fit(context: &Context) -> Result<()> {
    let topic = context.topics().create("touches", 3, &[("max.message.bytes", LIMIT)])?;
    let simulator = plain(context, "5s")?;
    let connector = context.connector("one", &context.config(simulator.url(), PROMOTERS, ""), &[])?;
    settle(context, &simulator)?;

    let letters = context.decoded("dead-letters")?;
    let events = context.decoded("touches")?;
    ensure!(!letters.is_empty() && !events.is_empty(), "{} letters and {} events", letters.len(), events.len());
    let words = format!("bytes long, topic {topic} takes {LIMIT}");
    for letter in &letters {
        ensure!(letter["reason"] == "too_large" && letter["source"] == "touches", "{letter}");
        ensure!(letter["detail"].as_str().is_some_and(|detail| detail.contains(&words)), "{letter}");
    }
    ensure!(connector.log()?.matches(OPEN).count() == 1, "the broker was never asked to take what is too large");
    connector.must_run()
}

fn a_limit_is_lowered_meanwhile(context: &Context) -> Result<()> {
    let simulator = plain(context, "14s")?;
    let connector = context.connector("one", &context.config(simulator.url(), PROMOTERS, ""), &[])?;
    wait_for_records(context, &connector, "touches", 100)?;
    ensure!(context.decoded("dead-letters")?.is_empty(), "so far everything fits");
    context.topics().set(&context.topics().name("touches"), "max.message.bytes", LIMIT)?;
    connector.wait_logged(OPEN, 2, BOUND)?;
    settle(context, &simulator)?;
    ensure!(!context.decoded("dead-letters")?.is_empty(), "some rows do not fit any more");
    connector.must_run()
}

fn plain(context: &Context, quiet_after: &str) -> Result<Simulator> {
    let quiet_after = format!("--quiet-after={quiet_after}");
    let mut arguments = PLAIN.to_vec();
    arguments.push(&quiet_after);
    context.simulator(&arguments)
}

/// Waits until each fact that was shown is an event or the bytes of a dead letter, and once.
fn settle(context: &Context, simulator: &Simulator) -> Result<()> {
    let mut last = Verdict::default();
    wait_until("everything is an event or a dead letter", SETTLE, || {
        if simulator.stats()?["facts"]["settled"] != true {
            return Ok(None);
        }
        last = verdict(context, simulator)?;
        Ok(last.is_exact().then_some(()))
    })
    .with_context(|| last.to_string())?;
    last.must_be_exact()
}

fn verdict(context: &Context, simulator: &Simulator) -> Result<Verdict> {
    let shown: Result<Vec<String>> = simulator.truth()?.iter().map(facts::shown).collect();
    let mut found = Vec::new();
    for event in ["touches", "orders"].map(|topic| context.decoded(topic)).into_iter().collect::<Result<Vec<_>>>()? {
        found.extend(event.iter().map(facts::published).collect::<Result<Vec<_>>>()?);
    }
    let letters = context.decoded("dead-letters")?;
    found.extend(letters.iter().map(facts::touch_in_dead_letter).collect::<Result<Vec<_>>>()?);
    Ok(judge(shown?, found))
}
