//! Secrets that are changed in their files while the connector runs.

use std::fs;

use anyhow::{Result, ensure};

use super::world::{BOUND, OPEN, PROMOTERS, SETTLE, lively, wait_for_records};
use crate::harness::admin_port::{AdminPort, opened};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

const IN_FILE: &str = "secret_file = \"wx-secret\"";

pub const CASES: &[Case] = &[
    Case::shared("secrets: a wrong one stops its app until the file is corrected, without a restart", a_wrong_one),
    Case::shared("secrets: a signal has one read again, and names what wants a restart", by_a_signal),
];

fn a_wrong_one(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let file = context.directory().join("wx-secret");
    fs::write(&file, "wrong\n")?;
    let config = context.config(simulator.url(), PROMOTERS, "").replace("secret = \"simulated-secret\"", IN_FILE);
    ensure!(config.contains(IN_FILE), "{config}");
    let connector = context.connector("one", &opened(&config), &[])?;
    let port = AdminPort::of(&connector)?;
    wait_until("the app is stopped for its credentials", BOUND, || {
        let (_, status) = port.json("/api/v1/status")?;
        let is_cause = |cause: &serde_json::Value| cause["code"] == "app_stopped_credentials";
        Ok(status["causes"].as_array().into_iter().flatten().any(is_cause).then_some(()))
    })?;
    ensure!(context.published()?.is_empty(), "nothing can have been polled");
    fs::remove_file(&file)?;
    connector.wait_logged("the app's secret can't be read again from its file", 1, BOUND)?;
    fs::write(&file, "simulated-secret\n")?;
    connector.wait_logged("app is served again", 1, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    wait_until("nothing is wrong any more", BOUND, || {
        Ok((port.json("/api/v1/status")?.1["state"] == "well").then_some(()))
    })?;
    let log = connector.log()?;
    ensure!(
        log.matches(OPEN).count() == 1 && !log.contains("simulated-secret"),
        "nothing began anew, and none is shown"
    );
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}

fn by_a_signal(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let place = |name: &str| context.directory().join(name);
    fs::write(place("wx-secret"), "simulated-secret\n")?;
    fs::write(place("key"), "0123456789 abcdef")?;
    let records = "records = { user_ids = \"hmac-sha256\", user_ids_key_file = \"key\" }";
    let config = context.config(simulator.url(), PROMOTERS, records).replace("secret = \"simulated-secret\"", IN_FILE);
    let connector = context.connector("one", &config, &[])?;
    wait_for_records(context, &connector, "touches", 1)?;
    // The token that it has is good for two hours: what stands in the file is asked for when there is another.
    fs::write(place("wx-secret"), "Ch4nged\n")?;
    fs::write(place("key"), "Ch4nged 0123456789")?;
    connector.hang_up()?;
    connector.wait_logged("a secret was read again from its file", 1, BOUND)?;
    connector.wait_logged("settings have changed that act only after a restart", 1, BOUND)?;
    let log = connector.log()?;
    ensure!(log.contains("apps[wx_simulated].secret_file") && log.contains("records.user_ids_key_file"), "{log}");
    ensure!(!log.contains("Ch4nged"), "no secret is shown");
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}
