//! The request topic, and the transactions that answer it.
//!
//! Opening it: (1) wait for an assignment; (2) `init_transactions`, which fences what ran under this `transactional.id`
//! and ends what it left open; (3) ask for the committed offsets as `read_committed`, which waits for transactions of
//! other instances that still hold offsets; (4) read from there on. A transaction of an older generation that (3) did not
//! see is refused its offsets, and with them its replies. Whatever goes wrong later, the session is dropped and opened
//! again: what was read and not committed is read again.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::command_records::ReplyWriter;
use super::context::LogContext;
use super::limits::LearnedLimits;
use super::ownership::Assignment;
use super::records::Limits;
use super::settings::{CommandTopics, Settings};
use super::topics;
use super::transaction::{Failure, OwnedOffsets, Position, Transactions};
use crate::avro::encode::Encoders;
use crate::avro::material::ResultEncoder;
use crate::commands::command::{Command, Header, Place};
use crate::commands::log::{AnswerBatch, CommandLog, OpenedCommands};
use crate::commands::window::Progress;
use crate::commit::crash_point::{CrashPoint, reach};
use crate::commit::log::{CommitError, OpenError};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Also the longest that the reading thread takes to stop.
const POLL: Duration = Duration::from_millis(100);
/// Commands between the reader and the lane: the lane keeps those that it has begun, these only bridge a moment.
const QUEUE_MAX: usize = 16;

/// Opens the request topic, time and again, for the whole life of the process.
#[derive(Clone)]
pub struct CommandTopic {
    shared: Arc<Shared>,
    session: Option<Arc<Session>>,
}

struct Shared {
    settings: Settings,
    topics: CommandTopics,
    encoders: Arc<Encoders>,
    results: Arc<ResultEncoder>,
    claim: Claim,
    learned_limits: LearnedLimits,
    topics_checked: CancellationToken,
}

/// One life of the producer and of the reader.
struct Session {
    transactions: Transactions,
    writer: ReplyWriter,
    assignment: Arc<Assignment>,
    /// Stops its thread when it is dropped.
    _reader: Reader,
}

impl CommandTopic {
    pub fn new(
        settings: Settings,
        topics: CommandTopics,
        encoders: Arc<Encoders>,
        results: ResultEncoder,
    ) -> CommandTopic {
        let claim = Claim::new(settings.command_group(), topics.requests.clone());
        let results = Arc::new(results);
        let shared = Shared {
            settings,
            topics,
            encoders,
            results,
            claim,
            learned_limits: LearnedLimits::default(),
            topics_checked: CancellationToken::new(),
        };
        CommandTopic { shared: Arc::new(shared), session: None }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub fn topics_checked(&self) -> CancellationToken {
        self.shared.topics_checked.clone()
    }
}

impl CommandLog for CommandTopic {
    async fn open(&mut self) -> Result<OpenedCommands, OpenError> {
        self.release().await;
        let shared = self.shared.clone();
        let limits = topics::prepare_commands(&shared.settings, &shared.topics).await?;
        shared.topics_checked.cancel();
        let assignment = shared.claim.acquire(&shared.settings).await?;
        let opened = tokio::task::spawn_blocking(move || shared.start(&limits, assignment));
        let opened = opened.await.map_err(|error| OpenError::Again(format!("opening the request topic: {error}")));
        match opened.and_then(|result| result) {
            Ok((session, opened)) => {
                self.session = Some(Arc::new(session));
                Ok(opened)
            }
            Err(error) => {
                self.release().await;
                Err(error)
            }
        }
    }

    async fn commit(&mut self, batch: Arc<AnswerBatch>) -> Result<(), CommitError> {
        let Some(session) = self.session.clone() else {
            return Err(CommitError::Reopen("the request topic is not open".into()));
        };
        let (topic, number) = (self.shared.topics.requests.clone(), session.assignment.number);
        let result = tokio::task::spawn_blocking(move || session.commit(&batch, topic)).await;
        let result = result.unwrap_or_else(|error| Err(Failure::Reopen(format!("transaction thread: {error}"))));
        result.map_err(|failure| self.shared.judge(failure, number))
    }

