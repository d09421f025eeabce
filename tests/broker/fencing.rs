//! Of two producers under one transactional id, only the later one can write.

use anyhow::Result;
use rdkafka::types::RDKafkaErrorCode;

use super::producer::Transactional;
use crate::harness::case::Case;
use crate::harness::consumer::{read_all, read_texts};
use crate::harness::context::Context;

pub const CASES: &[Case] = &[
    Case::shared("fencing: a second init fences the first producer", a_second_init_fences_the_first_producer),
    Case::shared("fencing: a second init aborts what the first left open", a_second_init_aborts_what_was_open),
];

fn a_second_init_fences_the_first_producer(context: &Context) -> Result<()> {
    let topic = context.topics().create("events", 1, &[])?;
    let first = Transactional::open(context.bootstrap(), &topic)?;
    first.commit_all(&topic, &["from the first"])?;
    let second = Transactional::open(context.bootstrap(), &topic)?;

    let error = first.commit_all(&topic, &["from a zombie"]).expect_err("the first producer is fenced");
    let fatal = matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::Fatal));
    assert!(fatal, "fenced, not {error:?}");

    second.commit_all(&topic, &["from the second"])?;
    assert_eq!(read_texts(context.bootstrap(), &topic)?, ["from the first", "from the second"]);
    Ok(())
}

fn a_second_init_aborts_what_was_open(context: &Context) -> Result<()> {
    let topic = context.topics().create("events", 1, &[])?;
    let first = Transactional::open(context.bootstrap(), &topic)?;
    first.begin()?;
    first.write(&topic, "key", "never committed")?;

    Transactional::open(context.bootstrap(), &topic)?;
    assert_eq!(read_all(context.bootstrap(), &topic)?, []);
    assert!(first.commit().is_err());
    Ok(())
}
