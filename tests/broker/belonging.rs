//! Whose the topics are: the state topic knows its connector, its number of partitions and the ids of each app, and what
//! does not agree with it stops before it has polled anything.

mod adopted;
mod names;
mod partitions;
mod records;
mod topics;

use anyhow::{Result, ensure};

use crate::broker::world::{BOUND, PROMOTERS, QUICK_GROUP, SETTLE, lively};
use crate::harness::case::Case;
use crate::harness::connector::Connector;
use crate::harness::consumer::read_all;
use crate::harness::context::Context;
use crate::harness::judge::Verdict;
use crate::harness::simulator::Simulator;

const PARTITIONS: i32 = 3;

pub const CASES: &[Case] = &[
    Case::shared(
        "belonging: partitions raised under two instances stop both and double nothing",
        partitions::raised_partitions,
    ),
    Case::shared("belonging: a state whose partitions alone are raised stops all instances", partitions::raised_state),
    Case::shared(
        "belonging: an instance of new partitions only finds the others' fences",
        partitions::new_partitions_only,
    ),
    Case::shared("belonging: a fence that nobody has compared proves nothing", partitions::a_fence_of_nobody),
    Case::shared("belonging: a second name on the same topics stops before it polls", names::a_second_name),
    Case::shared(
        "belonging: another name adopts what one has left, and goes on exactly",
        adopted::another_name_goes_on,
    ),
    Case::shared("belonging: nothing is adopted while an instance runs", adopted::not_while_it_runs),
    Case::shared("belonging: another number or kind of ids is not adopted", adopted::nothing_but_the_name),
    Case::shared(
        "belonging: of two names that start at once none leaves anything in the other's way",
        names::two_names_at_once,
    ),
    Case::shared(
        "belonging: of two names that start at once none answers requests before it has the topics",
        names::two_names_at_once_with_requests,
    ),
    Case::shared("belonging: another kind of ids stops before it polls", names::another_id_kind),
    Case::shared("belonging: a state that is missing beside its registry is not made anew", topics::a_missing_state),
    Case::shared("belonging: a state that was made anew beside its registry stops", topics::an_emptied_state),
    Case::shared("belonging: with both topics deleted it begins anew", topics::both_deleted),
    Case::shared("belonging: topics that were made before the first start are taken", topics::topics_made_before),
    Case::shared(
        "belonging: a stray record stops nothing, and a damaged one until its tombstone",
        records::stray_records,
    ),
    Case::shared("belonging: every partition that is taken over has a fence", records::every_partition_has_a_fence),
    Case::shared(
        "belonging: an open transaction in the state is waited for",
        records::an_open_transaction_is_waited_for,
    ),
];

/// Topics with a life behind them, of a connector that has ended in order, and its configuration.
fn lived(context: &Context) -> Result<(Simulator, String)> {
    let simulator = lively(context, "2s")?;
    let config = context.config(simulator.url(), PROMOTERS, QUICK_GROUP);
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok((simulator, config))
}

/// It ends by itself with 1, and says `words`.
fn stops(connector: &Connector, words: &str) -> Result<()> {
    let end = connector.wait_exit(BOUND)?;
    // The log is JSON, in which quotes are escaped.
    let log = connector.log()?.replace("\\\"", "\"");
    ensure!(end.code() == Some(1), "it stops, and does not end with {end}:\n{log}");
    ensure!(log.contains(words), "{words:?} is not in\n{log}");
    Ok(())
}

/// The fence of a connector in a partition of the state, as it stands after compaction.
fn fence_in(context: &Context, partition: i32, connector: &str) -> Result<Option<String>> {
    let key = format!("fence/{connector}");
    let records = read_all(context.bootstrap(), &context.topics().name("state"))?;
    let last = records.iter().rfind(|record| record.partition == partition && record.key_text() == key);
    Ok(last.filter(|record| record.value.is_some()).map(|record| record.value_text()))
}

/// Some of what was shown may be missing, for nobody polls any more.
fn nothing_twice(context: &Context, simulator: &Simulator) -> Result<()> {
    let Verdict { twice, foreign, found, .. } = context.verdict(simulator)?;
    ensure!(found > 0 && twice.is_empty() && foreign.is_empty(), "{found} found, twice {twice:?}, foreign {foreign:?}");
    Ok(())
}
