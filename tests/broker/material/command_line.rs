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
    let output = ask(&["--promoter", "oSimulated000001", "--out", "qrcode.png", "--json"])?;
    ensure!(output.status.success(), "it succeeds: {}", String::from_utf8_lossy(&output.stderr));
    let reply: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    ensure!(reply["status"] == "SUCCEEDED" && reply["promoter_openid"] == "oSimulated000001", "the reply: {reply}");
    ensure!(std::fs::read(directory.join("qrcode.png"))?.starts_with(b"\x89PNG"), "the image is there");

    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let unread = command(&["--promoter", "oSimulated000001"]).stdout(writer).output()?;
    ensure!(unread.status.success(), "nobody reads the reply: {}", String::from_utf8_lossy(&unread.stderr));

    let output = ask(&["--promoter", "oSimulated000001", "--share-type", "1"])?;
    let stdout = String::from_utf8(output.stdout)?;
    ensure!(stdout.contains("short link") && stdout.contains("expires") && !stdout.contains("QR code"), "{stdout}");

    let output = ask(&["--promoter", "oSimulated000001", "--share-type", "1", "--out", "none.png"])?;
    let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.code() == Some(1) && stdout.contains("short link"), "not all that was asked for: {stdout}");
    ensure!(stderr.contains("the reply holds no QR code") && !directory.join("none.png").exists(), "{stderr}");

    let output = ask(&["--promoter", "oSimulated000001", "--out", "missing/qrcode.png"])?;
    let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.code() == Some(1) && stderr.contains("missing/qrcode.png can't be written"), "{stderr}");
    ensure!(stdout.contains("short link") && stdout.contains("in base64: iVBORw0KGgo"), "nothing is lost: {stdout}");

    let output = ask(&["--promoter", "oSimulated000001", "--title", "a title that is too long"])?;
    ensure!(output.status.code() == Some(1), "a refusal is told by 1");
    let stderr = String::from_utf8(output.stderr)?;
    ensure!(stderr.contains("REJECTED: title has 24 bytes of UTF-8, 20 are allowed"), "{stderr}");
    connector.must_run()
}
