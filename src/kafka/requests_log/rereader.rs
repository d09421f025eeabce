//! Reads requests again that are parked, in a thread of its own.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::chunk_reader::{self, ChunkReader};
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::settings::Settings;
use crate::requests::log::{FetchRange, RangeFetcher};
use crate::text;

/// How long a piece is waited for that should be there: a broker that leads since a moment may not know it yet.
const CHUNK_WAIT: Duration = Duration::from_secs(5);
/// A consumer that nobody has wished anything of for so long is given up: its threads and connections are many times what
/// a new one costs now and then.
pub const IDLE_MAX: Duration = Duration::from_secs(10);

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
pub struct Rereader {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Rereader {
    /// To be called where there is a runtime. `idle_max` is how long a consumer is kept that nobody needs.
    ///
    /// # Errors
    /// [`OpenError::Again`] where there is no thread.
    pub fn start(
        settings: Settings,
        chunks: ChunkReader,
        idle_max: Duration,
    ) -> Result<(Rereader, RangeFetcher), OpenError> {
        let (fetcher, wished) = RangeFetcher::new();
        let (stop, runtime) = (CancellationToken::new(), Handle::current());
        let (topic, chunks) = (chunks.topic().to_owned(), Some(chunks));
        let reading = RereadingThread { settings, topic, chunks, idle_max, wished, stop: stop.clone(), runtime };
        let thread = std::thread::Builder::new()
            .name("requests-again".into())
            .spawn(move || reading.run())
            .map_err(|error| OpenError::Again(LogError::because("no thread for reading requests again", error)))?;
        Ok((Rereader { stop, thread: Some(thread) }, fetcher))
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
        // One wish at a time: the pipeline parks what does not fit its memory, and wishes for more only when it has room.
        while let Some(FetchRange { partition, from, to, most, chunk }) = self.next_wish() {
            let chunks = match self.chunks.take().map_or_else(|| self.open(), Ok) {
                Ok(chunks) => self.chunks.insert(chunks),
                Err(error) => {
                    let error = text::with_causes(&error);
                    tracing::warn!(%error, "requests can't be read again");
                    return;
                }
            };
            match chunks.read(partition, from..to, most, Instant::now() + CHUNK_WAIT, &self.stop) {
                // Whoever wished for it may be gone: its session ends before this thread does.
                Ok(read) => drop(chunk.send(read)),
                // Its wish is dropped with the thread, which tells the pipeline that nobody reads any more: it opens the log anew.
                Err(error) => {
                    chunks.consumer().context().error(&error, "reading requests again");
                    return;
                }
            }
        }
    }

    /// # Errors
    /// [`OpenError::Again`] where librdkafka makes no consumer.
    fn open(&self) -> Result<ChunkReader, OpenError> {
        Ok(ChunkReader::new(chunk_reader::consumer(&self.settings)?, &self.topic))
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

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::*;
    use crate::kafka::client::mock_cluster::MockCluster;
    use crate::kafka::client::settings::tests::settings;
    use crate::requests::log::FetchedRange;

    const BOUND: Duration = Duration::from_secs(10);

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
        let chunks = ChunkReader::new(chunk_reader::consumer(&settings).unwrap(), "requests");
        // Given up after each wish.
        let (_reader, fetcher) = Rereader::start(settings, chunks, Duration::ZERO).unwrap();
        for from in 0..3 {
            let FetchedRange { records, next } = fetcher.fetch(0, from..3, 1).await.unwrap();
            assert_eq!((records.len(), next), (1, from + 1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
