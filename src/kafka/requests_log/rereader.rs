//! Reads chunks of the request topic that have been read before: for what is parked, and to see whether it is the same
//! log.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::request_reader::{again, command};
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::requests::log::{FETCH_BYTES_MAX, FetchRange, FetchedRange};
use crate::text;

/// Also the longest that the thread takes to stop.
const POLL: Duration = Duration::from_millis(100);
/// How long a piece is waited for that should be there: a broker that leads since a moment may not know it yet.
const CHUNK_WAIT: Duration = Duration::from_secs(5);
/// A consumer that nobody has wished anything of for so long is given up: its threads and connections are many times what
/// a new one costs now and then.
pub(in crate::kafka) const IDLE_MAX: Duration = Duration::from_secs(10);

/// Where a consumer stands that reads one piece after the other.
pub(in crate::kafka) struct ChunkReader {
    consumer: LoggedConsumer,
    topic: String,
    /// The partition and the offset that come next, where that is known.
    at: Option<(i32, i64)>,
}

impl ChunkReader {
    pub fn new(consumer: LoggedConsumer, topic: &str) -> ChunkReader {
        ChunkReader { consumer, topic: topic.to_owned(), at: None }
    }

    pub fn consumer(&self) -> &BaseConsumer<LogContext> {
        &self.consumer
    }

    /// The records of `partition` from `from` to before `to`, or the first `most` of them, or as many as make a chunk. What
    /// can't be read until `until` comes is left out, and the chunk ends before it.
    pub fn read(
        &mut self,
        partition: i32,
        from: i64,
        to: i64,
        most: usize,
        until: Instant,
        stop: &CancellationToken,
    ) -> KafkaResult<FetchedRange> {
        self.seek(partition, from)?;
        let mut chunk = FetchedRange { records: Vec::new(), next: from };
        let mut bytes = 0;
        while chunk.next < to && chunk.records.len() < most && bytes < FETCH_BYTES_MAX {
            if stop.is_cancelled() || Instant::now() >= until {
                break;
            }
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let command = command(&message);
                    if command.location.offset < from {
                        // `from` is beyond the end now, and librdkafka begins anew: there is nothing to be had.
                        break;
                    }
                    if command.location.offset >= to {
                        chunk.next = to;
                        break;
                    }
                    chunk.next = command.location.offset + 1;
                    bytes += command.bytes();
                    chunk.records.push(command);
                }
                // Nothing but control records may stand before the end.
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    chunk.next = chunk.next.max(self.position(partition)?.min(to));
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
                Some(Err(error)) => self.consumer.context().error(&error, "reading requests again"),
                None => {}
            }
        }
        // Behind `to` the consumer has gone further, or may have; and where nothing came it is asked for anew.
        self.at = Some((partition, chunk.next)).filter(|_| from < chunk.next && chunk.next < to);
        Ok(chunk)
    }

    fn seek(&mut self, partition: i32, from: i64) -> KafkaResult<()> {
        if self.at.take() == Some((partition, from)) {
            return Ok(());
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.topic, partition, Offset::Offset(from))?;
        self.consumer.assign(&assignment)
    }

    fn position(&self, partition: i32) -> KafkaResult<i64> {
        let positions = self.consumer.position()?;
        let position = positions.find_partition(&self.topic, partition).and_then(|element| element.offset().to_raw());
        Ok(position.unwrap_or(i64::MIN))
    }
}

/// What the thread has.
struct RereadingThread {
    settings: Settings,
    topic: String,
    /// Absent while nothing is to be read.
    chunks: Option<ChunkReader>,
    idle_max: Duration,
    wished: mpsc::Receiver<FetchRange>,
    stop: CancellationToken,
    runtime: Handle,
}

