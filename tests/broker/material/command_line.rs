//! `material request` against a connector that runs.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{config, prepare};
use crate::harness::connector::BINARY;
use crate::harness::context::Context;

/// Where requests and replies stand, and nothing else.
fn requester_config(context: &Context) -> Result<String> {
    let requests = context.topics().name("material.requests");
    let prefix = requests.strip_suffix(".material.requests").context("the prefix of the topics")?;
    let bootstrap = context.bootstrap();
    Ok(format!("[kafka]\n\"bootstrap.servers\" = \"{bootstrap}\"\n[topics]\nprefix = \"{prefix}\"\n"))
}

pub fn asks_and_shows_the_reply(context: &Context) -> Result<()> {
    let simulator = prepare(context, "100ms")?;
    let connector = context.connector("one", &config(context, "one", &simulator, ""), &[])?;
    let directory = context.directory();
    // Whoever asks needs no app's secret, and none of what else a connector is told.
    std::fs::write(directory.join("requester.toml"), requester_config(context)?)?;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["material", "request", "--app", "wx_simulated", "--path", "pages/index", "--timeout", "60s"]);
        command.arg("--config").arg(directory.join("requester.toml")).args(arguments).current_dir(directory);
        command
    };
    let ask = |arguments: &[&str]| command(arguments).output().context("the command does not start");
    let asked = ask(&["--promoter", "oSimulated000001", "--out", "qrcode.png", "--json"])?;
    ensure!(asked.status.success(), "it succeeds: {}", String::from_utf8_lossy(&asked.stderr));
    let reply: serde_json::Value = serde_json::from_slice(&asked.stdout)?;
    ensure!(reply["status"] == "SUCCEEDED" && reply["promoter_openid"] == "oSimulated000001", "the reply: {reply}");
    ensure!(std::fs::read(directory.join("qrcode.png"))?.starts_with(b"\x89PNG"), "the image is there");

    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let unread = command(&["--promoter", "oSimulated000001"]).stdout(writer).output()?;
    ensure!(unread.status.success(), "nobody reads the reply: {}", String::from_utf8_lossy(&unread.stderr));

    let asked = ask(&["--promoter", "oSimulated000001", "--share-type", "1"])?;
    let shown = String::from_utf8(asked.stdout)?;
    ensure!(shown.contains("short link") && shown.contains("expires") && !shown.contains("QR code"), "{shown}");

    let asked = ask(&["--promoter", "oSimulated000001", "--share-type", "1", "--out", "none.png"])?;
    let (shown, told) = (String::from_utf8(asked.stdout)?, String::from_utf8(asked.stderr)?);
    ensure!(asked.status.code() == Some(1) && shown.contains("short link"), "not all that was asked for: {shown}");
    ensure!(told.contains("the reply holds no QR code") && !directory.join("none.png").exists(), "{told}");

    let asked = ask(&["--promoter", "oSimulated000001", "--out", "missing/qrcode.png"])?;
    let (shown, told) = (String::from_utf8(asked.stdout)?, String::from_utf8(asked.stderr)?);
    ensure!(asked.status.code() == Some(1) && told.contains("missing/qrcode.png can't be written"), "{told}");
    ensure!(shown.contains("short link") && shown.contains("in base64: iVBORw0KGgo"), "nothing is lost: {shown}");

    let asked = ask(&["--promoter", "oSimulated000001", "--title", "a title that is too long"])?;
    ensure!(asked.status.code() == Some(1), "a refusal is told by 1");
    let told = String::from_utf8(asked.stderr)?;
    ensure!(told.contains("REJECTED: title has 24 bytes of UTF-8, 20 are allowed"), "{told}");
    connector.must_run()
}
