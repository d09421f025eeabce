//! `status`, with no instance there.

use anyhow::{Result, ensure};

use super::answer;
use crate::broker::world::{PROMOTERS, SETTLE, lively};
use crate::harness::context::Context;

pub fn told_without_instances(context: &Context) -> Result<()> {
    let simulator = lively(context, "2s")?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    // One who is new, and one who is paused.
    let more = context.config(simulator.url(), PROMOTERS + 1, "");
    let paused = answer(context, &more, &["promoters", "pause", "oSimulated000001"])?;
    paused.must_end_with(0)?;
    let status = answer(context, &more, &["status", "--json", "--worst", "3"])?.must_end_with(0)?.json()?;
    let feeds = status["feeds"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(feeds.len() == 3, "{status}");
    for feed in feeds {
        ensure!(feed["promoters"] == PROMOTERS && feed["paused"] == 1 && feed["not_begun"] == 1, "{feed}");
        ensure!(feed["complete_before"].is_string(), "{feed}");
    }
    ensure!(status["behind_most"].as_array().is_some_and(|rows| rows.len() == 3), "{status}");
    let text = answer(context, &more, &["status"])?.must_end_with(0)?.shown;
    ensure!(text.contains("behind most\nwx_simulated/oSimulated"), "{text}");
    Ok(())
}
