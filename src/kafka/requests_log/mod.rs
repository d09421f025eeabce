//! The request topic, and the transactions that answer it.
//!
//! Opening it: (1) wait for an assignment; (2) `init_transactions`, which fences what ran under this `transactional.id`
//! and ends what it left open; (3) write a record of its own to the state topic and read to it, which brings everything
//! that was answered before ([`restored`]); (4) compare the request topic with it, which may be another log meanwhile,
//! and write where partitions begin that are to be answered again; (5) read on from there. A transaction of an older
//! generation that (3) did not see is refused its offsets, and with them its replies. Whatever goes wrong later, the
//! session is dropped and opened again: what was read and not committed is read again.
//!
//! The offsets of the group carry no progress: they make the broker check the generation, and show how many requests
//! wait.

pub mod replies;

mod closed_topics;

pub(super) mod topics;

mod known_ends;

mod request_reader;

mod chunk_reader;

mod answered;

mod restored;

mod comparison;

mod rereader;

pub(super) mod inspection;

pub(crate) mod request_producer;

pub(crate) mod request_client;

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::chunk_reader::ChunkReader;
use self::closed_topics::ClosedTopics;
use self::comparison::Comparison;
use self::known_ends::ASK_EVERY;
use self::replies::ReplyWriter;
use self::request_reader::RequestReader;
use self::rereader::{IDLE_MAX, Rereader};
use crate::avro::encode::Encoders;
use crate::avro::material::ResultEncoder;
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::{CommitError, CommitLog, LogError, OpenError};
use crate::kafka::client::settings::{RequestTopics, Settings};
use crate::kafka::group::observer::LogObservers;
use crate::kafka::group::whole_assignment::{Assignment, WholeAssignments};
use crate::kafka::topics::settings::{AcceptedRecords, RECORD_BYTES_DEFAULT};
use crate::kafka::transaction::error::TransactionError;
use crate::kafka::transaction::limits::LearnedLimits;
use crate::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use crate::kafka::transaction::partition_session::{PartitionSession, StartError};
use crate::kafka::transaction::record::RecordClock;
use crate::kafka::transaction::{Transactions, Written};
use crate::requests::log::{AnswerBatch, OpenedRequests, PartitionEnds};

/// What the state topic takes at least, where it was not there yet when it was looked at.
const STATE_BYTES_MIN: usize = 64 * 1024;

/// Opens the request topic, time and again, for the whole life of the process.
#[derive(Clone)]
pub(crate) struct RequestsLog {
    parts: Arc<RequestsLogOpener>,
    partitions: PartitionSession<RequestsSession, WholeAssignments>,
}

struct RequestsLogOpener {
    settings: Settings,
    topics: RequestTopics,
    encoders: Arc<Encoders>,
    results: Arc<ResultEncoder>,
    clock: RecordClock,
    closed: Arc<ClosedTopics>,
}

/// The producer and the reader of one session.
struct RequestsSession {
    transactions: Transactions,
    writer: ReplyWriter,
    assignment: Arc<Assignment>,
    clock: RecordClock,
    /// Stop their threads when they are dropped.
    _readers: (RequestReader, Rereader),
}

impl RequestsLog {
    /// `observers` hear how it fares, and which partitions of the request topic are this instance's.
    pub fn new(
        settings: Settings,
        topics: RequestTopics,
        encoders: Arc<Encoders>,
        results: ResultEncoder,
        clock: RecordClock,
        observers: LogObservers,
    ) -> RequestsLog {
        let (group, topic) = (settings.requests_group(), topics.requests.clone());
        let partitions = PartitionSession::new(settings.clone(), group, topic, observers);
        let (results, closed) = (Arc::new(results), Arc::default());
        let parts = RequestsLogOpener { settings, topics, encoders, results, clock, closed };
        RequestsLog { parts: Arc::new(parts), partitions }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub(crate) fn topics_checked(&self) -> CancellationToken {
        self.partitions.topics_checked()
    }
}

impl CommitLog for RequestsLog {
    type Opened = OpenedRequests;
    type Batch = AnswerBatch;

    async fn open(&mut self) -> Result<OpenedRequests, OpenError> {
        let (prepared, started) = (self.parts.clone(), self.parts.clone());
        let prepare = || {
            let parts = prepared.clone();
            async move { topics::prepare(&parts.settings, &parts.topics).await }
        };
        self.partitions.open(prepare, move |learned, told, assignment| started.start(learned, &told, assignment)).await
    }

    async fn commit(&mut self, batch: Arc<AnswerBatch>) -> Result<(), CommitError> {
        self.partitions.commit(move |session: &RequestsSession| session.commit(&batch)).await
    }