    async fn release(&mut self) {
        if let Some(session) = self.session.take() {
            // The ends of producer and reader block until their threads have ended.
            let dropped = tokio::task::spawn_blocking(move || drop(session)).await;
            if let Err(error) = dropped {
                tracing::error!(%error, "closing the producer of replies");
            }
        }
        self.shared.claim.release();
    }
}

impl Shared {
    /// Fences, then asks how far the requests are answered, then reads. Blocks.
    fn start(
        &self,
        limits: &HashMap<String, usize>,
        assignment: Arc<Assignment>,
    ) -> Result<(Session, OpenedCommands), OpenError> {
        let writer = self.writer(limits);
        let config = self.settings.producer_config(self.settings.command_transactional_id(), writer.smallest_limit());
        let transactions = Transactions::open(&config, &self.topics.requests).map_err(OpenError::Again)?;
        reach(CrashPoint::CommandsFenced);
        let consumer: BaseConsumer<LogContext> =
            self.settings.command_reader_config().create_with_context(LogContext::default()).map_err(again)?;
        let topic = &self.topics.requests;
        let progress = committed(&consumer, topic, &assignment.partitions)?;
        reach(CrashPoint::ProgressRead);
        let (reader, commands) = Reader::start(consumer, topic, &progress)?;
        let recalled = assignment.recalled.clone();
        tracing::info!(topic, partitions = progress.len(), "requests for material are taken");
        let session = Session { transactions, writer, assignment, _reader: reader };
        Ok((session, OpenedCommands { progress, commands, recalled }))
    }

    fn writer(&self, limits: &HashMap<String, usize>) -> ReplyWriter {
        let limit = |topic: &String| {
            let told = limits.get(topic).copied().unwrap_or(Limits::KAFKA_DEFAULT);
            self.learned_limits.apply(topic, told)
        };
        let topics = std::iter::once(&self.topics.results).chain(&self.topics.reply_topics);
        ReplyWriter {
            default_topic: self.topics.results.clone(),
            request_topic: self.topics.requests.clone(),
            reply_limits: topics.map(|topic| (topic.clone(), limit(topic))).collect(),
            dead_letters: self.settings.topics.dead_letters.clone(),
            dead_letters_limit: limit(&self.settings.topics.dead_letters),
            encoders: self.encoders.clone(),
            results: self.results.clone(),
        }
    }

    fn judge(&self, failure: Failure, assignment: u64) -> CommitError {
        match failure {
            Failure::NothingWritten(reason) => CommitError::NothingWritten(reason),
            Failure::Reopen(reason) => CommitError::Reopen(reason),
            Failure::Recalled(reason) => {
                self.claim.refuse(assignment);
                CommitError::Reopen(reason)
            }
            Failure::TooLarge { topic, reason } => {
                self.learned_limits.learn(topic);
                CommitError::Reopen(reason)
            }
        }
    }
}

impl Session {
    fn commit(&self, batch: &AnswerBatch, topic: String) -> Result<(), Failure> {
        let position = |progress: &Progress| Position {
            partition: progress.partition,
            offset: progress.offset,
            metadata: progress.note.clone(),
        };
        let positions = batch.progress.iter().map(position).collect();
        reach(CrashPoint::Answered);
        let offsets = OwnedOffsets { assignment: self.assignment.clone(), topic, positions };
        self.transactions.commit(|now, send| self.writer.write(batch, now, send), &offsets)
    }
}

/// How far each partition is answered; from its beginning where nothing ever was.
fn committed(consumer: &BaseConsumer<LogContext>, topic: &str, partitions: &[i32]) -> Result<Vec<Progress>, OpenError> {
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
struct Reader {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn start(
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

/// A full queue means that calls are under way; they take longer than this.
const FULL_PAUSE: Duration = Duration::from_millis(2);

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

fn again(error: KafkaError) -> OpenError {
    OpenError::Again(format!("the request topic can't be read: {error}"))
}
