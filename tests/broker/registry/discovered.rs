//! Promoters that the upstream's list names while an instance runs.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::broker::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP};
use crate::harness::connector::BINARY;
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

const DISCOVERED: &str = "promoters are discovered";
/// Nothing goes wrong in it, for a list that can't be read is asked for again only after a minute.
const WORLD: &[&str] =
    &["--promoters=12", "--history=10m", "--touches-per-hour=600", "--orders-per-hour=10", "--faults=none"];

/// One instance that knows one promoter from its configuration, and all the others by the list.
pub fn are_polled_and_stay_removed(context: &Context) -> Result<()> {
    let simulator = context.simulator(WORLD)?;
    let configured = r#"promoters = ["oSimulated000001"]"#;
    let discovering = format!("{configured}, discover = \"1m\"");
    let config = context.config(simulator.url(), 1, QUICK_GROUP).replacen(configured, &discovering, 1);
    let one = context.connector("one", &config, &[])?;
    one.wait_logged(DISCOVERED, 1, BOUND)?;
    let removed = wait_until("promoters that were found are polled", BOUND, || {
        Ok(published(context)?.into_iter().find(|id| id != "oSimulated000001"))
    })?;
    let counts = discovered(context, &["--dry-run"])?;
    ensure!(counts["unchanged"] == PROMOTERS && counts["found"] == 0, "the same rules on the command line: {counts}");
    beside_an_app_without_an_answer(context, &config)?;

    shown(context, &["remove", &format!("wx_simulated/{removed}")])?;
    let counts = discovered(context, &[])?;
    ensure!(counts["kept_removed"] == 1, "{counts}");
    ensure!(one.terminate()?.success(), "it ends in order");
    let before = events_of(context, &removed)?;
    let lists_read = lists_read(&simulator)?;
    let two = context.connector("two", &config, &[])?;
    two.wait_logged(OPEN, 1, BOUND)?;
    // Two pages are one list.
    wait_until("the list is read again", BOUND, || {
        two.must_run()?;
        Ok((self::lists_read(&simulator)? >= lists_read + 2).then_some(()))
    })?;
    let counts = discovered(context, &[])?;
    ensure!(counts["kept_removed"] == 1 && counts["found"] == 0, "{counts}");
    let list = shown(context, &["list", "--json"])?;
    ensure!(!list.contains(&removed) && list.lines().count() == PROMOTERS - 1, "{list}");
    ensure!(events_of(context, &removed)? == before, "whoever was removed is not polled");
    two.must_run()
}

/// The other app's list is told all the same.
fn beside_an_app_without_an_answer(context: &Context, config: &str) -> Result<()> {
    let dead = "apps = [\n    { app_id = \"wx_dead\", secret = \"s\", base_url = \"http://127.0.0.1:9\", promoters = [\"oX\"] },";
    std::fs::write(context.directory().join("dead.toml"), config.replacen("apps = [", dead, 1))?;
    let output = Command::new(BINARY)
        .args(["promoters", "discover", "--dry-run", "--json", "--config", "dead.toml", "--timeout", "5s"])
        .current_dir(context.directory())
        .output()?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stderr)))?;
    let (dead, alive) = (&report["apps"][0], &report["apps"][1]);
    let told = dead["error"].as_str().is_some_and(|error| error.starts_with("no answer within 5s"));
    ensure!(told && alive["error"].is_null() && alive["unchanged"] == PROMOTERS, "{report}");
    ensure!(output.status.code() == Some(1), "{}", output.status);
    Ok(())
}

/// Whose touches are published.
fn published(context: &Context) -> Result<BTreeSet<String>> {
    let events = context.decoded("touches")?;
    Ok(events.iter().filter_map(|event| Some(event["promoter_openid"].as_str()?.to_owned())).collect())
}

fn events_of(context: &Context, id: &str) -> Result<usize> {
    Ok(context.decoded("touches")?.iter().filter(|event| event["promoter_openid"] == id).count())
}

fn lists_read(simulator: &Simulator) -> Result<u64> {
    let stats = simulator.stats()?;
    let calls = &stats["calls"]["/promoter/getpromoter"];
    Ok(calls.as_object().map_or(0, |outcomes| outcomes.values().filter_map(Value::as_u64).sum()))
}

fn shown(context: &Context, arguments: &[&str]) -> Result<String> {
    let output = Command::new(BINARY)
        .arg("promoters")
        .args(arguments)
        .args(["--config", "one.toml", "--timeout", "60s"])
        .current_dir(context.directory())
        .output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What `promoters discover` has done for the one app.
fn discovered(context: &Context, arguments: &[&str]) -> Result<Value> {
    let shown = shown(context, &[&["discover", "--json"], arguments].concat())?;
    let report: Value = serde_json::from_str(&shown)?;
    Ok(report["apps"].get(0).context("one app")?.clone())
}
