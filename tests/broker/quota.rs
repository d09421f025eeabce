//! Instances share the budget of an app where its promoters are, and never call more than that together.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::shard::Shard;
use serde_json::Value;

use super::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, lively};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;

const PER_MINUTE: u64 = 120;
const PARTITIONS: i32 = 3;
/// How often the upstream is asked how often it was called.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const MINUTE: Duration = Duration::from_secs(60);

/// Room for an instance's note, and for the generation and the division in it, but not for what partitions need.
const SHORT_NOTES: &[(&str, &str)] = &[("offset.metadata.max.bytes", "440")];

pub const CASES: &[Case] = &[
    Case::shared("quota: a budget is spent where the promoters are, and no minute exceeds it", spent_where_needed)
        .long(),
    Case::own_with("quota: brokers that keep short notes hold up no transaction", SHORT_NOTES, short_notes),
];

/// How often the upstream had been called between the two times.
struct Calls(Vec<([Instant; 2], u64)>);

impl Calls {
    /// Looks until `end` says so, or for too long.
    fn watch(&mut self, simulator: &Simulator, bound: Duration, end: impl Fn(&Calls) -> bool) -> Result<()> {
        let until = Instant::now() + bound;
        loop {
            let before = Instant::now();
            let calls = called(&simulator.stats()?);
            self.0.push(([before, Instant::now()], calls));
            ensure!(self.most_in_a_minute() <= PER_MINUTE, "{} calls in a minute", self.most_in_a_minute());
            if end(self) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "{} calls in the last minute", self.of_the_last_minute());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// In looks that are no more than a minute apart.
    fn most_in_a_minute(&self) -> u64 {
        let Some(([_, last], calls)) = self.0.last() else { return 0 };
        let first = self.0.iter().find(|([at, _], _)| *last - *at <= MINUTE);
        first.map_or(0, |(_, before)| calls - before)
    }

    /// Nothing before a minute is over.
    fn of_the_last_minute(&self) -> u64 {
        let Some(([last, _], calls)) = self.0.last() else { return 0 };
        let first = self.0.iter().rfind(|([_, at], _)| *last - *at >= MINUTE);
        first.map_or(0, |(_, before)| calls - before)
    }

    fn is_spent(&self) -> bool {
        self.of_the_last_minute() * 100 >= PER_MINUTE * 95
    }
}

fn called(stats: &Value) -> u64 {
    let calls = stats["calls"].as_object().into_iter().flatten();
    let of_touches = calls.filter(|(path, _)| path.ends_with("getrelation"));
    of_touches
        .filter_map(|(_, outcomes)| outcomes.as_object())
        .flat_map(|outcomes| outcomes.values())
        .filter_map(Value::as_u64)
        .sum()
}

fn spent_where_needed(context: &Context) -> Result<()> {
    // What fails holds calls back, and what is looked for here is that none is.
    let world = ["--promoters=60", "--faults=none", "--history=1m", "--touches-per-hour=1", "--orders-per-hour=1"];
    let simulator = context.simulator(&world)?;
    let config = |instance| config(context, instance, simulator.url());
    let one = context.connector("one", &config("one")?, &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let two = context.connector("two", &config("two")?, &[])?;
    two.wait_logged(OPEN, 1, BOUND)?;
    let three = context.connector("three", &config("three")?, &[])?;
    three.wait_logged(OPEN, 1, BOUND)?;
    let mut calls = Calls(Vec::new());
    calls.watch(&simulator, 4 * MINUTE, Calls::is_spent)?;
    for killed in [one, two] {
        killed.kill9()?;
        let since = Instant::now();
        calls.watch(&simulator, 4 * MINUTE, |calls| since.elapsed() > MINUTE + QUICK_SESSION && calls.is_spent())?;
    }
    three.must_run()
}

fn short_notes(context: &Context) -> Result<()> {
    let simulator = lively(context, "30s")?;
    let config = |instance| {
        let config = context.config_of(instance, simulator.url(), PROMOTERS, QUICK_GROUP);
        config.replace("promoters = [", "quota.getrelation.per_minute = 60000, promoters = [")
    };
    let one = context.connector("one", &config("one"), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let two = context.connector("two", &config("two"), &[])?;
    let without_room = "offset.metadata.max.bytes has no room";
    one.wait_logged(without_room, 1, BOUND)?;
    two.wait_logged(without_room, 1, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    for connector in [one, two] {
        connector.must_run()?;
        ensure!(connector.log()?.matches(without_room).count() == 1, "it is said once");
    }
    Ok(())
}

/// A killed member is missed by then.
const QUICK_SESSION: Duration = Duration::from_secs(5);

/// All promoters that are polled lie in one partition.
fn config(context: &Context, instance: &str, url: &str) -> Result<String> {
    let config = context.config_of(instance, url, 60, QUICK_GROUP);
    let keys = (1..=60).map(|number| format!("oSimulated{number:06}"));
    let is_crowded = |openid: &String| {
        Promoter::from_key(&format!("wx_simulated/{openid}")).is_ok_and(|key| Shard::of(&key, PARTITIONS) == Shard(1))
    };
    let crowd: Vec<String> = keys.filter(is_crowded).collect();
    let from = config.find("promoters = [").context("it names promoters")?;
    let to = from + config[from..].find(']').context("and ends")?;
    let quota = format!("quota.getrelation.per_minute = {PER_MINUTE}, promoters = {crowd:?}");
    let config = format!("{}{quota}{}", &config[..from], &config[to + 1..]);
    Ok(config
        .replace("feeds.orders = {", "feeds.orders = { enabled = false,")
        .replace("feeds.refunds = {", "feeds.refunds = { enabled = false,")
        .replace("start_from = \"earliest\"", "start_from = \"now\""))
}
