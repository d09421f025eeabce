//! A read_committed consumer is shown what was committed, and nothing else.

use anyhow::Result;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::producer::Transactional;
use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::consumer::{read_all, read_texts, stable_offsets};
use crate::harness::context::Context;

pub const CASES: &[Case] = &[
    Case::shared("isolation: an aborted record is never shown", an_aborted_record_is_never_shown),
    Case::shared("isolation: a record keeps its key, time, value and place", a_record_keeps_what_it_was_given),
    Case::shared("isolation: offsets of an aborted transaction are gone", offsets_vanish_with_their_transaction),
];

fn an_aborted_record_is_never_shown(context: &Context) -> Result<()> {
    let topic = context.topics().create("events", 1, &[])?;
    let producer = Transactional::open(context.bootstrap(), &topic)?;
    producer.commit_all(&topic, &["first"])?;
    producer.begin()?;
    producer.write(&topic, "key", "aborted")?;
    producer.abort()?;
    producer.commit_all(&topic, &["second"])?;

    assert_eq!(read_texts(context.bootstrap(), &topic)?, ["first", "second"]);
    Ok(())
}

fn a_record_keeps_what_it_was_given(context: &Context) -> Result<()> {
    let topic = context.topics().create("events", 1, &[])?;
    let producer = Transactional::open(context.bootstrap(), &topic)?;
    producer.commit_all(&topic, &["one", "two"])?;
    producer.commit_all(&topic, &["three"])?;

    let records = read_all(context.bootstrap(), &topic)?;
    assert!(records.iter().all(|record| record.key_text() == "key" && record.timestamp_ms.is_some()));
    // The first commit's marker takes offset 2.
    let places: Vec<_> = records.iter().map(|record| (record.partition, record.offset, record.value_text())).collect();
    assert_eq!(places, [(0, 0, "one".into()), (0, 1, "two".into()), (0, 3, "three".into())]);
    Ok(())
}

fn offsets_vanish_with_their_transaction(context: &Context) -> Result<()> {
    let topic = context.topics().create("requests", 1, &[])?;
    let consumer: BaseConsumer = client::config(context.bootstrap()).set("group.id", &topic).create()?;
    let producer = Transactional::open(context.bootstrap(), &topic)?;
    let group = consumer.group_metadata().expect("a consumer with a group has its metadata");
    let offsets = |next| {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&topic, 0, Offset::Offset(next)).map(|()| offsets)
    };

    producer.begin()?;
    producer.write(&topic, "key", "kept")?;
    producer.send_offsets(&offsets(1)?, &group)?;
    producer.commit()?;
    producer.begin()?;
    producer.write(&topic, "key", "dropped")?;
    producer.send_offsets(&offsets(2)?, &group)?;
    producer.abort()?;

    let committed = consumer.committed_offsets(offsets(0)?, std::time::Duration::from_secs(10))?;
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(1));
    assert_eq!(stable_offsets(context.bootstrap(), &topic)?[&0], 4);
    Ok(())
}
