//! Each request for material has exactly one committed answer, whatever happens to those who answer.

mod answers;
mod command_line;
mod crashes;
mod destinations;
mod json_requester;
mod judge;
mod registry;
mod remembering;
mod requests;
mod sharing;
mod waiting;

use anyhow::Result;

use crate::harness::apicurio::Apicurio;
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;

pub const CASES: &[Case] = &[
    Case::shared("material: kill -9 leaves exactly one answer to each request", crashes::killed_twenty_times),
    Case::shared("material: crash when earlier writers are fenced", crashes::crash_at::<0>),
    Case::shared("material: crash when it is read how far requests are answered", crashes::crash_at::<1>),
    Case::shared("material: crash behind the calls, before the transaction", crashes::crash_at::<2>),
    Case::shared("material: crash with replies on their way", crashes::crash_at::<3>),
    Case::shared("material: crash with all replies acknowledged", crashes::crash_at::<4>),
    Case::shared("material: crash with the offsets sent", crashes::crash_at::<5>),
    Case::shared("material: crash behind the commit", crashes::crash_at::<6>),
    Case::shared("material: instances come and go, and a zombie answers none", sharing::instances_and_a_zombie),
    Case::shared(
        "material: one app holds up no other, however many of its requests wait",
        waiting::one_app_holds_up_no_other,
    ),
    Case::shared("material: a connector under another name answers nothing again", remembering::under_another_name),
    Case::shared(
        "material: what was answered is not answered again when its memory was emptied",
        remembering::after_its_memory_was_emptied,
    ),
    Case::shared("material: a log that lost its tail is answered from there", remembering::in_a_log_that_lost_its_tail),
    Case::shared("material: the command line asks and shows the reply", command_line::asks_and_shows_the_reply),
    Case::shared("material: a reply goes where its request may send it", destinations::only_listed_topics),
    Case::shared("material: a reply that its topic does not take says so", destinations::too_large),
    Case::shared(
        "material: topics of others that do not take a reply hold up nobody",
        destinations::what_other_topics_do_not_take,
    ),
    Case::shared("material: a request topic that is made anew is answered anew", destinations::made_anew),
    Case::shared("material: a limit that is lowered meanwhile is learnt", destinations::a_limit_is_lowered_meanwhile),
    Case::shared("material: requests and replies are framed for a registry", registry::framed_for_a_registry)
        .with(&[Apicurio::available]),
];

/// Makes the topics, so that requests can come before the connector does, and an upstream where nothing goes wrong.
/// Answers take up to `latency`, half of it on average.
fn prepare(context: &Context, latency: &str) -> Result<Simulator> {
    prepare_with(context, latency, &[])
}

/// The same with more arguments for the upstream.
fn prepare_with(context: &Context, latency: &str, more: &[&str]) -> Result<Simulator> {
    for topic in ["material.requests", "material.results", "dead-letters"] {
        context.topics().create(topic, 3, &[])?;
    }
    let arguments = ["--promoters", "10", "--faults", "none", "--latency", latency, "--dead-rows", "0"];
    context.simulator(&[&arguments, more].concat())
}

/// A configuration of instance `instance` that polls one promoter and asks for material as fast as it can: the default
/// quota allows 83 calls a second. `more` is as in [`Context::config`].
fn config(context: &Context, instance: &str, upstream: &Simulator, more: &str) -> String {
    let config = context.config_of(instance, upstream.url(), 1, more);
    config.replace("promoters = [", "quota.getsharematerial.per_minute = 0, promoters = [")
}
