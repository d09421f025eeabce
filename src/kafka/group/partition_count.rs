//! How many partitions a topic has, asked by the member's own client.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;

use super::callbacks::MemberContext;

/// How long the brokers may take to answer; callbacks wait meanwhile, and a stop.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);

/// How many partitions the topic has; none where it is not there.
///
/// # Errors
/// Where no broker answers in time.
pub fn partition_count(consumer: &BaseConsumer<MemberContext>, topic: &str) -> KafkaResult<usize> {
    let metadata = consumer.fetch_metadata(Some(topic), FETCH_TIMEOUT)?;
    Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len()))
}
