//! One batch, one transaction.
//!
//! # The order of steps
//!
//! 1. `begin_transaction`.
//! 2. Send the records: events, dead letters and state; or replies and dead letters.
//! 3. Wait until every one of them is acknowledged.
//! 4. `send_offsets_to_transaction`, with the group metadata of the assignment.
//! 5. `commit_transaction`.
//!
//! The offsets of the registry carry no progress (nothing of it is consumed by them); they make the broker check the
//! generation. Those of the request topic are the progress. Both come *after* the records and just before the commit,
//! because then a transaction that an older generation could still get through has all its records below the end to
//! which a new owner reads the state topic: the check passed while the older generation was current, so before the new
//! owner was assigned anything, and the records were acknowledged before the check. A transaction that is checked later
//! is refused.
//!
//! # What every error means
//!
//! | step | error | reaction |
//! |---|---|---|
//! | init | retriable (coordinator loading, timeout) | call again, for [`STEP_MAX`]; then open again |
//! | init | no right to it, no transactions, too long a time-out for the brokers | stop: only an operator can help |
//! | init | fenced, any other | open again |
//! | begin | any | open again |
//! | send | local queue full | wait for room, for [`STEP_MAX`]; then as any other |
//! | send | any other | abort: *nothing written*; if the abort fails, open again |
//! | acknowledge | a record or its batch was refused as too large | abort: *too large*; the limits are read anew |
//! | acknowledge | a record was refused for its time | abort: *wrong time*; the limits are read anew |
//! | acknowledge | a record was refused for what it is (no key, no topic) | abort: *refused*: nothing written |
//! | acknowledge | the user may not write to one of its topics | abort: *not allowed*: nothing written |
//! | acknowledge | a record was not delivered in time | abort: *too slow*: nothing written |
//! | acknowledge | a record was not delivered | abort: *nothing written* |
//! | offsets | retriable | call again, for [`STEP_MAX`]; then abort |
//! | offsets | an older generation, an unknown or fenced member | abort; *revoked*: wait for the next assignment |
//! | offsets | any other abortable | abort: *nothing written* |
//! | offsets | fenced, fatal | open again |
//! | commit | retriable (timeout, brokers down) | call again, which resumes it, for [`STEP_MAX`]; then open again |
//! | commit | any other, abortable ones too | open again: the outcome may be unknown |
//! | abort | retriable | call again, for [`STEP_MAX`]; then open again |
//! | abort | any other | open again |
//!
//! "Nothing written" is said only when the abort itself succeeded and no commit had been tried. After a commit that
//! failed, the log decides: opening again fences this producer, ends its transaction one way or the other, and reads the
//! state topic to its end.
//!
//! # When a producer is given up
//!
//! librdkafka does not number its transactions for the broker (KIP-890). An EndTxn that it has sent twice, because the
//! answer to the first was lost, could arrive so late that it ends a later transaction of the same producer, half written;
//! offsets that it has sent twice could take a later transaction's place. So a producer goes on only after offsets and a
//! commit that were answered at once. After an abort, and after a commit that took as long as sending it twice takes ([`RESENT_AFTER`]), the next transaction has a new producer, whose `init` makes the
//! broker refuse whatever is still on its way. Nothing need be read anew for that: what was committed is known, and
//! whether this instance is still the owner is checked with the offsets.

pub mod record;

pub(super) mod dead_letters;

mod producer;

mod generation;

pub mod limits;

pub(super) mod partition_session;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};

pub use self::producer::STEP_MAX;
use self::producer::{CALL_TIMEOUT, TransactionalProducer, retried};
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::error::ClientError;
use crate::kafka::client::rights;
use crate::kafka::client::supplied::ClientSetup;
use crate::kafka::group::member::Assignment;
use crate::kafka::transaction::record::Record;
use crate::model::time::UnixMillis;
use crate::text;

/// librdkafka sends a request again when its connection broke or its time ran out; a commit that is answered within
/// this time was at most sent again within it, and the broker works off what it has received far sooner.
pub const RESENT_AFTER: Duration = Duration::from_secs(1);

