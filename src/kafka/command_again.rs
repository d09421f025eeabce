//! Reads pieces of the request topic that have been read before: for what is parked, and to see whether it is the same
//! log.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio_util::sync::CancellationToken;

use super::command_reader::{again, command};
use super::context::LogContext;
use crate::commands::log::{CHUNK_BYTES_MAX, CHUNK_MAX, Chunk, ReadAgain};
use crate::commit::log::OpenError;

/// Also the longest that the thread takes to stop.
const POLL: Duration = Duration::from_millis(100);
/// How long a piece is waited for that should be there: a broker that leads since a moment may not know it yet.
const CHUNK_WAIT: Duration = Duration::from_secs(5);
/// Between two looks for a wish.
const IDLE_PAUSE: Duration = Duration::from_millis(10);

/// Where a consumer stands that reads one piece after the other.
pub(super) struct Pieces {
    consumer: BaseConsumer<LogContext>,
    topic: String,
    /// The partition and the offset that come next, where that is known.
    at: Option<(i32, i64)>,
}

impl Pieces {
    pub fn new(consumer: BaseConsumer<LogContext>, topic: &str) -> Pieces {
        Pieces { consumer, topic: topic.to_owned(), at: None }
    }

    pub fn consumer(&self) -> &BaseConsumer<LogContext> {
        &self.consumer
    }

    /// The records of `partition` from `from` to before `to`, or as many of them as make a chunk. What can't be read until
    /// `until` comes is left out, and the chunk ends before it.
    pub fn read(
        &mut self,
        partition: i32,
        from: i64,
        to: i64,
        until: Instant,
        stop: &CancellationToken,
    ) -> KafkaResult<Chunk> {
        self.seek(partition, from)?;
        let mut chunk = Chunk { commands: Vec::new(), next: from };
        let mut bytes = 0;
        while chunk.next < to && chunk.commands.len() < CHUNK_MAX && bytes < CHUNK_BYTES_MAX {
            if stop.is_cancelled() || Instant::now() >= until {
                break;
            }
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let command = command(&message);
                    if command.place.offset >= to {
                        chunk.next = to;
                        break;
                    }
                    chunk.next = command.place.offset + 1;
                    bytes += command.bytes();
                    chunk.commands.push(command);
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
        // Behind `to` the consumer has gone further, or may have.
        self.at = Some((partition, chunk.next)).filter(|_| chunk.next < to);
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

/// A thread that reads pieces as they are wished for.
pub(super) struct AgainReader {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl AgainReader {
    pub fn start(pieces: Pieces) -> Result<(AgainReader, mpsc::Sender<ReadAgain>), OpenError> {
        let (wishes, wished) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let thread = std::thread::Builder::new()
            .name("requests-again".into())
            .spawn({
                let stop = stop.clone();
                move || run(pieces, wished, &stop)
            })
            .map_err(|error| OpenError::Again(format!("no thread for reading requests again: {error}")))?;
        Ok((AgainReader { stop, thread: Some(thread) }, wishes))
    }
}

impl Drop for AgainReader {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// Until it is stopped, nobody wishes any more, or librdkafka can't go on.
fn run(mut pieces: Pieces, mut wished: mpsc::Receiver<ReadAgain>, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let ReadAgain { partition, from, to, chunk } = match wished.try_recv() {
            Ok(wish) => wish,
            Err(TryRecvError::Empty) => {
                std::thread::sleep(IDLE_PAUSE);
                continue;
            }
            Err(TryRecvError::Disconnected) => return,
        };
        match pieces.read(partition, from, to, Instant::now() + CHUNK_WAIT, stop) {
            // Whoever wished for it may be gone.
            Ok(read) => drop(chunk.send(read)),
            Err(error) => {
                pieces.consumer().context().error(&error, "reading requests again");
                return;
            }
        }
    }
}

/// A consumer of the request topic that says where it ends.
pub(super) fn consumer(settings: &super::settings::Settings) -> Result<BaseConsumer<LogContext>, OpenError> {
    let mut config = settings.command_reader_config();
    config.set("enable.partition.eof", "true");
    config.create_with_context(LogContext::default()).map_err(again)
}
