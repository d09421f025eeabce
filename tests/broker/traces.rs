//! What a collector of traces is told by the real binary.

use std::collections::BTreeSet;

use anyhow::Result;

use super::user_ids::has_user_id;
use super::world::{PROMOTERS, SETTLE, lively};
use crate::harness::case::Case;
use crate::harness::collector::{Collector, attribute};
use crate::harness::context::Context;

/// All that is told of anything.
const FIELDS: &[&str] = &[
    "app",
    "promoter",
    "feed",
    "outcome",
    "pages",
    "rows",
    "errcode",
    "interface",
    "page",
    "records",
    "published",
    "dead_lettered",
    "duplicates",
];

pub const CASES: &[Case] = &[Case::shared(
    "traces: a collector is told polls, their pages and their batches, and no user, nor is the log at any level",
    a_collector_is_told_polls_their_pages_and_their_batches,
)];

fn a_collector_is_told_polls_their_pages_and_their_batches(context: &Context) -> Result<()> {
    let collector = Collector::start()?;
    let simulator = lively(context, "5s")?;
    let log = format!("log.otlp = \"{}\"\nlog.level = \"trace\"", collector.url());
    let config = context.config(simulator.url(), PROMOTERS, &log);
    let connector = context.connector("traced", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    assert_eq!(connector.terminate()?.code(), Some(0));
    let log = connector.log()?;
    assert!(log.len() > 100_000 && !has_user_id(log.as_bytes()), "a log of {} bytes tells of no user", log.len());
    let told = collector.spans();
    let spans = || told.iter().map(|(_, span)| span);
    for (resource, span) in &told {
        assert_eq!(attribute(&resource.attributes, "service.name").as_deref(), Some(context.topics().prefix()));
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
        let other = span.attributes.iter().find(|attribute| !FIELDS.contains(&attribute.key.as_str()));
        assert!(other.is_none() && !has_user_id(format!("{span:?}").as_bytes()), "{span:?}");
    }
    let polls: BTreeSet<_> =
        spans().filter(|span| span.name == "poll").map(|poll| (&poll.trace_id, &poll.span_id)).collect();
    for below in spans().filter(|span| span.name != "poll") {
        assert!(polls.contains(&(&below.trace_id, &below.parent_span_id)), "its poll was not told: {below:?}");
    }
    // Some poll with all that there is to tell.
    let whole = spans().find(|poll| {
        let has = |name| spans().any(|span| span.name == name && span.parent_span_id == poll.span_id);
        poll.name == "poll" && has("page") && has("batch")
    });
    let poll = whole.expect("a poll with a page and a batch");
    assert_eq!(attribute(&poll.attributes, "app").as_deref(), Some("wx_simulated"));
    assert!(attribute(&poll.attributes, "promoter").is_some_and(|promoter| promoter.starts_with("oSimulated")));
    Ok(())
}
