//! `explain`, of promoters who stand still for each reason there is.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Answer, answer};
use crate::broker::world::{BOUND, PROMOTERS, QUICK_GROUP, SETTLE, lively};
use crate::harness::admin_port::{AdminPort, opened};
use crate::harness::connector::Connector;
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

const FIRST: &str = "wx_simulated/oSimulated000001";
const SECOND: &str = "wx_simulated/oSimulated000002";

fn explain(context: &Context, config: &str, promoter: &str, port: &str) -> Result<Answer> {
    answer(context, config, &["explain", promoter, "--json", "--at", port])?.must_end_with(0)
}

/// Until `is_it` of what is explained.
fn explained(
    context: &Context,
    config: &str,
    (promoter, port): (&str, &str),
    is_it: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let what = format!("{promoter} is explained as it should be");
    wait_until(&what, BOUND, || Ok(Some(explain(context, config, promoter, port)?.json()?).filter(|told| is_it(told))))
}

fn has_line(told: &Value, words: &str) -> bool {
    told["lines"].as_array().into_iter().flatten().any(|line| line["text"].as_str().is_some_and(|t| t.contains(words)))
}

fn feeds(told: &Value) -> &[Value] {
    told["feeds"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn port_of(connector: &Connector) -> Result<String> {
    Ok(AdminPort::of(connector)?.address().to_owned())
}

pub fn each_reason(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let config = opened(&context.config(simulator.url(), PROMOTERS, QUICK_GROUP));
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    let port = port_of(&connector)?;
    let told = explained(context, &config, (FIRST, &port), |told| {
        feeds(told).iter().filter(|feed| feed["state"] == "on_time").count() == 3
    })?;
    ensure!(told["place"] == "here" && told["instance"] == "one", "{told}");
    ensure!(feeds(&told).iter().all(|feed| feed["read_to"].is_string()), "{told}");
    ensure!(told["sources"] == serde_json::json!(["configuration"]) && told["paused_by"].is_null(), "{told}");

    answer(context, &config, &["promoters", "pause", "oSimulated000002"])?.must_end_with(0)?;
    let told = explained(context, &config, (SECOND, &port), |told| {
        told["paused_by"] == "registry" && feeds(told).iter().all(|feed| feed["state"].is_null())
    })?;
    ensure!(told["place"] == "here" && feeds(&told).len() == 3, "{told}");
    ensure!(feeds(&told).iter().all(|feed| feed["complete_before"].is_string()), "{told}");
    let told = explain(context, &config, "wx_simulated/oStranger", &port)?.json()?;
    ensure!(
        told["sources"] == serde_json::json!([]) && has_line(&told, "promoters add wx_simulated/oStranger"),
        "{told}"
    );
    let refused = answer(context, &config, &["explain", "wx_other/o1", "--at", &port])?.must_end_with(2)?;
    ensure!(refused.told.contains("wx_other is none of the configured apps"), "{}", refused.told);

    ensure!(connector.terminate()?.success(), "it ends in order");
    let without = explain(context, &config, FIRST, &port)?;
    ensure!(without.told.contains(&format!("no instance tells: {port} can't be reached")), "{}", without.told);
    ensure!(["untold", "nobody"].contains(&without.json()?["place"].as_str().unwrap_or_default()), "{}", without.shown);
    // The group keeps a member of a fixed name for its session.
    let told = explained(context, &config, (FIRST, &port), |told| told["place"] == "nobody")?;
    ensure!(feeds(&told).len() == 3, "{told}");
    ensure!(feeds(&told).iter().all(|feed| feed["complete_before"].is_string()), "{told}");
    stopped_and_parked(context, &config)
}

fn stopped_and_parked(context: &Context, config: &str) -> Result<()> {
    let wrong = config.replace("simulated-secret", "wrong-secret");
    ensure!(wrong != config, "there is a secret to be wrong");
    // Each in a log of its own, which tells where it listens.
    let connector = context.connector("stopped", &wrong, &[])?;
    let port = port_of(&connector)?;
    let told = explained(context, &wrong, (FIRST, &port), |told| {
        // While a probe is under way there is no next one.
        let is_stopped = has_line(told, "app_stopped_credentials since") && has_line(told, "next try");
        told["place"] == "here" && told["causes"][0]["code"] == "app_stopped_credentials" && is_stopped
    })?;
    ensure!(feeds(&told).len() == 3, "{told}");
    // The one before has read all of them, and this one nothing.
    ensure!(feeds(&told).iter().all(|feed| feed["read_to"].is_null()), "{told}");
    ensure!(has_line(&told, "touches: not read yet since this instance polls it"), "{told}");
    let text = answer(context, &wrong, &["explain", FIRST, "--at", &port])?.must_end_with(0)?.shown;
    ensure!(text.contains("✗ app_stopped_credentials") && text.contains("nothing is lost by waiting"), "{text}");
    ensure!(connector.terminate()?.success(), "it ends in order");

    let refusing = context.simulator(&["--promoters=12", "--faults=none", "--fault=parked=1", "--spell=1h"])?;
    let config = opened(&context.config(refusing.url(), PROMOTERS, ""));
    let connector = context.connector("parked", &config, &[])?;
    let port = port_of(&connector)?;
    let told =
        explained(context, &config, (FIRST, &port), |told| feeds(told).iter().any(|feed| feed["state"] == "parked"))?;
    let parked = feeds(&told).iter().find(|feed| feed["state"] == "parked").context("one is parked")?;
    ensure!(parked["errcode"].is_i64() && parked["next_try"].is_string(), "{told}");
    ensure!(has_line(&told, "parked, for the upstream refused it for good"), "{told}");
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}
