//! What the connector tells of itself, while it really runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use super::world::{BOUND, PROMOTERS, SETTLE, lively};
use crate::harness::admin_port::{AdminPort, opened};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::service_manager::ServiceManager;
use crate::harness::wait::wait_until;

mod changes;

const DOCUMENTATION: &str = include_str!("../../docs/metrics.md");
const PREFIX: &str = "promoter_connector_";

pub const CASES: &[Case] = &[
    Case::shared("admin: metrics and status tell what was published, under documented names", what_happens_is_told),
    Case::shared(
        "admin: whoever shows the token pauses, resumes and rewinds a promoter, exactly, and nobody else does",
        changes::by_whoever_shows_the_token,
    ),
    Case::own("admin: kafka away at the start ends nothing, and is told until it is back", kafka_is_away_at_the_start),
];

/// A series: its name, and its labels.
type Series = (String, BTreeMap<String, String>);

fn what_happens_is_told(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let config = opened(&context.config(simulator.url(), PROMOTERS, ""));
    let manager = ServiceManager::listen(context.directory())?;
    let environment = manager.environment(Duration::from_secs(60));
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let connector = context.connector("one", &config, &environment)?;
    let port = AdminPort::of(&connector)?;
    context.settle(&simulator, SETTLE)?;
    let published = context.published()?.len() as f64;
    let series = wait_until("all that is published is counted", BOUND, || {
        let series = scrape(&port)?;
        let is_counted = |(name, labels): &Series| {
            name == "rows_total" && ["published", "dead_letter"].contains(&labels["fate"].as_str())
        };
        let counted: f64 = series.iter().filter(|(series, _)| is_counted(series)).map(|(_, value)| value).sum();
        Ok((counted == published).then_some(series))
    })?;
    must_be_documented(&series)?;
    let told = |name: &str, labels: &[(&str, &str)]| value(&series, name, labels).with_context(|| format!("no {name}"));
    ensure!(told("partitions_owned", &[("state", "polling")])? == 3.0 && told("partitions", &[])? == 3.0);
    ensure!(
        told("kafka_up", &[("pipeline", "polls")])? == 1.0 && told("kafka_up", &[("pipeline", "requests")])? == 1.0
    );
    ensure!(told("upstream_calls_total", &[("interface", "getorder"), ("class", "ok")])? > 0.0);
    ensure!(told("polls_total", &[("feed", "touches"), ("outcome", "complete")])? > 0.0);
    ensure!(told("fact_age_seconds_count", &[("feed", "touches")])? > 0.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    wait_until("everybody is on time", BOUND, || {
        let series = scrape(&port)?;
        let on_time = value(&series, "promoters", &[("feed", "touches"), ("state", "on_time")]);
        let oldest = value(&series, "feed_oldest_complete_timestamp_seconds", &[("feed", "touches")]);
        Ok((on_time == Some(PROMOTERS as f64) && oldest.is_some_and(|oldest| oldest > now - 60.0)).then_some(()))
    })?;
    ensure!(port.get("/ready")?.0 == 200 && port.get("/live")?.0 == 200);
    // The same, told to a service manager.
    manager.wait_told("READY=1", 1, BOUND)?;
    manager.wait_told("WATCHDOG=1", 1, BOUND)?;
    manager.wait_told("STATUS=well", 1, BOUND)?;
    ensure!(manager.heard()?.iter().filter(|line| *line == "READY=1").count() == 1, "it is ready once");
    status_and_page(context, &port)?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    manager.wait_told("STOPPING=1", 1, BOUND)
}

fn status_and_page(context: &Context, port: &AdminPort) -> Result<()> {
    let (_, status) = port.json("/api/v1/status")?;
    ensure!(status["name"] == context.topics().prefix() && status["partitions"]["polling"] == 3, "{status}");
    let (_, promoters) = port.json("/api/v1/promoters?feed=orders&limit=2")?;
    ensure!(promoters["feeds"].as_array().is_some_and(|feeds| feeds.len() == 2), "{promoters}");
    let next = promoters["next"].as_str().context("there are more")?;
    let (_, further) = port.json(&format!("/api/v1/promoters?feed=orders&after={next}"))?;
    ensure!(further["feeds"].as_array().is_some_and(|feeds| feeds.len() == PROMOTERS - 2), "{further}");
    let (_, one) = port.json("/api/v1/promoters/wx_simulated/oSimulated000001")?;
    ensure!(one["feeds"].as_array().is_some_and(|feeds| feeds.len() == 3), "{one}");
    ensure!(port.get("/api/v1/promoters?app=wx_other")?.0 == 400, "an app that is not configured");
    ensure!(port.get("/api/v1/promoters/wx_other/o1")?.0 == 404 && port.get("/api/v1/promoters?feed=x")?.0 == 400);
    let (code, page) = port.get("/")?;
    ensure!(code == 200 && page.contains("<table>") && page.contains("wx_simulated"), "{page}");
    let (code, page) = port.get("/promoter?key=wx_simulated/oSimulated000001")?;
    ensure!(code == 200 && page.contains("is owned by one"), "{page}");
    Ok(())
}

fn kafka_is_away_at_the_start(context: &Context) -> Result<()> {
    context.broker().kill()?;
    let simulator = lively(context, "2s")?;
    let config = opened(&context.config(simulator.url(), PROMOTERS, ""));
    let connector = context.connector("one", &config, &[])?;
    let port = AdminPort::of(&connector)?;
    wait_until("it says that it can't open its log", BOUND, || {
        let (status, ready) = port.json("/ready")?;
        ensure!(status == 503 && port.get("/live")?.0 == 200, "{ready}");
        let (_, told) = port.json("/api/v1/status")?;
        let is_cause = told["causes"].as_array().into_iter().flatten().any(|cause| cause["code"] == "log_not_open");
        ensure!(value(&scrape(&port)?, "kafka_up", &[("pipeline", "polls")]) == Some(0.0));
        Ok((is_cause && ready["reasons"].to_string().contains("bootstrap.servers")).then_some(()))
    })?;
    connector.wait_logged("kafka does not answer", 1, BOUND)?;
    context.broker().restart()?;
    context.settle(&simulator, SETTLE)?;
    connector.wait_logged("kafka answers again", 1, BOUND)?;
    wait_until("it is ready and well", BOUND, || {
        let is_well = port.json("/api/v1/status")?.1["state"] == "well";
        Ok((is_well && port.get("/ready")?.0 == 200).then_some(()))
    })?;
    connector.must_run()
}

/// What is told of the connector's own, without the prefix.
fn scrape(port: &AdminPort) -> Result<Vec<(Series, f64)>> {
    let duration = Duration::from_millis(500);
    let began = SystemTime::now();
    let (status, text) = port.get("/metrics")?;
    ensure!(status == 200 && text.ends_with("# EOF\n"), "{text}");
    ensure!(began.elapsed().is_ok_and(|took| took < duration), "a look takes too long");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| series(line).with_context(|| format!("{line:?} is no sample"))).collect()
}

