//! Writes what was planned, and shows on a terminal how far that has come.

use anyhow::Context;

use super::progress::WriteProgress;
use crate::avro::framing::Framing;
use crate::changes;
use crate::changes::change_plan::ChangePlan;
use crate::changes::registry_view::RegistryView;
use crate::cli::Failure;
use crate::{app, cli};

/// Blocks until all of `plan` is acknowledged.
///
/// # Errors
/// As [`changes::write::write`].
pub fn write(view: &RegistryView, plan: &ChangePlan) -> Result<(), Failure> {
    let progress = WriteProgress::of(plan.writes.len());
    Ok(changes::write::write(view, plan, || framing(view), |written| progress.written(written))?)
}

/// The schema is registered under the topic's subject, where there is a registry for schemas.
///
/// # Errors
/// Where the schema registry does not answer in time, or refuses the schema.
fn framing(view: &RegistryView) -> anyhow::Result<Framing> {
    let (settings, topic) = (view.settings.schema_registry.clone(), &view.settings.kafka.topics.registry);
    let framing = async { tokio::time::timeout_at(view.until.into(), app::promoter_framing(settings, topic)).await };
    cli::runtime()?.block_on(framing).context("the schema registry gives no answer")?
}
