//! Of what stands in the state beside what this connector wrote.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::shard::Shard;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::{PARTITIONS, fence_in, lived, stops};
use crate::broker::producer::Transactional;
use crate::broker::world::{BOUND, OPEN, SETTLE};
use crate::harness::client;
use crate::harness::context::Context;

pub fn stray_records(context: &Context) -> Result<()> {
    let (simulator, config) = lived(context)?;
    let put = |partition: i32, key: &str, value: Option<&str>| put(context, partition, key, value);
    put(0, "hello", Some("world"))?;
    let strayed = context.connector("strayed", &config, &[])?;
    strayed.wait_logged("a stray record of the state is skipped", 1, BOUND)?;
    strayed.wait_logged(OPEN, 1, BOUND)?;
    ensure!(strayed.terminate()?.success(), "it ends in order");

    // Behind every number that the connector has used.
    let promoter = Promoter::from_key("wx_simulated/oSimulated000001")?;
    let key = format!("seen/{promoter}/touches/999999");
    let home = Shard::of(&promoter, PARTITIONS).0;
    put(home, &key, Some("damaged"))?;
    let damaged = context.connector("damaged", &config, &[])?;
    stops(&damaged, &format!("the record at partition {home} offset"))?;
    put(home, &key, None)?;
    let healed = context.connector("healed", &config, &[])?;
    healed.wait_logged(OPEN, 1, BOUND)?;
    ensure!(healed.terminate()?.success(), "it ends in order");

    let key = format!("fence/{}", context.topics().prefix());
    put(1, &key, Some("damaged"))?;
    let damaged = context.connector("damaged-fence", &config, &[])?;
    stops(&damaged, "the record at partition 1 offset")?;
    put(1, &key, None)?;
    let healed = context.connector("healed-fence", &config, &[])?;
    healed.wait_logged(OPEN, 1, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    healed.must_run()
}

pub fn every_partition_has_a_fence(context: &Context) -> Result<()> {
    lived(context)?;
    for partition in 0..PARTITIONS {
        let fence = fence_in(context, partition, context.topics().prefix())?;
        let text = fence.with_context(|| format!("partition {partition} has no fence"))?;
        let fence: serde_json::Value = serde_json::from_str(&text)?;
        ensure!(fence["partitions"] == PARTITIONS && fence["id_kinds"]["wx_simulated"] == "openid", "{text}");
        ensure!(fence["generation"].as_i64().is_some_and(|generation| generation >= 0), "{text}");
        ensure!(fence["member"].as_str().is_some_and(|member| member.starts_with("one-")), "{text}");
    }
    Ok(())
}

pub fn an_open_transaction_is_waited_for(context: &Context) -> Result<()> {
    let (_simulator, config) = lived(context)?;
    let topic = context.topics().name("state");
    let open = Transactional::open(context.bootstrap(), &topic)?;
    open.begin()?;
    open.write(&topic, "hello", "open")?;
    let connector = context.connector("waiting", &config, &[])?;
    connector.wait_logged("waiting for an open transaction", 1, BOUND)?;
    ensure!(!connector.log()?.contains(OPEN), "what stands behind the transaction is not read yet");
    open.commit()?;
    connector.wait_logged(OPEN, 1, BOUND)
}

/// Writes a record as anybody could, into the state topic.
fn put(context: &Context, partition: i32, key: &str, value: Option<&str>) -> Result<()> {
    let producer: ThreadedProducer<_> = client::config(context.bootstrap()).create()?;
    let topic = context.topics().name("state");
    let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).partition(partition).key(key);
    record.payload = value;
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(Duration::from_secs(10))?;
    Ok(())
}
