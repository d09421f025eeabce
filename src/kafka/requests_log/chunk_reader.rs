//! Reads chunks of the request topic that have been read before.

use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::request_reader::{again, request_record};
use crate::commit::log::OpenError;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::requests::log::{FETCH_BYTES_MAX, FetchedRange};

/// Also the longest that a reading takes to stop.
const POLL: Duration = Duration::from_millis(100);

/// Where a consumer stands that reads one piece after the other.
pub struct ChunkReader {
    consumer: LoggedConsumer,
    topic: String,
    /// The partition and the offset that come next, where that is known.
    at: Option<(i32, i64)>,
}

impl ChunkReader {
    pub fn new(consumer: LoggedConsumer, topic: &str) -> ChunkReader {
        ChunkReader { consumer, topic: topic.to_owned(), at: None }
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn consumer(&self) -> &BaseConsumer<LogContext> {
        &self.consumer
    }

    /// The records of `partition` in the `range` of offsets, or the first `most` of them, or as many as make a chunk. What can't
    /// be read until `until` comes is left out, and the chunk ends before it.
    ///
    /// # Errors
    /// Where the consumer can't go on. Faults that pass are logged, and the chunk ends before what they kept back.
    pub fn read(
        &mut self,
        partition: i32,
        range: Range<i64>,
        most: usize,
        until: Instant,
        stop: &CancellationToken,
    ) -> KafkaResult<FetchedRange> {
        self.seek(partition, range.start)?;
        let mut chunk = FetchedRange { records: Vec::new(), next: range.start };
        let mut bytes = 0;
        while chunk.next < range.end && chunk.records.len() < most && bytes < FETCH_BYTES_MAX {
            if stop.is_cancelled() || Instant::now() >= until {
                break;
            }
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    if !range.contains(&message.offset()) {
                        // Before it: its beginning is beyond the end now, and librdkafka begins anew, so there is nothing to be
                        // had. Behind it: nothing is left there, as after a transaction that was aborted.
                        chunk.next = if message.offset() < range.start { chunk.next } else { range.end };
                        break;
                    }
                    let record = request_record(&message);
                    chunk.next = record.location.offset + 1;
                    bytes += record.bytes();
                    chunk.records.push(record);
                }
                // Nothing but control records may stand before the end.
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    chunk.next = chunk.next.max(self.position(partition)?.min(range.end));
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
                Some(Err(error)) => self.consumer.context().error(&error, "reading requests again"),
                None => {}
            }
        }
        // Behind the range the consumer has gone further, or may have; and where nothing came it is asked for anew.
        self.at = Some((partition, chunk.next)).filter(|_| range.start < chunk.next && chunk.next < range.end);
        Ok(chunk)
    }

    /// # Errors
    /// That of librdkafka. The next call assigns anew.
    fn seek(&mut self, partition: i32, from: i64) -> KafkaResult<()> {
        if self.at.take() == Some((partition, from)) {
            return Ok(());
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.topic, partition, Offset::Offset(from))?;
        self.consumer.assign(&assignment)
    }

    /// # Errors
    /// Where librdkafka does not tell it.
    fn position(&self, partition: i32) -> KafkaResult<i64> {
        let positions = self.consumer.position()?;
        let position = positions.find_partition(&self.topic, partition).and_then(|element| element.offset().to_raw());
        Ok(position.unwrap_or(i64::MIN))
    }
}

/// A consumer of the request topic that says where it ends.
///
/// # Errors
/// [`OpenError::Again`] where librdkafka makes no consumer of the settings.
pub fn consumer(settings: &Settings) -> Result<LoggedConsumer, OpenError> {
    let mut config = settings.requests_reader_config();
    // What it is asked for is there: should the leader of the moment not have it yet, it is soon asked again.
    config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "100");
    config.create_with_context(LogContext::default()).map_err(again)
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::*;
    use crate::kafka::client::mock_cluster::MockCluster;
    use crate::kafka::client::settings::tests::settings;
    use crate::requests::log::FETCH_RECORDS_MAX;

    const BOUND: Duration = Duration::from_secs(10);

    #[test]
    fn a_piece_holds_what_is_there_and_says_how_far_that_is() {
        let mock_cluster = MockCluster::start().unwrap();
        mock_cluster.create_topic("requests", 2).unwrap();
        let servers = mock_cluster.bootstrap_servers();
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
        for number in 0..10 {
            let value = number.to_string();
            producer.send(BaseRecord::<(), _>::to("requests").partition(1).payload(&value)).unwrap();
        }
        producer.flush(BOUND).unwrap();
        let settings = settings(&[("bootstrap.servers", &servers)]);
        let mut chunks = ChunkReader::new(consumer(&settings).unwrap(), "requests");
        let stop = CancellationToken::new();
        let mut read_most = |from, to, most, wait| {
            let FetchedRange { records, next } = chunks.read(1, from..to, most, Instant::now() + wait, &stop).unwrap();
            (records.iter().map(|record| record.location.offset).collect::<Vec<_>>(), next)
        };
        assert_eq!(read_most(0, 10, 2, BOUND), (vec![0, 1], 2));
        assert_eq!(read_most(2, 10, 3, BOUND), (vec![2, 3, 4], 5));
        let mut read = |from, to, wait| read_most(from, to, FETCH_RECORDS_MAX, wait);
        assert_eq!(read(3, 8, BOUND), (vec![3, 4, 5, 6, 7], 8));
        assert_eq!(read(8, 10, BOUND), (vec![8, 9], 10));
        assert_eq!(read(2, 4, BOUND), (vec![2, 3], 4));
        // It can't be there yet, or any more.
        assert_eq!(read(9, 12, Duration::from_millis(500)), (vec![9], 10));
        assert_eq!(read(50, 60, Duration::from_millis(50)), (vec![], 50));
        assert_eq!(read(0, 2, BOUND), (vec![0, 1], 2));
    }
}