/// A thread that reads chunks as they are wished for.
pub(in crate::kafka) struct Rereader {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Rereader {
    /// To be called where there is a runtime. `idle_max` is how long a consumer is kept that nobody needs.
    pub fn start(
        settings: Settings,
        chunks: ChunkReader,
        idle_max: Duration,
    ) -> Result<(Rereader, mpsc::Sender<FetchRange>), OpenError> {
        let (wishes, wished) = mpsc::channel(1);
        let (stop, runtime) = (CancellationToken::new(), Handle::current());
        let (topic, chunks) = (chunks.topic.clone(), Some(chunks));
        let reading = RereadingThread { settings, topic, chunks, idle_max, wished, stop: stop.clone(), runtime };
        let thread = std::thread::Builder::new()
            .name("requests-again".into())
            .spawn(move || reading.run())
            .map_err(|error| OpenError::Again(LogError::because("no thread for reading requests again", error)))?;
        Ok((Rereader { stop, thread: Some(thread) }, wishes))
    }
}

impl Drop for Rereader {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl RereadingThread {
    /// Until it is stopped, nobody wishes any more, or librdkafka can't go on.
    fn run(mut self) {
        while let Some(FetchRange { partition, from, to, most, chunk }) = self.next_wish() {
            let chunks = match self.chunks.take().map_or_else(|| self.open(), Ok) {
                Ok(chunks) => self.chunks.insert(chunks),
                Err(error) => {
                    let error = text::with_causes(&error);
                    tracing::warn!(%error, "requests can't be read again");
                    return;
                }
            };
            match chunks.read(partition, from, to, most, Instant::now() + CHUNK_WAIT, &self.stop) {
                // Whoever wished for it may be gone.
                Ok(read) => drop(chunk.send(read)),
                Err(error) => {
                    chunks.consumer().context().error(&error, "reading requests again");
                    return;
                }
            }
        }
    }

    fn open(&self) -> Result<ChunkReader, OpenError> {
        Ok(ChunkReader::new(consumer(&self.settings)?, &self.topic))
    }

    /// Nothing once there will be none.
    fn next_wish(&mut self) -> Option<FetchRange> {
        let RereadingThread { chunks, idle_max, wished, stop, runtime, .. } = self;
        if chunks.is_some() {
            let soon = async { tokio::time::timeout(*idle_max, wished.recv()).await };
            match runtime.block_on(stop.run_until_cancelled(soon))? {
                Ok(wish) => return wish,
                Err(_) => *chunks = None,
            }
        }
        runtime.block_on(stop.run_until_cancelled(wished.recv()))?
    }
}

/// A consumer of the request topic that says where it ends.
pub(in crate::kafka) fn consumer(settings: &Settings) -> Result<LoggedConsumer, OpenError> {
    let mut config = settings.requests_reader_config();
    config.set("enable.partition.eof", "true");
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
            let FetchedRange { records: commands, next } =
                chunks.read(1, from, to, most, Instant::now() + wait, &stop).unwrap();
            (commands.iter().map(|command| command.location.offset).collect::<Vec<_>>(), next)
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

    #[tokio::test(flavor = "multi_thread")]
    async fn a_consumer_that_was_given_up_is_replaced_when_something_is_wished_for() {
        let mock_cluster = MockCluster::start().unwrap();
        mock_cluster.create_topic("requests", 1).unwrap();
        let servers = mock_cluster.bootstrap_servers();
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
        for value in ["a", "b", "c"] {
            producer.send(BaseRecord::<(), _>::to("requests").partition(0).payload(value)).unwrap();
        }
        producer.flush(BOUND).unwrap();
        let settings = settings(&[("bootstrap.servers", &servers)]);
        let chunks = ChunkReader::new(consumer(&settings).unwrap(), "requests");
        // Given up after each wish.
        let (_reader, wishes) = Rereader::start(settings, chunks, Duration::ZERO).unwrap();
        for from in 0..3 {
            let (chunk, read) = tokio::sync::oneshot::channel();
            wishes.send(FetchRange { partition: 0, from, to: 3, most: 1, chunk }).await.unwrap();
            let FetchedRange { records: commands, next } = read.await.unwrap();
            assert_eq!((commands.len(), next), (1, from + 1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
