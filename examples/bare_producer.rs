//! How fast records come into transactions where nothing else is done: those of a topic are written to another one, over and over, by a
//! producer that is set up as the connector's is. `benches/kafka.py` sets the connector's own rate beside it.
//!
//! ```text
//! $ cargo run --release --example bare_producer -- 127.0.0.1:19092 from.touches to.touches 1000000
//! records a second = 400000
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// So many records are read, and written again and again.
const SAMPLES: usize = 100_000;
/// Of one transaction: as `batch.events_max` unless set.
const BATCH: usize = 10_000;
const BOUND: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, from, to, records] = arguments.as_slice() else {
        bail!("usage: bare_producer BOOTSTRAP_SERVERS FROM_TOPIC TO_TOPIC RECORDS");
    };
    let (samples, partitions) = read(bootstrap, from)?;
    create(bootstrap, to, partitions)?;
    let records = records.parse().context("RECORDS is no number")?;
    println!("records a second = {:.0}", records as f64 / produce(bootstrap, to, &samples, records)?.as_secs_f64());
    Ok(())
}

/// Records of a topic, with the number of its partitions.
fn read(bootstrap: &str, topic: &str) -> anyhow::Result<(Vec<OwnedMessage>, i32)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bare-producer")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), BOUND)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    let mut places = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions)? {
        places.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&places)?;
    let (mut samples, mut ended) = (Vec::new(), 0);
    while samples.len() < SAMPLES && ended < partitions {
        match consumer.poll(BOUND).with_context(|| format!("topic {topic} is not read within {BOUND:?}"))? {
            Ok(message) => samples.push(message.detach()),
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(!samples.is_empty(), "topic {topic} is empty");
    Ok((samples, i32::try_from(partitions)?))
}

fn create(bootstrap: &str, topic: &str, partitions: i32) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let created = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()))?;
    created.into_iter().try_for_each(|one| one.map(drop).map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}")))
}

/// From the first record to the end of the last transaction.
fn produce(bootstrap: &str, topic: &str, samples: &[OwnedMessage], records: usize) -> anyhow::Result<Duration> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", "bare-producer")
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2_random")
        .create()?;
    producer.init_transactions(BOUND)?;
    let begun = Instant::now();
    let mut left = samples.iter().cycle().take(records).peekable();
    while left.peek().is_some() {
        producer.begin_transaction()?;
        left.by_ref().take(BATCH).try_for_each(|sample| send(&producer, topic, sample))?;
        serve_deliveries(&producer)?;
        producer.commit_transaction(BOUND)?;
    }
    Ok(begun.elapsed())
}

/// Waits for the delivery reports, which a commit waits for. `flush` would look for them each 100 ms only.
fn serve_deliveries(producer: &BaseProducer) -> anyhow::Result<()> {
    let deadline = Instant::now() + BOUND;
    while producer.in_flight_count() > 0 {
        ensure!(Instant::now() < deadline, "records are not delivered within {BOUND:?}");
        producer.poll(Duration::from_millis(1));
    }
    Ok(())
}

/// Waits for room.
fn send(producer: &BaseProducer, topic: &str, sample: &OwnedMessage) -> anyhow::Result<()> {
    let mut record = BaseRecord::to(topic).key(sample.key().unwrap_or_default());
    record = record.payload(sample.payload().unwrap_or_default());
    record.headers = sample.headers().cloned();
    while let Err((error, unsent)) = producer.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return Err(error.into());
        }
        producer.poll(Duration::from_millis(5));
        record = unsent;
    }
    Ok(())
}