    async fn release(&mut self) {
        self.partitions.release().await;
    }
}

impl RequestsLogOpener {
    /// Fences, then asks how far the requests are answered, then reads. Blocks.
    ///
    /// # Errors
    /// [`StartError`], by whether this may be tried again.
    fn start(
        &self,
        learned: &LearnedLimits,
        told: &HashMap<String, AcceptedRecords>,
        assignment: Arc<Assignment>,
    ) -> Result<(RequestsSession, OpenedRequests), StartError> {
        // A producer of its own would only fence the one of whoever comes next.
        if assignment.revoked.is_cancelled() {
            return Err(OpenError::Again("the partitions were revoked before the log was open".into()).into());
        }
        let topic = &self.topics.requests;
        let writer = self.writer(learned, told);
        let config = self.settings.producer_config(self.settings.requests_transactional_id(), writer.smallest_limit());
        let group = self.settings.requests_group();
        let transactions = Transactions::open(&self.settings, config, topic, self.settings.tried_group(&group))?;
        reach(Failpoint::RequestsFenced);
        let mut chunks = ChunkReader::new(chunk_reader::consumer(&self.settings)?, topic);
        // Before the state is read: what is committed by now has left its record there already.
        let committed = answered::committed(chunks.consumer(), topic, &assignment.partitions())?;
        let offsets = OwnedOffsets { owner: assignment.owner()?, topic: topic.clone(), committed };
        let revoked = assignment.revoked.clone();
        let restored = restored::restore(&self.settings, topic, &transactions, &offsets, &revoked)?;
        answered::refuse_emptied(&self.settings, topic, &restored, &offsets.committed)?;
        let mut comparison = Comparison { topic, restored: &restored, chunks: &mut chunks, stop: &revoked };
        let progress = comparison.settle(&assignment.partitions())?;
        let topics = (self.settings.topics.state.as_str(), topic.as_str());
        answered::begin_anew(topics, &restored, &progress, &transactions, &offsets)?;
        reach(Failpoint::ProgressRead);
        let ends: Arc<PartitionEnds> = Arc::default();
        let (reader, records) = RequestReader::start(&self.settings, topic, &progress, ends.clone(), ASK_EVERY)?;
        let (again_reader, again) = Rereader::start(self.settings.clone(), chunks, IDLE_MAX)?;
        let clock = self.clock.clone();
        let session = RequestsSession { transactions, writer, assignment, clock, _readers: (reader, again_reader) };
        Ok((session, OpenedRequests { answered: progress, records, again, ends, revoked }))
    }

    fn writer(&self, learned: &LearnedLimits, told: &HashMap<String, AcceptedRecords>) -> ReplyWriter {
        let takes = |topic: &String| {
            let takes = told.get(topic)?;
            Some((topic.clone(), AcceptedRecords { bytes: learned.limit(topic, takes.bytes), ..*takes }))
        };
        let topics = std::iter::once(&self.topics.results).chain(&self.topics.reply_topics);
        let dead_letters = &self.settings.topics.dead_letters;
        ReplyWriter {
            default_topic: self.topics.results.clone(),
            request_topic: self.topics.requests.clone(),
            reply_topics: topics.filter_map(takes).collect(),
            closed: self.closed.clone(),
            dead_letters: dead_letters.clone(),
            dead_letters_limit: takes(dead_letters).map_or(RECORD_BYTES_DEFAULT, |(_, takes)| takes.bytes),
            state: self.settings.topics.state.clone(),
            state_limit: takes(&self.settings.topics.state).map_or(STATE_BYTES_MIN, |(_, takes)| takes.bytes),
            encoders: self.encoders.clone(),
            results: self.results.clone(),
        }
    }
}

impl RequestsSession {
    /// Answers in one transaction.
    ///
    /// # Errors
    /// [`TransactionError`]. Where only reply topics of others have failed, the same batch may be committed again: it does
    /// without them then.
    fn commit(&self, batch: &AnswerBatch) -> Result<Written, TransactionError> {
        let committed_offset =
            |&(partition, offset): &(i32, i64)| CommittedOffset { partition, offset, metadata: String::new() };
        let committed = batch.positions.iter().map(committed_offset).collect();
        reach(Failpoint::Answered);
        let topic = self.writer.request_topic.clone();
        let owner = self.assignment.owner().map_err(|revoked| TransactionError::Reopen(LogError::new(revoked)))?;
        let offsets = OwnedOffsets { owner, topic, committed };
        let now = (self.clock)();
        let result = self.transactions.commit(|send| self.writer.write(batch, now, send), &offsets);
        match result {
            Err(TransactionError::Refused { topic, reason }) => {
                self.writer.refused(Some(&topic), batch, &reason);
                Err(TransactionError::Refused { topic, reason })
            }
            Err(TransactionError::NotAllowed { topic, reason }) => {
                let are_others = self.writer.refused(topic.as_deref(), batch, &reason);
                // Without them the next attempt may work.
                Err(if are_others {
                    TransactionError::NothingWritten(reason)
                } else {
                    TransactionError::NotAllowed { topic, reason }
                })
            }
            // Also where its transaction could not be ended in order, as after the time that brokers give it.
            Err(failure) if self.writer.late(&self.transactions.late_topics()) => Err(match failure {
                TransactionError::TooSlow(reason) => TransactionError::NothingWritten(reason),
                failure => failure,
            }),
            result => result,
        }
    }
}
