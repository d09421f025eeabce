//! The rule by which a topic is read up to its end, although transactions hold places without records.

use std::time::Duration;

use anyhow::Result;

use super::producer::Transactional;
use crate::harness::case::Case;
use crate::harness::consumer::{Reader, high_watermarks, read_texts, stable_offsets};
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

const BOUND: Duration = Duration::from_secs(20);

pub const CASES: &[Case] = &[
    Case::shared("barrier: the position passes markers and aborted records", the_position_passes_markers),
    Case::shared(
        "barrier: an open transaction ends the reading below the barrier",
        an_open_transaction_holds_the_reader,
    ),
];

fn the_position_passes_markers(context: &Context) -> Result<()> {
    let topic = context.topics().create("state", 1, &[])?;
    let producer = Transactional::open(context.bootstrap(), &topic)?;
    producer.commit_all(&topic, &["first"])?;
    producer.begin()?;
    producer.write(&topic, "key", "aborted")?;
    producer.abort()?;

    // Two records and two markers.
    assert_eq!(high_watermarks(context.bootstrap(), &topic)?[&0], 4);
    let reader = Reader::open(context.bootstrap(), &[&topic])?;
    let mut records = Vec::new();
    wait_until("the position is at the end", BOUND, || {
        reader.poll(&mut records)?;
        Ok((reader.positions(&topic)?.get(&0) == Some(&4)).then_some(()))
    })?;
    assert_eq!(records.len(), 1);
    Ok(())
}

fn an_open_transaction_holds_the_reader(context: &Context) -> Result<()> {
    let topic = context.topics().create("state", 1, &[])?;
    let committed = Transactional::open(context.bootstrap(), &format!("{topic}.committed"))?;
    committed.commit_all(&topic, &["first"])?;
    let open = Transactional::open(context.bootstrap(), &format!("{topic}.open"))?;
    open.begin()?;
    open.write(&topic, "key", "open")?;
    committed.commit_all(&topic, &["behind"])?;

    assert_eq!(stable_offsets(context.bootstrap(), &topic)?[&0], 2);
    assert_eq!(high_watermarks(context.bootstrap(), &topic)?[&0], 5);
    let reader = Reader::open(context.bootstrap(), &[&topic])?;
    let mut records = Vec::new();
    wait_until("the reader meets an end", BOUND, || Ok((!reader.poll(&mut records)?.is_empty()).then_some(())))?;
    // An end, but not the barrier: whoever stopped here would miss a committed record.
    assert_eq!(reader.positions(&topic)?[&0], 2);
    assert_eq!(records.len(), 1);

    open.commit()?;
    assert_eq!(read_texts(context.bootstrap(), &topic)?, ["first", "open", "behind"]);
    Ok(())
}
