//! Writes what was planned.

use anyhow::Context;

use super::ChangeError;
use super::change_plan::{ChangePlan, PlannedWrite};
use super::overwritten::overwritten;
use super::registry_view::RegistryView;
use crate::avro::framing::Framing;
use crate::avro::promoter::PromoterEncoder;
use crate::kafka::registry_topic::writer::RegistryWriter;
use crate::kafka::topics::tables;

/// How many records are put between two looks at how many are taken.
const LOOK_EVERY: usize = 1_000;

/// Blocks until all of `plan` is acknowledged, and tells `written` meanwhile how many records are. How records are framed is asked
/// for only where there are some.
///
/// # Errors
/// [`ChangeError::Failed`] where that does not come about in the view's time; the text then says how many records are written. Or why
/// `framing` is not to be had, or the topic's partitions are not as they have to be. [`ChangeError::WrittenOver`] where it was written
/// [over somebody else's](super::overwritten).
pub fn write(
    view: &RegistryView,
    plan: &ChangePlan,
    framing: impl FnOnce() -> anyhow::Result<Framing>,
    written: impl FnMut(u64),
) -> Result<(), ChangeError> {
    if plan.writes.is_empty() {
        return Ok(());
    }
    tables::refuse_unequal(&view.settings.kafka, view.partitions, view.until)?;
    let encoder = PromoterEncoder::new(framing()?);
    let writer = RegistryWriter::open(&view.settings.kafka, encoder, view.partitions, view.until);
    let mut writer = writer.map_err(anyhow::Error::new)?;
    write_all(&mut writer, &plan.writes, written).with_context(|| {
        let (written, all) = (writer.acknowledged(), plan.writes.len());
        format!("{written} of {all} records are known to be written; the same command again writes what is missing")
    })?;
    let overwritten = overwritten(view, &plan.writes)
        .context("it is written, and whether over what somebody else wrote is not known")?;
    overwritten.map_or(Ok(()), |told| Err(ChangeError::WrittenOver(told)))
}

/// # Errors
/// As [`RegistryWriter::put`] and [`RegistryWriter::finish`]: some of the writes may be there.
fn write_all(writer: &mut RegistryWriter, writes: &[PlannedWrite], mut written: impl FnMut(u64)) -> anyhow::Result<()> {
    let now = crate::clock::now();
    for (index, (promoter, content)) in writes.iter().enumerate() {
        writer.put(promoter, content, now)?;
        if index % LOOK_EVERY == 0 {
            written(writer.acknowledged());
        }
    }
    writer.finish(writes.len() as u64, written)?;
    Ok(())
}
