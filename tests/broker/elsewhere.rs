//! A consumer that is not ours (confluent-kafka with fastavro, read_committed) reads what the running connector wrote.

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use super::world::{PROMOTERS, SETTLE, lively};
use crate::harness::apicurio::Apicurio;
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::facts;
use crate::harness::judge::{Verdict, judge};
use crate::harness::python::Python;
use crate::harness::wait::wait_until;

pub const CASES: &[Case] = &[
    Case::shared("elsewhere: confluent-kafka reads single objects", reads_single_objects).with(&[Python::available]),
    Case::shared("elsewhere: confluent-kafka reads through the registry", reads_through_the_registry)
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
