//! The steps of one transaction, and what each of their errors means; the tables stand in [`super`].

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer;

use super::endless_call::{ENDLESS, ENDLESS_AFTER, within};
use super::error::TransactionError;
use super::offsets::OwnedOffsets;
use super::producer::{TransactionalProducer, retried};
use super::record::RecordSink;
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::LogError;
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::rights;
use crate::text;

/// librdkafka sends a request again when its connection broke or its time ran out; a commit that is answered within
/// this time was at most sent again within it, and the broker works off what it has received far sooner.
const RESENT_AFTER: Duration = Duration::from_secs(1);

/// The transaction failed, and so did its abort. It says both, though only the first led here: neither is a cause of the other.
#[derive(Debug, thiserror::Error)]
#[error("{}; then abort: {abort}", text::with_causes(failed))]
struct AbortError {
    failed: ClientError,
    abort: KafkaError,
}

/// When the answer to a commit came.
pub enum CommitAnswer {
    AtOnce,
    Late,
}

/// All of the steps, for the records that `write` hands over.
///
/// # Errors
/// [`TransactionError`], by the step that failed and how: see the table in [`super`].
pub fn commit(
    producer: &TransactionalProducer,
    write: impl FnOnce(RecordSink<'_>) -> KafkaResult<()>,
    offsets: &OwnedOffsets,
) -> Result<CommitAnswer, TransactionError> {
    let kafka = producer.kafka();
    // What was refused of an earlier transaction must not fail this one.
    kafka.context().reset();
    kafka.begin_transaction().map_err(|error| reopen(producer, "begin", error))?;
    write(&mut |record| producer.send(&record)).map_err(|error| abort(producer, "send", error))?;
    reach(Failpoint::RecordsSent);
    // Before the offsets: what an older generation got accepted then stands below the fence that the next owner reads to.
    acknowledge(producer, offsets)?;
    reach(Failpoint::RecordsAcknowledged);
    // From the offsets on: they are the first of the requests that librdkafka may send again behind this transaction.
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
///
/// # Errors
/// [`TransactionError`], by what was refused: see the table in [`super`].
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
    let Some(refusal) = sent_offsets(producer, offsets, offsets.list().unwrap_or_default()) else { return endless() };
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
        _ => TransactionError::NotAllowed { topic: rights::named(&reason.with_causes()).map(str::to_owned), reason },
    }
}

/// # Errors
/// As [`abort`] tells, since the transaction is aborted then; [`TransactionError::Revoked`] where the broker knows a newer
/// generation.
fn send_offsets(producer: &TransactionalProducer, owned: &OwnedOffsets) -> Result<(), TransactionError> {
    let offsets = owned.list().map_err(|error| abort(producer, "offsets", error))?;
    let mut is_endless = false;
    let sent = retried(|| {
        sent_offsets(producer, owned, offsets.clone()).unwrap_or_else(|| {
            is_endless = true;
            Ok(())
        })
    });
    if is_endless {
        return Err(endless());
    }
    let Err(error) = sent else { return Ok(()) };
    match abort(producer, "offsets", error.clone()) {
        TransactionError::NothingWritten(reason) if is_older_generation(&error) => {
            Err(TransactionError::Revoked(reason))
        }
        TransactionError::NothingWritten(reason) if is_note_too_large(&error) => {
            Err(TransactionError::NoteTooLarge(reason))
        }
        TransactionError::NothingWritten(reason) if rights::may_not(&error) => {
            Err(TransactionError::NothingWritten(LogError::because(rights::may_not_read(&owned.topic), reason)))
        }
        failure => Err(failure),
    }
}

/// What has become of the offsets; nothing where librdkafka does not come back.
fn sent_offsets(
    producer: &TransactionalProducer,
    owned: &OwnedOffsets,
    offsets: TopicPartitionList,
) -> Option<KafkaResult<()>> {
    let (kafka, owner) = (producer.shared(), owned.owner.clone());
    within(ENDLESS_AFTER, move || kafka.send_offsets_to_transaction(&offsets, &owner.metadata, CALL_TIMEOUT))
}

/// Not aborted: the producer takes no other call while it is at that one.
fn endless() -> TransactionError {
    TransactionError::Reopen(ENDLESS.into())
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

fn reopen(producer: &TransactionalProducer, step: &str, error: KafkaError) -> TransactionError {
    // Of a producer that can't go on librdkafka may tell no more than that, and why when it is asked.
    let fatal = || producer.kafka().client().fatal_error().map(|(code, _)| code);
    let was_fenced = error.rdkafka_error_code().into_iter().chain(fatal()).any(is_fenced);
    let reason = producer.failed(step, error).into();
    if was_fenced { TransactionError::Fenced(reason) } else { TransactionError::Reopen(reason) }
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

fn is_note_too_large(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.code() == RDKafkaErrorCode::OffsetMetadataTooLarge)
}
