//! A consumer that is not ours (confluent-kafka with fastavro, read_committed) reads what the running connector wrote.

use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::world::{BOUND, PROMOTERS, SETTLE, TAKEN, lively};
use crate::harness::apicurio::Apicurio;
use crate::harness::case::Case;
use crate::harness::connector::BINARY;
use crate::harness::context::Context;
use crate::harness::facts;
use crate::harness::judge::{Verdict, judge};
use crate::harness::python::Python;
use crate::harness::wait::wait_until;

pub const CASES: &[Case] = &[
    Case::shared("elsewhere: confluent-kafka reads single objects", reads_single_objects).with(&[Python::available]),
    Case::shared("elsewhere: confluent-kafka reads through the registry", reads_through_the_registry)
        .with(&[Python::available, Apicurio::available]),
    Case::shared("elsewhere: confluent-kafka reads material, and Pillow opens the image", opens_the_image)
        .with(&[Python::available]),
    Case::shared(
        "elsewhere: confluent-kafka reads material through the registry",
        opens_the_image_through_the_registry,
    )
    .with(&[Python::available, Apicurio::available]),
];

fn reads_single_objects(context: &Context) -> Result<()> {
    read_by_others(context, None)
}

fn reads_through_the_registry(context: &Context) -> Result<()> {
    let apicurio = Apicurio::start().map_err(|error| anyhow!(error))?;
    read_by_others(context, Some(&apicurio.url()))
}

fn read_by_others(context: &Context, registry: Option<&str>) -> Result<()> {
    let simulator = lively(context, "4s")?;
    let more = registry.map(|url| format!("schema_registry.url = \"{url}\"")).unwrap_or_default();
    let connector = context.connector("one", &context.config(simulator.url(), PROMOTERS, &more), &[])?;
    let python = Python::prepare().map_err(|error| anyhow!(error))?;
    let topics = ["touches", "orders"].map(|topic| context.topics().name(topic));
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let mut last = Verdict::default();
    wait_until("others have read everything that was shown", SETTLE, || {
        connector.must_run()?;
        if simulator.stats()?["facts"]["settled"] != true {
            return Ok(None);
        }
        let records = python.consume(context.bootstrap(), &topics, registry).map_err(|error| anyhow!(error))?;
        let found: Result<Vec<_>> = records.iter().map(|record| facts::published(&record["value"])).collect();
        let is_event = |line: &&Value| line["kind"] != "dead_row";
        let shown: Result<Vec<_>> = simulator.truth()?.iter().filter(is_event).map(facts::shown).collect();
        last = judge(shown?, found?);
        Ok(last.is_exact().then_some(()))
    })
    .with_context(|| last.to_string())?;
    last.must_be_exact()
}

fn opens_the_image(context: &Context) -> Result<()> {
    material_by_others(context, None)
}

fn opens_the_image_through_the_registry(context: &Context) -> Result<()> {
    let apicurio = Apicurio::start().map_err(|error| anyhow!(error))?;
    material_by_others(context, Some(&apicurio.url()))
}

/// Asked by our command line, which goes through the same registry; read by nothing of ours.
fn material_by_others(context: &Context, registry: Option<&str>) -> Result<()> {
    let simulator = context.simulator(&["--promoters=1", "--faults=none"])?;
    let more = registry.map(|url| format!("schema_registry.url = \"{url}\"")).unwrap_or_default();
    let connector = context.connector("one", &context.config(simulator.url(), 1, &more), &[])?;
    connector.wait_logged(TAKEN, 1, BOUND)?;
    let mut command = Command::new(BINARY);
    command.args(["material", "request", "--app=wx_simulated", "--promoter=oSimulated000001", "--path=pages/index"]);
    let asked = command.arg("--config").arg(context.directory().join("one.toml")).output()?;
    ensure!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    ensure!(connector.terminate()?.success(), "it ends in order");

    let python = Python::prepare().map_err(|error| anyhow!(error))?;
    let results = context.topics().name("material.results");
    let records = python.consume(context.bootstrap(), &[&results], registry).map_err(|error| anyhow!(error))?;
    ensure!(records.len() == 1 && records[0]["key"] == "wx_simulated/oSimulated000001", "{records:?}");
    let reply = &records[0]["value"];
    ensure!(reply["status"] == "SUCCEEDED" && reply["qrcode_type"] == "image/png", "{reply}");
    let image = BASE64_STANDARD.decode(reply["qrcode"].as_str().context("bytes")?)?;
    let images = python.images(&[image]).map_err(|error| anyhow!(error))?;
    let at_least_one = |name: &str| images[0][name].as_u64() >= Some(1);
    ensure!(images[0]["format"] == "PNG" && at_least_one("width") && at_least_one("height"), "{images:?}");
    Ok(())
}
