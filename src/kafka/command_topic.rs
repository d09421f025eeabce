//! The request topic, and the transactions that answer it.
//!
//! Opening it: (1) wait for an assignment; (2) `init_transactions`, which fences what ran under this `transactional.id`
//! and ends what it left open; (3) ask for the committed offsets as `read_committed`, which waits for transactions of
//! other instances that still hold offsets; (4) read from there on. A transaction of an older generation that (3) did not
//! see is refused its offsets, and with them its replies. Whatever goes wrong later, the session is dropped and opened
//! again: what was read and not committed is read again.

use std::collections::HashMap;
use std::sync::Arc;

use rdkafka::consumer::BaseConsumer;
use tokio_util::sync::CancellationToken;

use super::command_progress::{self, GoneBack};
use super::command_reader::{self, Reader, ReaderEnds};
use super::command_records::{ClosedTopics, ReplyWriter};
use super::context::LogContext;
use super::limits::LearnedLimits;
use super::ownership::Assignment;
use super::records::{Limits, RecordClock};
use super::settings::{CommandTopics, Settings};
use super::tenure::Tenure;
use super::topics::{self, Takes};
use super::transaction::{Failure, OwnedOffsets, Position, Transactions};
use crate::avro::encode::Encoders;
use crate::avro::material::ResultEncoder;
use crate::commands::log::{AnswerBatch, OpenedCommands};
use crate::commands::window::Progress;
use crate::commit::crash_point::{CrashPoint, reach};
use crate::commit::log::{CommitError, CommitLog, OpenError};

/// Opens the request topic, time and again, for the whole life of the process.
#[derive(Clone)]
pub struct CommandTopic {
    parts: Arc<Parts>,
    tenure: Tenure<Session>,
}

struct Parts {
    settings: Settings,
    topics: CommandTopics,
    encoders: Arc<Encoders>,
    results: Arc<ResultEncoder>,
    clock: RecordClock,
    gone_back: Arc<GoneBack>,
    closed: Arc<ClosedTopics>,
}

/// One life of the producer and of the reader.
struct Session {
    transactions: Transactions,
    writer: ReplyWriter,
    assignment: Arc<Assignment>,
    clock: RecordClock,
    /// Stops its thread when it is dropped.
    _reader: Reader,
}

impl CommandTopic {
    pub fn new(
        settings: Settings,
        topics: CommandTopics,
        encoders: Arc<Encoders>,
        results: ResultEncoder,
        clock: RecordClock,
    ) -> CommandTopic {
        let tenure = Tenure::new(settings.clone(), settings.command_group(), topics.requests.clone());
        let (results, gone_back, closed) = (Arc::new(results), Arc::default(), Arc::default());
        let parts = Parts { settings, topics, encoders, results, clock, gone_back, closed };
        CommandTopic { parts: Arc::new(parts), tenure }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub fn topics_checked(&self) -> CancellationToken {
        self.tenure.topics_checked()
    }
}

impl CommitLog for CommandTopic {
    type Opened = OpenedCommands;
    type Batch = AnswerBatch;

    async fn open(&mut self) -> Result<OpenedCommands, OpenError> {
        let (prepared, started) = (self.parts.clone(), self.parts.clone());
        let prepare = || {
            let parts = prepared.clone();
            async move { topics::prepare_commands(&parts.settings, &parts.topics).await }
        };
        self.tenure.open(prepare, move |learned, told, assignment| started.start(learned, &told, assignment)).await
    }

    async fn commit(&mut self, batch: Arc<AnswerBatch>) -> Result<(), CommitError> {
        self.tenure.commit(move |session: &Session| session.commit(&batch)).await
    }

    async fn release(&mut self) {
        self.tenure.release().await;
    }
}

impl Parts {
    /// Fences, then asks how far the requests are answered, then reads. Blocks.
    fn start(
        &self,
        learned: &LearnedLimits,
        told: &HashMap<String, Takes>,
        assignment: Arc<Assignment>,
    ) -> Result<(Session, OpenedCommands), OpenError> {
        let topic = &self.topics.requests;
        let writer = self.writer(learned, told);
        let config = self.settings.producer_config(self.settings.command_transactional_id(), writer.smallest_limit());
        let transactions = Transactions::open(config, topic)?;
        reach(CrashPoint::CommandsFenced);
        let consumer: BaseConsumer<LogContext> = self
            .settings
            .command_reader_config()
            .create_with_context(LogContext::default())
            .map_err(command_reader::again)?;
        let progress = command_progress::committed(&consumer, topic, &assignment.partitions, &self.gone_back)?;
        reach(CrashPoint::ProgressRead);
        let (reader, ReaderEnds { commands, paused }) =
            Reader::start(consumer, topic, &progress, self.gone_back.clone())?;
        let recalled = assignment.recalled.clone();
        let clock = self.clock.clone();
        let session = Session { transactions, writer, assignment, clock, _reader: reader };
        Ok((session, OpenedCommands { progress, commands, paused, recalled }))
    }

    fn writer(&self, learned: &LearnedLimits, told: &HashMap<String, Takes>) -> ReplyWriter {
        let takes = |topic: &String| {
            let takes = told.get(topic)?;
            Some((topic.clone(), Takes { bytes: learned.limit(topic, takes.bytes), ..*takes }))
        };
        let topics = std::iter::once(&self.topics.results).chain(&self.topics.reply_topics);
        let dead_letters = &self.settings.topics.dead_letters;
        ReplyWriter {
            default_topic: self.topics.results.clone(),
            request_topic: self.topics.requests.clone(),
            reply_topics: topics.filter_map(takes).collect(),
            closed: self.closed.clone(),
            dead_letters: dead_letters.clone(),
            dead_letters_limit: takes(dead_letters).map_or(Limits::KAFKA_DEFAULT, |(_, takes)| takes.bytes),
            encoders: self.encoders.clone(),
            results: self.results.clone(),
        }
    }
}

impl Session {
    fn commit(&self, batch: &AnswerBatch) -> Result<(), Failure> {
        let position = |progress: &Progress| Position {
            partition: progress.partition,
            offset: progress.offset,
            metadata: progress.note.clone(),
        };
        let positions = batch.progress.iter().map(position).collect();
        reach(CrashPoint::Answered);
        let topic = self.writer.request_topic.clone();
        let offsets = OwnedOffsets { assignment: self.assignment.clone(), topic, positions };
        let now = (self.clock)();
        let result = self.transactions.commit(|send| self.writer.write(batch, now, send), &offsets);
        if let Err(Failure::Refused { topic, reason }) = &result {
            self.writer.refused(topic.as_deref(), batch, reason);
        }
        result
    }
}
