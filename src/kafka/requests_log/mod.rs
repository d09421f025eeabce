//! The request topic, and the transactions that answer it.
//!
//! Opening it: (1) wait for an assignment; (2) `init_transactions`, which fences what ran under this `transactional.id`
//! and ends what it left open; (3) write a record of its own to the state topic and read to it, which brings everything
//! that was answered before (`command_progress`); (4) compare the request topic with it, which may be another log
//! meanwhile, and write where partitions begin that are to be answered again; (5) read on from there. A transaction of an older generation that (3) did not see is refused its offsets,
//! and with them its replies. Whatever goes wrong later, the session is dropped and opened again: what was read and not
//! committed is read again.
//!
//! The offsets of the group carry no progress: they make the broker check the generation, and show how many requests
//! wait.

pub mod records;

mod progress;

mod again;

mod reader;

pub mod entrance;

pub mod request_client;

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::again::{AgainReader, IDLE_MAX, Pieces};
use self::reader::Reader;
use self::records::{ClosedTopics, ReplyWriter};
use crate::avro::encode::Encoders;
use crate::avro::material::ResultEncoder;
use crate::commit::crash_point::{CrashPoint, reach};
use crate::commit::log::{CommitError, CommitLog, OpenError};
use crate::kafka::client::settings::{CommandTopics, Settings};
use crate::kafka::client::topics::{self, Takes};
use crate::kafka::facts_log::records::{Limits, RecordClock};
use crate::kafka::group::membership::Assignment;
use crate::kafka::transaction::limits::LearnedLimits;
use crate::kafka::transaction::partition_session::{StartFailure, Tenure};
use crate::kafka::transaction::{Failure, OwnedOffsets, Position, Transactions, Written};
use crate::requests::log::{AnswerBatch, OpenedCommands};

/// What the state topic takes at least, where it was not there yet when it was looked at.
const STATE_BYTES_MIN: usize = 64 * 1024;

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
    closed: Arc<ClosedTopics>,
}

/// One life of the producer and of the reader.
struct Session {
    transactions: Transactions,
    writer: ReplyWriter,
    assignment: Arc<Assignment>,
    clock: RecordClock,
    /// Stop their threads when they are dropped.
    _readers: (Reader, AgainReader),
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
        let (results, closed) = (Arc::new(results), Arc::default());
        let parts = Parts { settings, topics, encoders, results, clock, closed };
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
    ) -> Result<(Session, OpenedCommands), StartFailure> {
        let topic = &self.topics.requests;
        let writer = self.writer(learned, told);
        let config = self.settings.producer_config(self.settings.command_transactional_id(), writer.smallest_limit());
        let group = self.settings.command_group();
        let transactions = Transactions::open(config, topic, self.settings.tried_group(&group))?;
        reach(CrashPoint::CommandsFenced);
        let mut pieces = Pieces::new(again::consumer(&self.settings)?, topic);
        let positions = progress::committed(pieces.consumer(), topic, &assignment.partitions)?;
        let offsets = OwnedOffsets { assignment: assignment.clone(), topic: topic.clone(), positions };
        let recalled = assignment.recalled.clone();
        let restored = progress::restore(&self.settings, topic, &transactions, &offsets, &recalled)?;
        progress::refuse_emptied(&self.settings, topic, &restored, &offsets.positions)?;
        let progress = progress::settle(&restored, &mut pieces, topic, &assignment.partitions, &recalled)?;
        let topics = (self.settings.topics.state.as_str(), topic.as_str());
        progress::begin_anew(topics, &restored, &progress, &transactions, &offsets)?;
        reach(CrashPoint::ProgressRead);
        let (reader, commands) = Reader::start(again::consumer(&self.settings)?, topic, &progress)?;
        let (again_reader, again) = AgainReader::start(self.settings.clone(), pieces, IDLE_MAX)?;
        let clock = self.clock.clone();
        let session = Session { transactions, writer, assignment, clock, _readers: (reader, again_reader) };
        Ok((session, OpenedCommands { progress, commands, again, recalled }))
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
            state: self.settings.topics.state.clone(),
            state_limit: takes(&self.settings.topics.state).map_or(STATE_BYTES_MIN, |(_, takes)| takes.bytes),
            encoders: self.encoders.clone(),
            results: self.results.clone(),
        }
    }
}

impl Session {
    fn commit(&self, batch: &AnswerBatch) -> Result<Written, Failure> {
        let position = |&(partition, offset): &(i32, i64)| Position { partition, offset, metadata: String::new() };
        let positions = batch.positions.iter().map(position).collect();
        reach(CrashPoint::Answered);
        let topic = self.writer.request_topic.clone();
        let offsets = OwnedOffsets { assignment: self.assignment.clone(), topic, positions };
        let now = (self.clock)();
        let result = self.transactions.commit(|send| self.writer.write(batch, now, send), &offsets);
        match result {
            Err(Failure::Refused { topic, reason }) => {
                self.writer.refused(Some(&topic), batch, &reason);
                Err(Failure::Refused { topic, reason })
            }
            Err(Failure::NotAllowed { topic, reason }) => {
                let are_others = self.writer.refused(topic.as_deref(), batch, &reason);
                // Without them the next attempt may work.
                Err(if are_others { Failure::NothingWritten(reason) } else { Failure::NotAllowed { topic, reason } })
            }
            // Also where its transaction could not be ended in order, as after the time that brokers give it.
            Err(failure) if self.writer.late(&self.transactions.late_topics()) => Err(match failure {
                Failure::TooSlow(reason) => Failure::NothingWritten(reason),
                failure => failure,
            }),
            result => result,
        }
    }
}
