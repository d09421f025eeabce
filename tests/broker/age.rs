//! Topics that would delete or refuse a fact because it is old.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::world::{BOUND, OPEN, PROMOTERS, SETTLE, lively, wait_for_records};
use crate::harness::case::Case;
use crate::harness::consumer::{Record, read_all};
use crate::harness::context::Context;
use crate::harness::facts;
use crate::harness::judge::{Verdict, judge};
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

const REFUSAL_BOUND: Duration = Duration::from_secs(30);
const DAY: &str = "86400000";

pub const CASES: &[Case] = &[
    Case::shared("age: a start before what its topic keeps stops", a_short_retention_stops),
    Case::shared("age: a start before what its topic takes stops", a_broker_that_refuses_old_records_stops),
    Case::shared("age: what is at risk is said once, and stops nothing", risks_are_said),
    Case::shared("age: a fact that is refused for its time is a dead letter", refused_facts_are_dead_letters),
];

fn a_short_retention_stops(context: &Context) -> Result<()> {
    context.topics().create("touches", 3, &[("retention.ms", DAY)])?;
    let told = refusal(context)?;
    let words = format!("topic {} keeps no records longer than 86400 s", context.topics().name("touches"));
    ensure!(told.contains(&words), "{words:?} is not in\n{told}");
    Ok(())
}

fn a_broker_that_refuses_old_records_stops(context: &Context) -> Result<()> {
    context.topics().create("orders", 3, &[("message.timestamp.before.max.ms", DAY)])?;
    let told = refusal(context)?;
    let words = format!("topic {} takes no records older than 86400 s", context.topics().name("orders"));
    ensure!(told.contains(&words), "{words:?} is not in\n{told}");
    Ok(())
}

/// What a start says that ends with 1, and polls nothing. Every feed begins with the earliest fact.
fn refusal(context: &Context) -> Result<String> {
    let simulator = lively(context, "1s")?;
    let connector = context.connector("one", &context.config(simulator.url(), PROMOTERS, ""), &[])?;
    let end = connector.wait_exit(REFUSAL_BOUND)?;
    ensure!(end.code() == Some(1), "it refuses, and does not end with {end}");
    for topic in ["touches", "orders", "state"] {
        let topic = context.topics().name(topic);
        ensure!(read_all(context.bootstrap(), &topic)?.iter().all(is_no_cursor), "nothing is written to {topic}");
    }
    connector.log()
}

/// Whether it tells nothing of how far a feed is complete.
fn is_no_cursor(record: &Record) -> bool {
    !record.key_text().starts_with("cursor/")
}

fn risks_are_said(context: &Context) -> Result<()> {
    context.topics().create("touches", 3, &[("unclean.leader.election.enable", "true"), ("retention.ms", DAY)])?;
    let simulator = lively(context, "2s")?;
    let config =
        context.config(simulator.url(), PROMOTERS, "").replace("start_from = \"earliest\"", "start_from = \"now\"");
    let connector = context.connector("one", &config, &[])?;
    connector.wait_logged(OPEN, 1, BOUND)?;
    for risk in ["one replica: ", "unclean.leader.election.enable=true: "] {
        connector.wait_logged(risk, 1, BOUND)?;
    }
    ensure!(connector.terminate()?.success(), "it ends in order");
    // The dead letters are looked at by both pipelines.
    let log = connector.log()?;
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("one replica: ")).collect();
    let letters = context.topics().name("dead-letters");
    ensure!(lines.iter().filter(|line| line.contains(&letters)).count() == 1, "each topic is named once: {lines:#?}");
    Ok(())
}

fn refused_facts_are_dead_letters(context: &Context) -> Result<()> {
    // Rows in the plain form, so that their bytes can be compared with the truth; many of them appear late.
    let simulator = context.simulator(&[
        "--promoters=12",
        "--history=10m",
        "--touches-per-hour=600",
        "--orders-per-hour=0",
        "--late-max=4s",
        "--moving=2s",
        "--odd-rows=0",
        "--dead-rows=0",
        "--latency=10ms",
        "--spell=2s",
        "--quiet-after=14s",
    ])?;
    let connector = context.connector("one", &context.config(simulator.url(), PROMOTERS, ""), &[])?;
    wait_for_records(context, &connector, "touches", 100)?;
    let touches = context.topics().name("touches");
    context.topics().set(&touches, "message.timestamp.before.max.ms", "1500")?;
    connector.wait_logged(OPEN, 2, BOUND)?;
    let mut last = Verdict::default();
    wait_until("everything is an event or a dead letter", SETTLE, || {
        connector.must_run()?;
        if simulator.stats()?["facts"]["settled"] != true {
            return Ok(None);
        }
        last = verdict(context, &simulator)?;
        Ok(last.is_exact().then_some(()))
    })
    .with_context(|| last.to_string())?;
    let letters = context.decoded("dead-letters")?;
    ensure!(!letters.is_empty(), "some facts appear too late for that topic");
    for letter in &letters {
        let detail = letter["detail"].as_str().unwrap_or_default();
        ensure!(
            letter["reason"] == "refused_time" && detail.contains(&format!("topic {touches} takes none")),
            "{letter}"
        );
    }
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}

fn verdict(context: &Context, simulator: &Simulator) -> Result<Verdict> {
    let shown: Result<Vec<String>> = simulator.truth()?.iter().map(facts::shown).collect();
    let events = context.decoded("touches")?;
    let letters = context.decoded("dead-letters")?;
    let mut found = events.iter().map(facts::published).collect::<Result<Vec<_>>>()?;
    found.extend(letters.iter().map(facts::touch_in_dead_letter).collect::<Result<Vec<_>>>()?);
    Ok(judge(shown?, found))
}
