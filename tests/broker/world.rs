//! The upstream that most cases poll: lively enough that every page brings something to lose or to double, and quiet
//! in time to be judged.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rdkafka::ClientConfig;

use crate::harness::client;
use crate::harness::connector::{BINARY, Connector};
use crate::harness::consumer::high_watermarks;
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

/// As many as give each of three partitions one that is not quiet.
pub const PROMOTERS: usize = 12;
/// For anything that a running connector does within moments on an idle machine.
pub const BOUND: Duration = Duration::from_secs(60);
/// From the last fact or fault of the world to its last event on Kafka.
pub const SETTLE: Duration = Duration::from_secs(300);
/// What the log says once the state is read and polling begins.
pub const OPEN: &str = "log is open, polling begins";

/// What the log says once requests for material are answered, which comes after [`OPEN`] or before it.
pub const TAKEN: &str = "requests for material are taken";

/// What the log says where there is no ledger of days.
pub const NO_LEDGER: &str = "no ledger is kept";

/// Late rows, edits, refunds, duplicates and moving pages, all within seconds; faults that pass.
const LIVELY: &[&str] = &[
    "--promoters=12",
    "--history=10m",
    "--touches-per-hour=600",
    "--orders-per-hour=150",
    "--late-max=4s",
    "--moving=3s",
    "--refund-within=5s",
    "--edit-every=5s",
    "--page-rows=40",
    "--dead-rows=0.02",
    // Of each page one in twenty begins with the last row of the one before, and its pull is read three times.
    "--duplicates=0.005",
    "--latency=10ms",
    "--spell=2s",
];

/// Many small transactions, so that whatever is done to the connector is done within one.
pub const SMALL_TRANSACTIONS: &str = r#"commit = { linger = "2ms", events_max = 30 }"#;

/// A member that is gone is missed soon.
pub const QUICK_GROUP: &str = r#"
kafka."session.timeout.ms" = 3000
kafka."heartbeat.interval.ms" = 500
"#;

/// A consumer that shares things out with the instances in `group`, and is missed as soon as one of [`QUICK_GROUP`]. It takes part
/// as long as it is polled.
pub fn member_config(context: &Context, group: &str) -> ClientConfig {
    let mut config = client::config(context.bootstrap());
    config
        .set("group.id", group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "3000")
        .set("heartbeat.interval.ms", "500")
        .set("enable.auto.commit", "false");
    config
}

/// A lively world that falls quiet after `quiet_after`, such as "8s".
pub fn lively(context: &Context, quiet_after: &str) -> Result<Simulator> {
    let quiet_after = format!("--quiet-after={quiet_after}");
    let mut arguments = LIVELY.to_vec();
    arguments.push(&quiet_after);
    context.simulator(&arguments)
}

/// Two instances with `more` settings, the first of which has published orders before the second has its part.
pub fn two_instances(context: &Context, simulator: &Simulator, more: &str) -> Result<[Connector; 2]> {
    let config = |instance| context.config_of(instance, simulator.url(), PROMOTERS, more);
    let one = context.connector("one", &config("one"), &[])?;
    wait_for_records(context, &one, "orders", 1)?;
    let two = context.connector("two", &config("two"), &[])?;
    two.wait_logged(OPEN, 1, BOUND)?;
    Ok([one, two])
}

/// Waits until `topic` (named without its prefix) has grown to `records` places, markers of transactions among them.
pub fn wait_for_records(context: &Context, connector: &Connector, topic: &str, records: i64) -> Result<i64> {
    let topic = context.topics().name(topic);
    wait_until(&format!("{topic} holds {records} records"), BOUND, || {
        connector.must_run()?;
        // No topic yet, or one without leaders, holds nothing.
        let written = high_watermarks(context.bootstrap(), &topic).map_or(0, |ends| ends.values().sum());
        Ok((written >= records).then_some(written))
    })
}

/// A request for material from the command line gets its reply from this connector, whether the upstream gave the material
/// or refused it. It asks as the instance "one" is configured.
pub fn asking_is_answered(context: &Context, connector: &Connector) -> Result<()> {
    connector.wait_logged(TAKEN, 1, BOUND)?;
    let asked = Command::new(BINARY)
        .args(["material", "request", "--app", "wx_simulated", "--promoter", "oSimulated000001"])
        .args(["--path", "pages/index", "--timeout", "60s", "--config"])
        .arg(context.directory().join("one.toml"))
        .output()
        .context("the command does not start")?;
    let told = String::from_utf8_lossy(&asked.stderr);
    ensure!(asked.status.success() || told.contains("FAILED"), "the request is answered: {told}");
    Ok(())
}

/// A world whose days have closed: a hundred hours of a few facts each, with faults that pass.
pub fn of_days(context: &Context) -> Result<Simulator> {
    context.simulator(&[
        "--promoters=12",
        "--history=100h",
        "--touches-per-hour=1",
        "--orders-per-hour=0.5",
        "--refund-within=10h",
        "--late-max=4s",
        "--dead-rows=0.02",
        "--latency=10ms",
        "--spell=2s",
        "--quiet-after=2s",
    ])
}

/// The configuration of a connector in it, whose orders and refunds are complete within hours.
pub fn config_of_days(context: &Context, simulator: &Simulator, more: &str) -> String {
    let config = context.config(simulator.url(), PROMOTERS, more);
    let orders = r#"feeds.orders = { every = "500ms", "#;
    let refunds = r#"feeds.refunds = { every = "1s", "#;
    config
        .replace(orders, &format!(r#"{orders}lateness = "1h", "#))
        .replace(refunds, &format!(r#"{refunds}lateness = "1h", "#))
}

/// The day in Beijing that was so many days ago, such as `2026-11-24`.
pub fn days_ago(days: i64) -> Result<String> {
    let now = jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(24 * days))?;
    Ok(jiff::tz::Offset::constant(8).to_datetime(now).date().to_string())
}
