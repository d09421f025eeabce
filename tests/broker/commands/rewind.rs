//! `rewind`, with instances that run and with none.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Answer, answer};
use crate::broker::world::{BOUND, OPEN, SETTLE};
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

const PROMOTER: &str = "wx_simulated/oSimulated000001";
const OPENID: &str = "oSimulated000001";
const ASKED_AGAIN: &str = "a feed is asked again from an earlier time";

/// Days of history, of which all is shown at once.
fn quiet_world(context: &Context) -> Result<Simulator> {
    context.simulator(&[
        "--promoters=2",
        "--faults=none",
        "--history=6d",
        "--touches-per-hour=4",
        "--orders-per-hour=3",
        "--late=0",
        "--dead-rows=0",
        "--refunds=0",
        "--quiet-after=1s",
    ])
}

/// Everything is complete soon after it has happened.
fn hasty(config: &str) -> String {
    ["touches", "orders", "refunds"].into_iter().fold(config.to_owned(), |config, feed| {
        config.replace(&format!("feeds.{feed} = {{"), &format!("feeds.{feed} = {{ lateness = \"1s\","))
    })
}

fn rewind(context: &Context, config: &str, feed: &str, to: Timestamp, more: &[&str]) -> Result<Answer> {
    let to = to.to_string();
    let arguments = ["rewind", "--promoter", PROMOTER, "--feed", feed, "--to", &to, "--json"];
    answer(context, config, &[&arguments, more].concat())
}

/// So many hours ago, to the second.
fn hours_ago(hours: i64) -> Result<Timestamp> {
    Ok(Timestamp::from_second(Timestamp::now().as_second() - hours * 3600)?)
}

/// How often each event of the promoter is published, by its id, and when it happened.
fn events(context: &Context, topic: &str, time: &str) -> Result<BTreeMap<String, (Timestamp, usize)>> {
    let mut events = BTreeMap::new();
    for event in context.decoded(topic)? {
        if event["promoter_openid"] == OPENID {
            let id = event["event_id"].as_str().context("an id")?.to_owned();
            let happened = event[time].as_str().context("a time")?.parse()?;
            events.entry(id).or_insert((happened, 0)).1 += 1;
        }
    }
    Ok(events)
}

/// Where the cursor of the feed stands in Kafka, as the command tells it.
fn cursor(context: &Context, config: &str, feed: &str) -> Result<Timestamp> {
    let yesterday = hours_ago(24)?;
    let report = rewind(context, config, feed, yesterday, &["--dry-run", "--republish"])?.must_end_with(0)?.json()?;
    Ok(report["cursor"].as_str().context("a cursor")?.parse()?)
}

/// What is remembered comes once, however often it is asked for again; with a start right behind it.
pub fn within_the_memory(context: &Context) -> Result<()> {
    let simulator = quiet_world(context)?;
    let config = hasty(&context.config(simulator.url(), 2, ""));
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    let stood = cursor(context, &config, "orders")?;
    let to = stood - SignedDuration::from_hours(24);

    let dry = rewind(context, &config, "orders", to, &["--dry-run"])?.must_end_with(0)?.json()?;
    ensure!(dry["unknown_facts"] == "none" && dry["rewind_id"].is_null() && dry["target"].is_string(), "{dry}");
    let start: Timestamp = dry["start"].as_str().context("a time")?.parse()?;
    ensure!(start <= to, "what happened since then is published: {dry}");
    ensure!(cursor(context, &config, "orders")? == stood, "a dry run changes nothing");

    let written = rewind(context, &config, "orders", to, &[])?.must_end_with(0)?.json()?;
    ensure!(written["rewind_id"].as_str().is_some_and(|id| id.len() == 32), "{written}");
    connector.wait_logged(ASKED_AGAIN, 1, BOUND)?;
    // Whether the cursor is moved by this process, or by the next.
    connector.kill9()?;
    let connector = context.connector("one", &config, &[])?;
    connector.wait_logged(OPEN, 2, BOUND)?;
    wait_until("the cursor has come back", BOUND, || {
        connector.must_run()?;
        Ok((cursor(context, &config, "orders")? >= stood).then_some(()))
    })?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    let told = connector.log()?.matches(ASKED_AGAIN).count();
    let connector = context.connector("one", &config, &[])?;
    connector.wait_logged(OPEN, 3, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.log()?.matches(ASKED_AGAIN).count() == told, "a later start does not meet it again");
    ensure!(cursor(context, &config, "orders")? >= stood, "nor goes the cursor back");
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}

