//! `status`, with no instance there.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::answer;
use crate::broker::world::{
    BOUND, PROMOTERS, SETTLE, SMALL_TRANSACTIONS, config_of_days, days_ago, lively, of_days, wait_for_records,
};
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

/// Until the last cursor has passed a day: one in which nothing happens is written once an hour, and these have passed years.
const CLOSED_BOUND: Duration = Duration::from_secs(120);

pub fn told_without_instances(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    // One who is new, and one who is paused.
    let more = context.config(simulator.url(), PROMOTERS + 1, "");
    let paused = answer(context, &more, &["promoters", "pause", "oSimulated000001"])?;
    paused.must_end_with(0)?;
    let status = answer(context, &more, &["status", "--json", "--worst", "3"])?.must_end_with(0)?.json()?;
    let feeds = status["feeds"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(feeds.len() == 3, "{status}");
    for feed in feeds {
        ensure!(feed["promoters"] == PROMOTERS && feed["paused"] == 1 && feed["not_begun"] == 1, "{feed}");
        ensure!(feed["complete_before"].is_string(), "{feed}");
    }
    ensure!(status["behind_most"].as_array().is_some_and(|rows| rows.len() == 3), "{status}");
    let text = answer(context, &more, &["status"])?.must_end_with(0)?.shown;
    ensure!(text.contains("behind most\nwx_simulated/oSimulated"), "{text}");
    Ok(())
}

/// By feed and day.
type Counts = BTreeMap<(String, String), u64>;

/// The ledger as somebody reads it who knows its schema alone: the last record of each day and shard, summed up.
pub(in crate::broker) fn ledger_sums(context: &Context) -> Result<Counts> {
    let mut last = BTreeMap::new();
    for record in context.decoded("ledger")? {
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let key = (text("feed"), text("day"), record["shard"].as_i64().context("a shard")?);
        last.insert(key, record["published"].as_u64().context("a count")?);
    }
    let mut sums = Counts::new();
    for ((feed, day, _), published) in last {
        *sums.entry((feed, day)).or_default() += published;
    }
    Ok(sums)
}

/// What the upstream has shown of touches and payments, by the day in Beijing.
fn shown(simulator: &Simulator) -> Result<Counts> {
    let mut shown = Counts::new();
    for line in simulator.truth()? {
        let (feed, time) = match (line["kind"].as_str(), line["status"].as_str()) {
            (Some("touch"), _) => ("touches", &line["create_time"]),
            (Some("order"), Some("PAID" | "UNKNOWN")) => ("orders", &line["paid_time"]),
            _ => continue,
        };
        let time = jiff::Timestamp::from_second(time.as_i64().with_context(|| line.to_string())?)?;
        let day = jiff::tz::Offset::constant(8).to_datetime(time).date().to_string();
        *shown.entry((feed.to_owned(), day)).or_default() += 1;
    }
    Ok(shown)
}

pub(in crate::broker) fn feed<'a>(report: &'a Value, name: &str) -> &'a Value {
    let feeds = report["feeds"].as_array().map(Vec::as_slice).unwrap_or_default();
    feeds.iter().find(|feed| feed["feed"] == name).unwrap_or(&Value::Null)
}

pub fn days_are_complete(context: &Context) -> Result<()> {
    let simulator = of_days(context)?;
    let config = config_of_days(context, &simulator, SMALL_TRANSACTIONS);
    let first = context.connector("one", &config, &[])?;
    wait_for_records(context, &first, "touches", 100)?;
    first.kill9()?;
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    let (day, today) = (days_ago(3)?, days_ago(0)?);
    let asked = |day: &str| answer(context, &config, &["status", "--day", day, "--json"]);
    let complete = wait_until("the day is complete", CLOSED_BOUND, || {
        let report = asked(&day)?;
        Ok((report.code == Some(0)).then_some(report))
    })?
    .json()?;
    ensure!(
        complete["complete"] == true && complete["feeds"].as_array().is_some_and(|feeds| feeds.len() == 3),
        "{complete}"
    );

    let (sums, shown) = (ledger_sums(context)?, shown(&simulator)?);
    for name in ["touches", "orders"] {
        let of_day = (name.to_owned(), day.clone());
        let expected = shown.get(&of_day).copied().unwrap_or_default();
        ensure!(expected > 0, "nothing was shown of {name} on {day}, so nothing is proven");
        ensure!(sums.get(&of_day) == Some(&expected), "{name} {day}: {sums:?}, and shown were {shown:?}");
        ensure!(feed(&complete, name)["published"] == expected, "{name} {day}: {expected} in {complete}");
    }
    let text = answer(context, &config, &["status", "--day", &day])?.must_end_with(0)?.shown;
    ensure!(text.contains(&format!("{day} is complete")), "{text}");

    // One that is not over, and one that somebody holds up.
    let open = asked(&today)?.must_end_with(1)?.json()?;
    ensure!(open["complete"] == false && feed(&open, "touches")["behind"] == PROMOTERS, "{open}");
    ensure!(connector.terminate()?.success(), "it ends in order");
    answer(context, &config, &["promoters", "pause", "oSimulated000001"])?.must_end_with(0)?;
    let open = asked(&today)?.must_end_with(1)?.json()?;
    ensure!(feed(&open, "touches")["paused"] == 1, "{open}");
    ensure!(asked(&day)?.code == Some(0), "whoever is paused behind a day does not hold it up");
    answer(context, &config, &["status", "--day", "yesterday"])?.must_end_with(2)?;

    // Asked again from that day on it is open, and closed again with what comes once more.
    let rewind =
        ["rewind", "--promoter", "wx_simulated/oSimulated000002", "--feed", "touches", "--republish", "--to", &day];
    answer(context, &config, &rewind)?.must_end_with(0)?;
    let again = context.connector("one", &config, &[])?;
    again.wait_logged("a feed is asked again from an earlier time", 1, BOUND)?;
    let of_day = ("touches".to_owned(), day.clone());
    let once = sums.get(&of_day).copied().unwrap_or_default();
    wait_until("the day is complete again, with more", CLOSED_BOUND, || {
        let more = ledger_sums(context)?.get(&of_day).is_some_and(|published| *published > once);
        Ok((more && asked(&day)?.code == Some(0)).then_some(()))
    })?;
    ensure!(again.terminate()?.success(), "it ends in order");
    let (sums, held) = (ledger_sums(context)?, held_touches(context)?);
    ensure!(sums.get(&of_day) == held.get(&day), "{day}: {sums:?}, and the topic holds {held:?}");
    Ok(())
}

/// How many touches the topic holds, by the day in Beijing.
fn held_touches(context: &Context) -> Result<BTreeMap<String, u64>> {
    let mut held = BTreeMap::new();
    for touch in context.decoded("touches")? {
        let time: jiff::Timestamp = touch["create_time"].as_str().context("a time")?.parse()?;
        let day = jiff::tz::Offset::constant(8).to_datetime(time).date().to_string();
        *held.entry(day).or_default() += 1;
    }
    Ok(held)
}
