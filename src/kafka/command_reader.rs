//! Reads requests from where they are answered, in a thread of its own.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::command_progress::GoneBack;
use super::context::LogContext;
use super::headers::headers;
use crate::commands::command::{Command, Place};
use crate::commands::window::Progress;
use crate::commit::log::OpenError;

/// Also the longest that the reading thread takes to stop.
const POLL: Duration = Duration::from_millis(100);
/// Commands between the reader and the lane: the lane keeps those that it has begun, these only bridge a moment.
const QUEUE_MAX: usize = 16;
/// A full queue means that calls are under way; they take longer than this.
const FULL_PAUSE: Duration = Duration::from_millis(2);

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
        gone_back: Arc<GoneBack>,
    ) -> Result<(Reader, ReaderEnds), OpenError> {
        let mut assignment = TopicPartitionList::new();
        for Progress { partition, offset, .. } in progress {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(again)?;
        }
        consumer.assign(&assignment).map_err(again)?;
        let (commands, receiver) = mpsc::channel(QUEUE_MAX);
        let (paused, wanted) = watch::channel(BTreeSet::new());
        let stop = CancellationToken::new();
        let reading = Reading {
            consumer,
            commands,
            pauses: Pauses { topic: topic.to_owned(), wanted, now: BTreeSet::new() },
            next: progress.iter().map(|progress| (progress.partition, progress.offset)).collect(),
            gone_back,
            stop: stop.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("requests".into())
            .spawn(move || reading.run())
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

/// What the thread has.
struct Reading {
    consumer: BaseConsumer<LogContext>,
    commands: mpsc::Sender<Command>,
    pauses: Pauses,
    /// The least offset that may come, by partition.
    next: HashMap<i32, i64>,
    gone_back: Arc<GoneBack>,
    stop: CancellationToken,
}

impl Reading {
    /// Until it is stopped, librdkafka can't go on, or a partition has gone back.
    fn run(mut self) {
        while !self.stop.is_cancelled() {
            if let Err(error) = self.pauses.follow(&self.consumer) {
                self.consumer.context().error(&error, "pausing a partition of requests");
            }
            match self.consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => {
                    let command = command(&message);
                    let Place { partition, offset } = command.place;
                    let next = self.next.entry(partition).or_insert(offset);
                    if offset < *next {
                        self.gone_back.note(&self.pauses.topic, command.place, *next);
                        return;
                    }
                    *next = offset + 1;
                    if hand_over(command, &self.commands, &self.stop).is_err() {
                        return;
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    self.consumer.context().error(&error, "reading requests");
                    return;
                }
                Some(Err(error)) => self.consumer.context().error(&error, "reading requests"),
            }
        }
    }
}

/// Nobody takes it any more.
struct Unwanted;

/// The lane's end of the queue may outlive the wish to stop, so this never waits without looking.
fn hand_over(mut command: Command, commands: &mpsc::Sender<Command>, stop: &CancellationToken) -> Result<(), Unwanted> {
    while let Err(refused) = commands.try_send(command) {
        let mpsc::error::TrySendError::Full(back) = refused else { return Err(Unwanted) };
        if stop.is_cancelled() {
            return Err(Unwanted);
        }
        command = back;
        std::thread::sleep(FULL_PAUSE);
    }
    Ok(())
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
        if *self.wanted.borrow() == self.now {
            return Ok(());
        }
        let wanted = self.wanted.borrow().clone();
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
    Command {
        place: Place { partition: message.partition(), offset: message.offset() },
        key: message.key().map(Bytes::copy_from_slice),
        headers: headers(message),
        value: message.payload().map(Bytes::copy_from_slice),
    }
}

pub(super) fn again(error: KafkaError) -> OpenError {
    OpenError::Again(format!("the request topic can't be read: {error}"))
}
