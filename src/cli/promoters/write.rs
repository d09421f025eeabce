//! Writes what was planned.

use anyhow::Context;

use super::plan::{ChangePlan, PlannedWrite};
use super::progress::WriteProgress;
use super::registry_view::RegistryView;
use crate::avro::framing::Framing;
use crate::avro::promoter::PromoterEncoder;
use crate::kafka::registry_topic::writer::RegistryWriter;
use crate::{app, cli};

/// How many records are put between two looks at how many are taken.
const LOOK_EVERY: usize = 1_000;

/// Blocks until all of `plan` is acknowledged.
///
/// # Errors
/// Where that does not come about in the view's time; the text then says how many records are written.
pub fn write(view: &RegistryView, plan: &ChangePlan) -> anyhow::Result<()> {
    if plan.writes.is_empty() {
        return Ok(());
    }
    let encoder = PromoterEncoder::new(framing(view)?);
    let mut writer = RegistryWriter::open(&view.config.kafka, encoder, view.partitions, view.until)?;
    write_all(&mut writer, &plan.writes).with_context(|| {
        let (written, all) = (writer.acknowledged(), plan.writes.len());
        format!("{written} of {all} records are known to be written; the same command again writes what is missing")
    })
}

/// The schema is registered under the topic's subject, where there is a registry for schemas.
///
/// # Errors
/// Where the schema registry does not answer in time, or refuses the schema.
fn framing(view: &RegistryView) -> anyhow::Result<Framing> {
    let (settings, topic) = (view.config.schema_registry.clone(), &view.config.kafka.topics.registry);
    let framing = async { tokio::time::timeout_at(view.until.into(), app::promoter_framing(settings, topic)).await };
    cli::runtime()?.block_on(framing).context("the schema registry gives no answer")?
}

/// # Errors
/// As [`RegistryWriter::put`] and [`RegistryWriter::finish`]: some of the writes may be there.
fn write_all(writer: &mut RegistryWriter, writes: &[PlannedWrite]) -> anyhow::Result<()> {
    let (progress, now) = (WriteProgress::of(writes.len()), crate::clock::now());
    for (index, (promoter, content)) in writes.iter().enumerate() {
        writer.put(promoter, content, now)?;
        if index % LOOK_EVERY == 0 {
            progress.written(writer.acknowledged());
        }
    }
    writer.finish(writes.len() as u64, |written| progress.written(written))?;
    Ok(())
}
