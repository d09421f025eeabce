//! What an outside consumer sees: read_committed, from the beginning, up to a barrier or a condition.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::client;
use super::wait::wait_until;

/// For one call to the broker.
const CALL_BOUND: Duration = Duration::from_secs(10);
/// For the whole of a topic: an open transaction below the barrier ends by then, or the test has a fault.
const READ_BOUND: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub timestamp_ms: Option<i64>,
    /// Absent in a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    pub fn key_text(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }

    pub fn value_text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// Every committed record of `topic` below its end as it is now, by partition and offset. Waits for transactions
/// that are still open below that end.
pub fn read_all(bootstrap: &str, topic: &str) -> Result<Vec<Record>> {
    let reader = Reader::open(bootstrap, &[topic])?;
    let ends = high_watermarks(bootstrap, topic)?;
    let mut records = Vec::new();
    let start = Instant::now();
    loop {
        reader.poll(&mut records)?;
        if reader.has_reached(topic, &ends)? {
            break;
        }
        if start.elapsed() > READ_BOUND {
            bail!("the end of {topic} was not reached within {READ_BOUND:?}: is a transaction still open?");
        }
    }
    // What was committed after the end was taken may have come along.
    records.retain(|record| record.offset < ends[&record.partition]);
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// The values of `read_all`, as text.
pub fn read_texts(bootstrap: &str, topic: &str) -> Result<Vec<String>> {
    Ok(read_all(bootstrap, topic)?.iter().map(Record::value_text).collect())
}

/// Reads `topics` in the order of arrival until `enough` says so of all records seen so far.
pub fn read_until(
    bootstrap: &str,
    topics: &[&str],
    bound: Duration,
    mut enough: impl FnMut(&[Record]) -> bool,
) -> Result<Vec<Record>> {
    let reader = Reader::open(bootstrap, topics)?;
    let mut records = Vec::new();
    let start = Instant::now();
    loop {
        reader.poll(&mut records)?;
        if enough(&records) {
            return Ok(records);
        }
        if start.elapsed() > bound {
            bail!("read {} records of {topics:?} within {bound:?}, and that was not enough", records.len());
        }
    }
}

/// The end of each partition as read_uncommitted sees it: above everything that was ever written, while
/// read_committed is shown the last stable offset, which an open transaction holds back.
pub fn high_watermarks(bootstrap: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let client: BaseConsumer = client::config(bootstrap).set("isolation.level", "read_uncommitted").create()?;
    ends(&client, topic)
}

/// The end of each partition as read_committed sees it: the last stable offset.
pub fn stable_offsets(bootstrap: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let client: BaseConsumer = client::config(bootstrap).set("isolation.level", "read_committed").create()?;
    ends(&client, topic)
}

fn ends(client: &BaseConsumer, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let mut ends = BTreeMap::new();
    for partition in partitions(client, topic)? {
        let end = wait_until(&format!("{topic} {partition} has a leader"), CALL_BOUND, || {
            match client.fetch_watermarks(topic, partition, CALL_BOUND) {
                Ok((_, end)) => Ok(Some(end)),
                Err(error) if is_leader_unknown(&error) => {
                    // Or librdkafka would go on by what it remembers.
                    client.fetch_metadata(Some(topic), CALL_BOUND)?;
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            }
        })?;
        ends.insert(partition, end);
    }
    Ok(ends)
}

/// For a moment behind a broker's restart. Of a partition without a leader librdkafka says that it does not know it.
fn is_leader_unknown(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownPartition};
    matches!(error.rdkafka_error_code(), Some(LeaderNotAvailable | NotLeaderForPartition | UnknownPartition))
}

fn partitions(client: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let metadata = client.fetch_metadata(Some(topic), CALL_BOUND)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let partitions: Vec<i32> = partitions.map(|partition| partition.id()).collect();
    if partitions.is_empty() {
        bail!("there is no topic {topic}");
    }
    Ok(partitions)
}

/// A read_committed consumer of all partitions of some topics, without a group.
pub struct Reader {
    consumer: BaseConsumer,
}

impl Reader {
    pub fn open(bootstrap: &str, topics: &[&str]) -> Result<Reader> {
        let consumer: BaseConsumer = client::config(bootstrap)
            .set("group.id", "harness-reader")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .create()?;
        let mut assignment = TopicPartitionList::new();
        for topic in topics {
            for partition in partitions(&consumer, topic)? {
                assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&assignment)?;
        Ok(Reader { consumer })
    }

    /// Adds what has arrived to `records`, and gives the partitions whose end was met meanwhile.
    pub fn poll(&self, records: &mut Vec<Record>) -> Result<Vec<i32>> {
        let mut ended = Vec::new();
        let mut wait = POLL;
        while let Some(message) = self.consumer.poll(wait) {
            match message {
                Ok(message) => records.push(record(&message)),
                Err(KafkaError::PartitionEOF(partition)) => ended.push(partition),
                Err(error) if passes(&error) => {}
                Err(error) => return Err(error).context("the consumer failed"),
            }
            wait = Duration::ZERO;
        }
        Ok(ended)
    }

    /// The offset that comes next in each partition of `topic`; control and aborted records count, once the end
    /// behind them was met. A partition that nothing was read of yet is left out.
    pub fn positions(&self, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let positions = self.consumer.position()?;
        let known = positions.elements_for_topic(topic).into_iter();
        Ok(known.filter_map(|one| Some((one.partition(), one.offset().to_raw().filter(|&raw| raw >= 0)?))).collect())
    }

    fn has_reached(&self, topic: &str, ends: &BTreeMap<i32, i64>) -> Result<bool> {
        let positions = self.positions(topic)?;
        Ok(ends.iter().all(|(partition, &end)| end == 0 || positions.get(partition).is_some_and(|&next| next >= end)))
    }
}

/// A broker that is away, which librdkafka comes back from by itself.
fn passes(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve)
    )
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message
        .headers()
        .map(|headers| headers.iter().map(|one| (one.key.to_owned(), one.value.unwrap_or_default().to_owned())));
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_owned),
        timestamp_ms: message.timestamp().to_millis(),
        value: message.payload().map(<[u8]>::to_owned),
        headers: headers.into_iter().flatten().collect(),
    }
}
