//! Of what a connector of another name takes over.

use anyhow::{Context as _, Result, ensure};

use super::{PARTITIONS, fence_in, stops};
use crate::broker::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, asking_is_answered, lively, wait_for_records};
use crate::harness::connector::Connector;
use crate::harness::context::Context;

const RENAMED: &str = "renamed";

/// The case's connector, and the same one under another name.
fn configs(context: &Context, url: &str) -> Result<(String, String)> {
    let config = context.config(url, PROMOTERS, QUICK_GROUP);
    let own = format!("connector = {{ name = \"{}\"", context.topics().prefix());
    let other = format!("connector = {{ name = \"{}-{RENAMED}\"", context.topics().prefix());
    let renamed = config.replace(&own, &other);
    ensure!(renamed != config, "the name is replaced");
    Ok((config, renamed))
}

fn adopting(context: &Context, name: &str, config: &str) -> Result<Connector> {
    Connector::start_with(context.directory(), name, config, &["--adopt"])
}

/// It ends with 1, however long it has to wait before it can tell.
fn refused(connector: &Connector, words: &str) -> Result<()> {
    let end = connector.wait_exit(SETTLE)?;
    let log = connector.log()?;
    ensure!(end.code() == Some(1) && log.contains(words), "{end}:\n{log}");
    Ok(())
}

/// In the middle of its life it gets another name, and goes on exactly.
pub fn another_name_goes_on(context: &Context) -> Result<()> {
    let simulator = lively(context, "30s")?;
    let (config, renamed) = configs(context, simulator.url())?;
    let first = context.connector("one", &config, &[])?;
    wait_for_records(context, &first, "orders", 1)?;
    asking_is_answered(context, &first)?;
    // As if somebody had pulled the plug: what it has begun is for whoever comes next.
    first.kill9()?;
    let without = context.connector("without", &renamed, &[])?;
    // It waits for what the other has left open before it looks.
    refused(&without, "run --adopt")?;
    ensure!(!without.log()?.contains(OPEN), "it has polled nothing");

    let adopted = adopting(context, "adopted", &renamed)?;
    adopted.wait_logged(OPEN, 1, SETTLE)?;
    asking_is_answered(context, &adopted)?;
    context.settle(&simulator, SETTLE)?;
    ensure!(adopted.terminate()?.success(), "it ends in order");
    let (old, new) = (context.topics().prefix().to_owned(), format!("{}-{RENAMED}", context.topics().prefix()));
    for partition in 0..PARTITIONS {
        let fence = fence_in(context, partition, &new)?.context("a fence of the new name")?;
        ensure!(fence.contains("\"confirmed\":true"), "{fence}");
        ensure!(fence_in(context, partition, &old)?.is_none(), "a fence of the old name in {partition}");
    }
    // It needs no flag any more, and with one does the same; and the old name is the one that stops.
    let again = adopting(context, "again", &renamed)?;
    again.wait_logged("there is nothing to adopt", 1, BOUND)?;
    again.wait_logged(OPEN, 1, BOUND)?;
    let old = context.connector("old", &config, &[])?;
    stops(&old, &format!("it belongs to the connector \"{new}\""))?;
    context.settle(&simulator, SETTLE)?;
    again.must_run()
}

/// Nothing is adopted while an instance runs, and that one goes on as if nobody had tried.
pub fn not_while_it_runs(context: &Context) -> Result<()> {
    let simulator = lively(context, "8s")?;
    let (config, renamed) = configs(context, simulator.url())?;
    let first = context.connector("one", &config, &[])?;
    wait_for_records(context, &first, "orders", 1)?;
    let refused = adopting(context, "refused", &renamed)?;
    self::refused(&refused, "can't be adopted: somebody is in group")?;
    context.settle(&simulator, SETTLE)?;
    ensure!(first.terminate()?.success(), "it ends in order");
    for partition in 0..PARTITIONS {
        let left = fence_in(context, partition, &format!("{}-{RENAMED}", context.topics().prefix()))?;
        ensure!(left.is_none(), "a fence is left in {partition}");
    }
    let again = context.connector("again", &config, &[])?;
    again.wait_logged(OPEN, 1, BOUND)
}

/// The name alone is passed over.
pub fn nothing_but_the_name(context: &Context) -> Result<()> {
    let (simulator, _) = super::lived(context)?;
    let (_, renamed) = configs(context, simulator.url())?;
    let changed = renamed.replace("app_id = \"wx_simulated\",", "app_id = \"wx_simulated\", id_kind = \"unionid\",");
    ensure!(changed != renamed, "the kind is set");
    let refused = adopting(context, "kind", &changed)?;
    stops(&refused, "go back to id_kind = \"openid\"")?;
    context.topics().grow(&context.topics().name("state"), 6)?;
    context.topics().grow(&context.topics().name("registry"), 6)?;
    let refused = adopting(context, "partitions", &renamed)?;
    stops(&refused, "3 then, 6 now")?;
    Ok(())
}
