//! `where`: one order after the other, published, unreadable, lost, young and of nobody.

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::answer;
use crate::broker::world::{BOUND, SETTLE};
use crate::harness::consumer::{Record, read_all};
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

const PROMOTER: &str = "wx_simulated/oSimulated000001";
const NOBODYS: &str = "9999999999999999999999999999";

pub fn each_fate(context: &Context) -> Result<()> {
    // Several days of history, so that some have closed.
    let simulator = context.simulator(&[
        "--promoters=2",
        "--faults=none",
        "--history=6d",
        "--touches-per-hour=1",
        "--orders-per-hour=2",
        "--late=0",
        "--dead-rows=0.05",
        "--told-later=0",
        "--quiet-after=1s",
    ])?;
    let config = context.config(simulator.url(), 2, "");
    let config = config.replace("feeds.orders = {", "feeds.orders = { lateness = \"1s\",");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    let orders = context.decoded("orders")?;
    let of_promoter = |order: &&Value| PROMOTER.ends_with(order["promoter_openid"].as_str().unwrap_or("nobody"));
    let own: Vec<&Value> = orders.iter().filter(of_promoter).filter(|order| order["status"] == "PAID").collect();
    in_the_topics(context, &config, own.first().context("an order")?)?;
    in_the_dead_letters(context, &config)?;
    let report = told(context, &config, NOBODYS, None, 1)?;
    ensure!(report["verdict"] == "not_found" && report["upstream"]["answer"] == "not_asked", "{report}");
    let report = told(context, &config, NOBODYS, Some(PROMOTER), 1)?;
    ensure!(report["verdict"] == "not_attributed" && report["upstream"]["are_all"] == true, "{report}");

    // Nothing is left of the events: the upstream alone knows of them.
    let topic = context.topics().name("orders");
    context.topics().delete(&topic)?;
    wait_until("the topic is gone", BOUND, || Ok((context.topics().partitions(&topic)? == 0).then_some(())))?;
    context.topics().create("orders", 3, &[])?;
    let paid = |order: &Value| -> Option<Timestamp> { order["paid_time"].as_str()?.parse().ok() };
    let closed = Timestamp::now() - SignedDuration::from_hours(72);
    let old = own.iter().find(|order| paid(order).is_some_and(|paid| paid < closed)).context("an old one")?;
    let report = told(context, &config, trade_no(old)?, Some(PROMOTER), 1)?;
    ensure!(report["verdict"] == "after_lateness" && report["upstream"]["answer"] == "shown", "{report}");
    let young = own.iter().max_by_key(|order| paid(order)).context("a young one")?;
    let report = told(context, &config, trade_no(young)?, Some(PROMOTER), 1)?;
    ensure!(report["verdict"] == "not_yet_due" && report["complete_before"].is_string(), "{report}");
    Ok(())
}

/// What is told of an order as JSON, where the command ends with `code`.
fn told(context: &Context, config: &str, trade_no: &str, promoter: Option<&str>, code: i32) -> Result<Value> {
    let mut arguments = vec!["where", "--trade-no", trade_no, "--json"];
    arguments.extend(promoter.iter().flat_map(|promoter| ["--promoter", promoter]));
    let report = answer(context, config, &arguments)?.must_end_with(code)?.json()?;
    ensure!(report["trade_no"] == trade_no, "{report}");
    Ok(report)
}

fn trade_no(order: &Value) -> Result<&str> {
    order["trade_no"].as_str().context("it has a number")
}

/// With its place, whoever it is of.
fn in_the_topics(context: &Context, config: &str, order: &Value) -> Result<()> {
    for promoter in [None, Some(PROMOTER)] {
        let report = told(context, config, trade_no(order)?, promoter, 0)?;
        ensure!(report["verdict"] == "published" && report["upstream"]["answer"] == "not_asked", "{report}");
        let events = report["events"].as_array().context("a list")?;
        let found = events.iter().find(|event| event["event_id"] == order["event_id"]).context("the event")?;
        let records = read_all(context.bootstrap(), &context.topics().name("orders"))?;
        let is_there = |record: &&Record| found["partition"] == record.partition && found["offset"] == record.offset;
        let record = records.iter().find(is_there).context("it stands there")?;
        ensure!(record.key_text() == PROMOTER && found["promoter"] == PROMOTER, "{report}");
    }
    let text = answer(context, config, &["where", "--trade-no", trade_no(order)?])?.must_end_with(0)?.shown;
    ensure!(text.contains(": published") && text.contains(PROMOTER), "{text}");
    Ok(())
}

/// A row that has its number, though it can't be read.
fn in_the_dead_letters(context: &Context, config: &str) -> Result<()> {
    let letters = context.decoded("dead-letters")?;
    let number = |letter: &Value| {
        let row: Value = serde_json::from_str(letter["raw"].as_str()?).ok()?;
        Some(row["trade_no"].as_str()?.to_owned())
    };
    let trade_no = letters.iter().find_map(number).context("one of them has its number")?;
    let report = told(context, config, &trade_no, None, 1)?;
    ensure!(report["verdict"] == "dead_letter", "{report}");
    ensure!(report["dead_letters"][0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{report}");
    Ok(())
}
