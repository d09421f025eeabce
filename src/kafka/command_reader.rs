//! Reads requests from where they are answered, in a thread of its own.

use std::collections::BTreeSet;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::context::LogContext;
use crate::commands::command::{Command, Header, Place};
use crate::commands::window::Progress;
use crate::commit::log::OpenError;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Also the longest that the reading thread takes to stop.
const POLL: Duration = Duration::from_millis(100);
/// Commands between the reader and the lane: the lane keeps those that it has begun, these only bridge a moment.
const QUEUE_MAX: usize = 16;
/// A full queue means that calls are under way; they take longer than this.
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// How far each partition is answered; from its beginning where nothing ever was.
pub(super) fn committed(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    partitions: &[i32],
) -> Result<Vec<Progress>, OpenError> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let answered = consumer.committed_offsets(asked, CALL_TIMEOUT).map_err(again)?;
    let progress = answered.elements().into_iter().map(|element| {
        element.error().map_err(again)?;
        let partition = element.partition();
        let (offset, note) = match element.offset() {
            Offset::Offset(offset) => (offset, element.metadata().to_owned()),
            _ => (consumer.fetch_watermarks(topic, partition, CALL_TIMEOUT).map_err(again)?.0, String::new()),
        };
        Ok(Progress { partition, offset, note })
    });
    progress.collect()
}

/// The lane's ends of what joins it with the reader.
pub(super) struct ReaderEnds {
    pub commands: mpsc::Receiver<Command>,
    pub paused: watch::Sender<BTreeSet<i32>>,
}

/// A thread that reads. It waits for the lane to take a command, so few are in memory.
pub(super) struct Reader {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub fn start(
        consumer: BaseConsumer<LogContext>,
        topic: &str,
        progress: &[Progress],
    ) -> Result<(Reader, ReaderEnds), OpenError> {
        let mut assignment = TopicPartitionList::new();
        for Progress { partition, offset, .. } in progress {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(again)?;
        }
        consumer.assign(&assignment).map_err(again)?;
        let (commands, receiver) = mpsc::channel(QUEUE_MAX);
        let (paused, wanted) = watch::channel(BTreeSet::new());
        let stop = CancellationToken::new();
        let thread = std::thread::Builder::new()
            .name("requests".into())
            .spawn({
                let (stop, mut pauses) =
                    (stop.clone(), Pauses { topic: topic.to_owned(), wanted, now: BTreeSet::new() });
                move || read(&consumer, &commands, &mut pauses, &stop)
            })
            .map_err(|error| OpenError::Again(format!("no thread for reading requests: {error}")))?;
        Ok((Reader { stop, thread: Some(thread) }, ReaderEnds { commands: receiver, paused }))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// Until it is stopped, or librdkafka can't go on.
fn read(
    consumer: &BaseConsumer<LogContext>,
    commands: &mpsc::Sender<Command>,
    pauses: &mut Pauses,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        if let Err(error) = pauses.follow(consumer) {
            consumer.context().error(&error, "pausing a partition of requests");
        }
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                let mut command = command(&message);
                // The lane's end of the queue may outlive the wish to stop, so this never waits without looking.
                while let Err(refused) = commands.try_send(command) {
                    let mpsc::error::TrySendError::Full(back) = refused else { return };
                    if stop.is_cancelled() {
                        return;
                    }
                    command = back;
                    std::thread::sleep(FULL_PAUSE);
                }
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                consumer.context().error(&error, "reading requests");
                return;
            }
            Some(Err(error)) => consumer.context().error(&error, "reading requests"),
        }
    }
}

/// The partitions that are paused, and those that should be.
struct Pauses {
    topic: String,
    wanted: watch::Receiver<BTreeSet<i32>>,
    now: BTreeSet<i32>,
}

impl Pauses {
    /// What a paused partition has fetched ahead is dropped by librdkafka, and fetched again later.
    fn follow(&mut self, consumer: &BaseConsumer<LogContext>) -> KafkaResult<()> {
        // The lane may have ended, and with it the wishes.
        if !self.wanted.has_changed().unwrap_or(false) {
            return Ok(());
        }
        let wanted = self.wanted.borrow_and_update().clone();
        consumer.pause(&self.list(wanted.difference(&self.now)))?;
        consumer.resume(&self.list(self.now.difference(&wanted)))?;
        self.now = wanted;
        Ok(())
    }

    fn list<'a>(&self, partitions: impl Iterator<Item = &'a i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        list
    }
}

fn command(message: &BorrowedMessage<'_>) -> Command {
    let header = |header: rdkafka::message::Header<'_, &[u8]>| Header {
        name: header.key.to_owned(),
        value: header.value.map(Bytes::copy_from_slice),
    };
    Command {
        place: Place { partition: message.partition(), offset: message.offset() },
        key: message.key().map(Bytes::copy_from_slice),
        headers: message.headers().map(|headers| headers.iter().map(header).collect()).unwrap_or_default(),
        value: message.payload().map(Bytes::copy_from_slice),
    }
}

pub(super) fn again(error: KafkaError) -> OpenError {
    OpenError::Again(format!("the request topic can't be read: {error}"))
}