/// What the failed transaction means to whoever wanted it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// The abort succeeded and no commit was tried.
    #[error(transparent)]
    NothingWritten(LogError),
    /// The same, because the records were not acknowledged in their time.
    #[error(transparent)]
    TooSlow(LogError),
    /// A member of a newer generation may own the partitions.
    #[error(transparent)]
    Revoked(LogError),
    /// This producer can't go on, or the outcome is unknown.
    #[error(transparent)]
    Reopen(LogError),
    /// Nothing was written: the topic refuses one of the records, and would again.
    #[error("topic {topic} refuses a record")]
    Refused {
        topic: String,
        #[source]
        reason: LogError,
    },
    /// Nothing was written: the user may not write to the topic. Absent where librdkafka does not say to which.
    #[error("{}", rights::may_not_write(topic.as_deref()))]
    NotAllowed {
        topic: Option<String>,
        #[source]
        reason: LogError,
    },
    /// Nothing was written: the broker takes no record that large on this topic.
    #[error("topic {topic} takes no record that large")]
    TooLarge {
        topic: String,
        #[source]
        reason: LogError,
    },
    /// Nothing was written: the broker takes no record of this time on this topic.
    #[error("topic {topic} takes no record of this time")]
    WrongTime {
        topic: String,
        time: UnixMillis,
        #[source]
        reason: LogError,
    },
}

/// The transaction failed, and so did its abort. It says both, though only the first led here: neither is a cause of the other.
#[derive(Debug, thiserror::Error)]
#[error("{}; then abort: {abort}", text::with_causes(failed))]
struct AbortError {
    failed: ClientError,
    abort: KafkaError,
}

/// What is sent along with the records: offsets of partitions that are owned, under the assignment that says so.
pub struct OwnedOffsets {
    pub assignment: Arc<Assignment>,
    /// The topic that is assigned.
    pub topic: String,
    pub committed: Vec<CommittedOffset>,
}

/// How far a partition is consumed.
pub struct CommittedOffset {
    pub partition: i32,
    pub offset: i64,
    /// Kept with the offset; may be empty.
    pub metadata: String,
}

/// Transactions of one `transactional.id`, one after the other. All calls block.
pub struct Transactions {
    config: ClientSetup,
    /// One that the producer may ask about.
    topic: String,
    next: Mutex<NextProducer>,
    /// Of the last transaction, where it has failed: topics that have not acknowledged their records in time.
    late: Mutex<Vec<String>>,
}

/// The topics that a transaction has written to.
pub type Written = BTreeSet<String>;

/// What the next transaction is written with.
enum NextProducer {
    Producer(TransactionalProducer),
    /// The end of the last one may have been sent twice.
    NewProducer,
    /// None may follow: what was committed is not known any more.
    Nothing,
}

impl Transactions {
    /// Fences every earlier producer of the same `transactional.id`, and ends what it left open. `topic` is one that the
    /// producer may ask about. The brokers must look at the generations of `group`; nothing leaves that untried.
    pub fn open(config: ClientSetup, topic: &str, group: Option<&str>) -> Result<Transactions, OpenError> {
        if let Some(group) = group {
            generation::require_checked(&config, group, topic)?;
        }
        let producer = TransactionalProducer::open(&config, topic)?;
        let (topic, next) = (topic.to_owned(), Mutex::new(NextProducer::Producer(producer)));
        Ok(Transactions { config, topic, next, late: Mutex::default() })
    }