fn series(line: &str) -> Option<(Series, f64)> {
    let (series, value) = line.strip_prefix(PREFIX)?.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}')?.split(',').filter(|label| !label.is_empty());
    let label = |label: &str| {
        let (name, value) = label.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    Some(((name.to_owned(), labels.map(label).collect::<Option<_>>()?), value.parse().ok()?))
}

/// Of the first series of that name with these labels, whatever others it has.
fn value(series: &[(Series, f64)], name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
    let has = |labels: &BTreeMap<String, String>| {
        wanted.iter().all(|(label, value)| labels.get(*label).is_some_and(|told| told == value))
    };
    series.iter().find(|((told, labels), _)| told == name && has(labels)).map(|(_, value)| *value)
}

/// Every name, label and value of a label stands in the documentation.
fn must_be_documented(series: &[(Series, f64)]) -> Result<()> {
    for ((name, labels), _) in series {
        let row =
            DOCUMENTATION.lines().find(|line| row_is_of(line, name)).with_context(|| format!("{name} is not known"))?;
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let known: BTreeMap<&str, BTreeSet<&str>> = columns[3]
            .split(", ")
            .map(|label| label.split_once(": ").unwrap_or((label, "")))
            .map(|(label, values)| (label, values.split(' ').filter(|value| !value.is_empty()).collect()))
            .collect();
        for (label, value) in labels.iter().filter(|(label, _)| *label != "le") {
            let values = known.get(label.as_str()).with_context(|| format!("{name} has an unknown label {label}"))?;
            ensure!(values.is_empty() || values.contains(value.as_str()), "{name} has an unknown {label}: {value}");
            ensure!(!value.contains("oSimulated"), "{name} tells a promoter");
        }
    }
    Ok(())
}

fn row_is_of(row: &str, name: &str) -> bool {
    let Some(documented) = row.strip_prefix("| `").and_then(|row| row.split('`').next()) else { return false };
    let suffix = name.strip_prefix(documented);
    suffix.is_some_and(|suffix| ["", "_total", "_bucket", "_sum", "_count"].contains(&suffix))
}