/// Beyond the memory it is refused, or exactly what was forgotten comes again, under the same ids.
pub fn beyond_the_memory(context: &Context) -> Result<()> {
    let simulator = quiet_world(context)?;
    let config = hasty(&context.config(simulator.url(), 2, ""));
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    let to = hours_ago(72)?;
    for more in [&["--dry-run"][..], &[]] {
        let refused = rewind(context, &config, "touches", to, more)?.must_end_with(2)?;
        let report = refused.json()?;
        ensure!(report["unknown_facts"] == "refused" && report["rewind_id"].is_null(), "{report}");
        ensure!(refused.told.contains("refused without --republish"), "{}", refused.told);
    }
    refused_by_name(context, &config)?;

    let known: Timestamp = {
        // Nobody runs: it acts at the next start, and of two the last.
        let earlier = to - SignedDuration::from_hours(1);
        let written = rewind(context, &config, "touches", earlier, &["--republish"])?.must_end_with(0)?.json()?;
        ensure!(written["replaces"].is_null(), "{written}");
        let written = rewind(context, &config, "touches", to, &["--republish"])?.must_end_with(0)?.json()?;
        ensure!(written["replaces"] == earlier.to_string(), "{written}");
        ensure!(written["unknown_facts"] == "published_again", "{written}");
        written["known_since"].as_str().context("a time")?.parse()?
    };
    let (once, others) = (events(context, "touches", "create_time")?, events(context, "orders", "paid_time")?);
    let connector = context.connector("one", &config, &[])?;
    let is_again = |(happened, _): &(Timestamp, usize)| (to..known).contains(happened);
    let again = once.values().filter(|event| is_again(event)).count();
    ensure!(again > 10 && again < once.len(), "{again} of {}", once.len());
    wait_until("what was forgotten has come again", BOUND, || {
        connector.must_run()?;
        let twice = events(context, "touches", "create_time")?.values().filter(|(_, count)| *count > 1).count();
        Ok((twice >= again).then_some(()))
    })?;
    wait_until(
        "the cursor has come back",
        BOUND,
        || Ok((cursor(context, &config, "touches")? >= known).then_some(())),
    )?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    let expected: BTreeMap<_, _> =
        once.iter().map(|(id, event)| (id.clone(), (event.0, if is_again(event) { 2 } else { 1 }))).collect();
    ensure!(events(context, "touches", "create_time")? == expected, "exactly those, and each once more");
    ensure!(events(context, "orders", "paid_time")? == others, "of its feed alone");
    Ok(())
}

/// Whom and what nobody polls is refused, and why is told.
fn refused_by_name(context: &Context, config: &str) -> Result<()> {
    let refused = |arguments: &[&str]| -> Result<String> {
        let to = "2024-01-01";
        let arguments = [&["rewind", "--to", to], arguments].concat();
        Ok(answer(context, config, &arguments)?.must_end_with(2)?.told)
    };
    let told = refused(&["--promoter", "wx_other/o1", "--feed", "touches"])?;
    ensure!(told.contains("app wx_other is not configured here"), "{told}");
    let told = refused(&["--promoter", "wx_simulated/nobody", "--feed", "touches"])?;
    ensure!(told.contains("neither registered nor configured"), "{told}");
    answer(context, config, &["promoters", "add", "--paused", "oPaused"])?.must_end_with(0)?;
    let told = refused(&["--promoter", "wx_simulated/oPaused", "--feed", "touches"])?;
    ensure!(told.contains("is paused"), "{told}");
    answer(context, config, &["promoters", "add", "--feeds", "orders", "oNew"])?.must_end_with(0)?;
    let told = refused(&["--promoter", "wx_simulated/oNew", "--feed", "touches"])?;
    ensure!(told.contains("touches of wx_simulated/oNew are not polled"), "{told}");
    let told = refused(&["--promoter", "wx_simulated/oNew", "--feed", "orders"])?;
    ensure!(told.contains("have not begun yet"), "{told}");
    Ok(())
}

/// A `start_from` that is changed later acts by it: what lay before comes, and nothing twice; and whoever reads lists of promoters
/// meets no stranger.
pub fn before_the_start(context: &Context) -> Result<()> {
    let simulator = quiet_world(context)?;
    let start = hours_ago(48)?;
    let late = hasty(&context.config(simulator.url(), 1, "")).replace("\"earliest\"", &format!("\"{start}\""));
    let connector = context.connector("one", &late, &[])?;
    connector.wait_logged(OPEN, 1, BOUND)?;
    let begun = wait_until("the feed has come to now", BOUND, || {
        connector.must_run()?;
        let found = events(context, "touches", "create_time")?;
        Ok((!found.is_empty()).then_some(found))
    })?;
    let to = start - SignedDuration::from_hours(72);
    let written = wait_until("the feed has begun", BOUND, || {
        let answer = rewind(context, &late, "touches", to, &[])?;
        Ok(if answer.code == Some(0) { Some(answer.json()?) } else { None })
    })?;
    ensure!(written["unknown_facts"] != "refused", "{written}");
    connector.wait_logged(ASKED_AGAIN, 1, BOUND)?;
    let shown: Vec<Value> = simulator.truth()?;
    ensure!(!shown.is_empty() && !begun.is_empty(), "there is something to judge");
    let all = wait_until("what lay before has come", BOUND, || {
        connector.must_run()?;
        let found = events(context, "touches", "create_time")?;
        let earliest = found.values().map(|(happened, _)| *happened).min();
        Ok(earliest.is_some_and(|earliest| earliest < to + SignedDuration::from_hours(24)).then_some(found))
    })?;
    ensure!(all.values().all(|(happened, count)| *happened >= to && *count == 1), "{all:?}");
    let again = rewind(context, &late, "touches", to, &["--dry-run", "--republish"])?.must_end_with(0)?.json()?;
    ensure!(again["replaces"].is_null(), "the first one was met: {again}");
    let listed = answer(context, &late, &["promoters", "list"])?.must_end_with(0)?;
    ensure!(!listed.told.contains("rewind") && !listed.shown.contains("rewind"), "{}{}", listed.shown, listed.told);
    ensure!(context.decoded("dead-letters")?.is_empty(), "nobody takes it for a registration");
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}