    /// `write` hands every record of the transaction to the sender that it is given, until that fails.
    pub fn commit(
        &self,
        write: impl FnOnce(&mut dyn FnMut(Record<'_>) -> Result<(), KafkaError>) -> Result<(), KafkaError>,
        offsets: &OwnedOffsets,
    ) -> Result<Written, TransactionError> {
        let mut next = self.next.lock();
        let producer = match std::mem::replace(&mut *next, NextProducer::Nothing) {
            NextProducer::Producer(producer) => producer,
            // It would fence the producer of whoever was given the partitions next, and be refused its offsets itself.
            NextProducer::NewProducer if offsets.assignment.revoked.is_cancelled() => {
                return Err(TransactionError::Reopen(
                    "the partitions were revoked before the transaction began".into(),
                ));
            }
            NextProducer::NewProducer => TransactionalProducer::open(&self.config, &self.topic)
                .map_err(|error| TransactionError::Reopen(LogError::new(error)))?,
            NextProducer::Nothing => return Err(TransactionError::Reopen("a transaction before it has failed".into())),
        };
        let mut written = Written::new();
        let noted = |send: &mut dyn FnMut(Record<'_>) -> Result<(), KafkaError>| {
            write(&mut |record| {
                if !written.contains(record.topic) {
                    written.insert(record.topic.to_owned());
                }
                send(record)
            })
        };
        let result = commit(&producer, noted, offsets);
        let late = if result.is_ok() { Vec::new() } else { producer.kafka().context().late_topics() };
        *self.late.lock() = late;
        *next = match &result {
            Ok(CommitAnswer::AtOnce) => NextProducer::Producer(producer),
            Ok(CommitAnswer::Late)
            | Err(
                TransactionError::NothingWritten(_)
                | TransactionError::TooSlow(_)
                | TransactionError::Refused { .. }
                | TransactionError::NotAllowed { .. },
            ) => NextProducer::NewProducer,
            Err(
                TransactionError::Revoked(_)
                | TransactionError::Reopen(_)
                | TransactionError::TooLarge { .. }
                | TransactionError::WrongTime { .. },
            ) => NextProducer::Nothing,
        };
        result.map(|_| written)
    }

    /// Where the last transaction has failed, the topics that have not acknowledged their records in time.
    pub fn late_topics(&self) -> Vec<String> {
        self.late.lock().clone()
    }
}

/// When the answer to a commit came.
enum CommitAnswer {
    AtOnce,
    Late,
}

fn commit(
    producer: &TransactionalProducer,
    write: impl FnOnce(&mut dyn FnMut(Record<'_>) -> Result<(), KafkaError>) -> Result<(), KafkaError>,
    offsets: &OwnedOffsets,
) -> Result<CommitAnswer, TransactionError> {
    let kafka = producer.kafka();
    kafka.context().reset();
    kafka.begin_transaction().map_err(|error| reopen(producer, "begin", error))?;
    write(&mut |record| producer.send(&record)).map_err(|error| abort(producer, "send", error))?;
    reach(Failpoint::RecordsSent);
    acknowledge(producer, offsets)?;
    reach(Failpoint::RecordsAcknowledged);
    let began = Instant::now();
    send_offsets(producer, offsets)?;
    reach(Failpoint::OffsetsSent);
    retried(|| kafka.commit_transaction(CALL_TIMEOUT)).map_err(|error| reopen(producer, "commit", error))?;
    reach(Failpoint::Committed);
    let took = began.elapsed();
    if took < RESENT_AFTER {
        return Ok(CommitAnswer::AtOnce);
    }
    tracing::info!(seconds = took.as_secs_f64(), "a commit took long: the next transaction has a new producer");
    Ok(CommitAnswer::Late)
}

/// Waits until every record of the transaction is acknowledged or refused.
fn acknowledge(producer: &TransactionalProducer, offsets: &OwnedOffsets) -> Result<(), TransactionError> {
    if !producer.flush() {
        let failure = abort(producer, "acknowledge", KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
        return Err(too_slow(failure));
    }
    let Some(refused) = producer.kafka().context().first_refusal() else { return Ok(()) };
    if refused.is_purged() {
        return Err(purged(producer, offsets, refused.error));
    }
    let failure = abort(producer, &format!("topic {}", refused.topic), refused.error.clone());
    match failure {
        TransactionError::NothingWritten(reason) if refused.is_too_large() => {
            Err(TransactionError::TooLarge { topic: refused.topic, reason })
        }
        TransactionError::NothingWritten(reason) if refused.is_of_wrong_time() => {
            Err(TransactionError::WrongTime { topic: refused.topic, time: refused.time, reason })
        }
        failure if refused.is_late() => Err(too_slow(failure)),
        TransactionError::NothingWritten(reason) if refused.is_not_allowed() => {
            Err(TransactionError::NotAllowed { topic: Some(refused.topic), reason })
        }
        TransactionError::NothingWritten(reason) if refused.is_final() => {
            Err(TransactionError::Refused { topic: refused.topic, reason })
        }
        failure => Err(failure),
    }
}

fn too_slow(failure: TransactionError) -> TransactionError {
    match failure {
        TransactionError::NothingWritten(reason) => TransactionError::TooSlow(reason),
        failure => failure,
    }
}

/// The records were thrown away because the transaction had failed before they could be sent. What for is told by the
/// next call, which librdkafka refuses.
fn purged(producer: &TransactionalProducer, offsets: &OwnedOffsets, error: KafkaError) -> TransactionError {
    let list = offsets.list().unwrap_or_default();
    let refusal = producer.kafka().send_offsets_to_transaction(&list, &offsets.assignment.metadata, CALL_TIMEOUT);
    let cause = refusal.err().unwrap_or(error);
    let may_not = matches!(
        &cause,
        KafkaError::Transaction(cause) if cause.code() == RDKafkaErrorCode::TopicAuthorizationFailed
    );
    if may_not { may_not_write(producer, cause) } else { abort(producer, "adding topics", cause) }
}

/// Where no topic was added to the transaction, librdkafka still asks the broker to end it, and takes the refusal of that for
/// fatal. Nothing was written in any case: no commit was tried, and the next transaction has a new producer, which ends
/// what was left open.
fn may_not_write(producer: &TransactionalProducer, cause: KafkaError) -> TransactionError {
    let reason = LogError::from(producer.failed("adding topics", cause));
    match retried(|| producer.kafka().abort_transaction(CALL_TIMEOUT)) {
        Err(error) if error.rdkafka_error_code().is_some_and(is_fenced) => reopen(producer, "adding topics", error),
        _ => TransactionError::NotAllowed { topic: rights::named(&reason.told()).map(str::to_owned), reason },
    }
}

fn send_offsets(producer: &TransactionalProducer, owned: &OwnedOffsets) -> Result<(), TransactionError> {
    let offsets = owned.list().map_err(|error| abort(producer, "offsets", error))?;
    let metadata = &owned.assignment.metadata;
    let send = || producer.kafka().send_offsets_to_transaction(&offsets, metadata, CALL_TIMEOUT);
    let Err(error) = retried(send) else { return Ok(()) };
    match abort(producer, "offsets", error.clone()) {
        TransactionError::NothingWritten(reason) if is_older_generation(&error) => {
            Err(TransactionError::Revoked(reason))
        }
        TransactionError::NothingWritten(reason) if rights::may_not(&error) => {
            Err(TransactionError::NothingWritten(LogError::because(rights::may_not_read(&owned.topic), reason)))
        }
        failure => Err(failure),
    }
}

/// Ends the transaction without a trace. Gives what led here, cut by what is known now.
fn abort(producer: &TransactionalProducer, step: &str, cause: KafkaError) -> TransactionError {
    if is_fatal(&cause) {
        return reopen(producer, step, cause);
    }
    // Before the abort, of which librdkafka may have something to say as well.
    let failed = producer.failed(step, cause);
    match retried(|| producer.kafka().abort_transaction(CALL_TIMEOUT)) {
        Ok(()) => TransactionError::NothingWritten(failed.into()),
        Err(abort) => TransactionError::Reopen(LogError::new(AbortError { failed, abort })),
    }
}

impl OwnedOffsets {
    fn list(&self) -> KafkaResult<TopicPartitionList> {
        let mut offsets = TopicPartitionList::new();
        for CommittedOffset { partition, offset, metadata } in &self.committed {
            let mut element = offsets.add_partition(&self.topic, *partition);
            element.set_offset(Offset::Offset(*offset))?;
            if !metadata.is_empty() {
                element.set_metadata(metadata);
            }
        }
        Ok(offsets)
    }
}

fn reopen(producer: &TransactionalProducer, step: &str, error: KafkaError) -> TransactionError {
    TransactionError::Reopen(producer.failed(step, error).into())
}

/// Whether the producer can't go on. A fenced one counts whatever else librdkafka says of the error: it reports some of
/// them as abortable, and another producer writes by then.
fn is_fatal(error: &KafkaError) -> bool {
    let fatal = |code| code == RDKafkaErrorCode::Fatal || is_fenced(code);
    match error {
        KafkaError::Transaction(error) => error.is_fatal() || fatal(error.code()),
        error => error.rdkafka_error_code().is_some_and(fatal),
    }
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch)
}

fn is_older_generation(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if matches!(
        error.code(),
        RDKafkaErrorCode::IllegalGeneration | RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::FencedInstanceId
    ))
}
