//! Reads requests from where they are answered, in a thread of its own.

use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
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
    ) -> Result<(Reader, mpsc::Receiver<Command>), OpenError> {
        let mut assignment = TopicPartitionList::new();
        for Progress { partition, offset, .. } in progress {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(again)?;
        }
        consumer.assign(&assignment).map_err(again)?;
        let (commands, receiver) = mpsc::channel(QUEUE_MAX);
        let stop = CancellationToken::new();
        let thread = std::thread::Builder::new()
            .name("requests".into())
            .spawn({
                let stop = stop.clone();
                move || read(&consumer, &commands, &stop)
            })
            .map_err(|error| OpenError::Again(format!("no thread for reading requests: {error}")))?;
        Ok((Reader { stop, thread: Some(thread) }, receiver))
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
fn read(consumer: &BaseConsumer<LogContext>, commands: &mpsc::Sender<Command>, stop: &CancellationToken) {
    while !stop.is_cancelled() {
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
