//! Reads requests from where they are answered, in a thread of its own.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::known_ends::EndsWatch;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::context::LogContext;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::event_queue::EventQueue;
use crate::kafka::client::headers::headers;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::kafka::topics::lookup;
use crate::model::request::answered_offsets::AnsweredOffsets;
use crate::model::request::record::{RecordOffset, RequestRecord};
use crate::model::time::UnixMillis;
use crate::requests::log::PartitionEnds;

/// Requests between the reader and the pipeline: the pipeline keeps those that it has begun, these only bridge a moment.
const QUEUE_MAX: usize = 16;
/// A full queue means that calls are under way; they take longer than this.
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// A thread that reads. It waits for the pipeline to take a request, so few are in memory.
pub struct RequestReader {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    _ends: EndsWatch,
}

impl RequestReader {
    /// Where the partitions end is noted in `ends`, and asked for each time that `ask_every` is over.
    ///
    /// # Errors
    /// [`OpenError::Again`] where librdkafka can't begin to read, or there is no thread.
    pub fn start(
        settings: &Settings,
        topic: &str,
        progress: &[AnsweredOffsets],
        ends: Arc<PartitionEnds>,
        ask_every: Duration,
    ) -> Result<(RequestReader, mpsc::Receiver<RequestRecord>), OpenError> {
        let consumer: LoggedConsumer =
            settings.requests_reader_config().create_with_context(LogContext::default()).map_err(again)?;
        let mut assignment = TopicPartitionList::new();
        for AnsweredOffsets { partition, next, .. } in progress {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(*next)).map_err(again)?;
        }
        consumer.assign(&assignment).map_err(again)?;
        let events = EventQueue::of_consumer(&*consumer).map_err(again)?;
        let partitions = progress.iter().map(|progress| progress.partition).collect();
        let ends = EndsWatch::start(&consumer, topic, partitions, ends, ask_every).map_err(no_thread)?;
        let (records, receiver) = mpsc::channel(QUEUE_MAX);
        let stop = CancellationToken::new();
        let reading = ReadingThread {
            events,
            consumer,
            records,
            topic: topic.to_owned(),
            next: progress.iter().map(|progress| (progress.partition, progress.next)).collect(),
            was_missing: false,
            stop: stop.clone(),
        };
        let thread =
            std::thread::Builder::new().name("requests".into()).spawn(move || reading.run()).map_err(no_thread)?;
        Ok((RequestReader { stop, thread: Some(thread), _ends: ends }, receiver))
    }
}

fn no_thread(error: io::Error) -> OpenError {
    OpenError::Again(LogError::because("no thread for reading requests", error))
}

impl Drop for RequestReader {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct ReadingThread {
    /// Before the consumer, as it demands.
    events: EventQueue,
    consumer: LoggedConsumer,
    records: mpsc::Sender<RequestRecord>,
    topic: String,
    /// The least offset that may come, by partition.
    next: HashMap<i32, i64>,
    /// The topic was not there for a while.
    was_missing: bool,
    stop: CancellationToken,
}

impl ReadingThread {
    /// Until it is stopped, librdkafka can't go on, or the log may be another one.
    fn run(mut self) {
        while !self.stop.is_cancelled() {
            // Waits for the queue instead of in a poll: so a stop is seen at once, and not after a poll's time-out.
            self.events.wait(&self.stop);
            match self.consumer.poll(Duration::ZERO) {
                None => {}
                Some(Ok(message)) => {
                    // Whoever opens the log anew compares it with what was answered; read on, it would be taken for the same.
                    let record = request_record(&message);
                    if self.is_of_another_log(record.location) || hand_over(record, &self.records, &self.stop).is_err()
                    {
                        return;
                    }
                }
                // The thread ends, and the queue with it: so the pipeline learns of it, and opens the log anew.
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    self.consumer.context().error(&error, "reading requests");
                    return;
                }
                Some(Err(error)) => {
                    // librdkafka reads on as soon as the topic is there again, and says nothing when it is.
                    self.was_missing |= lookup::is_missing_in(&error);
                    self.consumer.context().error(&error, "reading requests");
                }
            }
        }
    }

    /// Offsets that go back, or a topic that is there again, mean that it may have been made anew or has lost its tail:
    /// whoever opens it next compares.
    fn is_of_another_log(&mut self, RecordOffset { partition, offset }: RecordOffset) -> bool {
        let next = self.next.entry(partition).or_insert(offset);
        let is_another = offset < *next || self.was_missing;
        if is_another {
            let (topic, next) = (&self.topic, *next);
            tracing::warn!(topic, partition, offset, next, "the request topic may be another log, and is looked at");
        }
        *next = offset + 1;
        is_another
    }
}

/// Nobody takes it any more.
struct Unwanted;

/// The pipeline's end of the queue may outlive the wish to stop, so this never waits without looking.
///
/// # Errors
/// [`Unwanted`] where the pipeline is gone, or the reading is to stop. The record is read again by whoever opens the log next.
fn hand_over(
    mut record: RequestRecord,
    records: &mpsc::Sender<RequestRecord>,
    stop: &CancellationToken,
) -> Result<(), Unwanted> {
    while let Err(refused) = records.try_send(record) {
        let mpsc::error::TrySendError::Full(back) = refused else { return Err(Unwanted) };
        if stop.is_cancelled() {
            return Err(Unwanted);
        }
        // Nothing is polled meanwhile, which costs nothing: this consumer is no member of a group that would miss it.
        record = back;
        std::thread::sleep(FULL_PAUSE);
    }
    Ok(())
}

/// As the pipeline takes it.
pub fn request_record(message: &BorrowedMessage<'_>) -> RequestRecord {
    RequestRecord {
        location: RecordOffset { partition: message.partition(), offset: message.offset() },
        timestamp: UnixMillis(message.timestamp().to_millis().unwrap_or(0)),
        key: message.key().map(Bytes::copy_from_slice),
        headers: headers(message),
        value: message.payload().map(Bytes::copy_from_slice),
    }
}

pub fn again(error: KafkaError) -> OpenError {
    OpenError::Again(ClientError::new("the request topic can't be read", error).into())
}
