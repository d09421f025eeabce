//! Whether the brokers look at the generation that comes with a transaction's offsets.
//!
//! What keeps a zombie from writing is that they refuse the offsets of an older generation. Brokers before Kafka 2.5 know no
//! generation there (TxnOffsetCommit below version 3): librdkafka leaves it out then, and they take offsets from anybody. No
//! call tells the version, so the brokers are tried: offsets of a member that does not exist must be refused.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::bindings as native;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::deliveries::Deliveries;
use super::endless_call::{ENDLESS, ENDLESS_AFTER, within};
use super::producer::{TransactionalProducer, retried};
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::ended_aside::EndedAside;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::rights;
use crate::kafka::client::supplied::ClientSetup;

/// No group gives it, and no group reaches that generation.
const NOBODY: &CStr = c"nobody";
const NO_GENERATION: i32 = i32::MAX;
/// How often a coordinator that is not ready is asked.
const ATTEMPTS_MAX: u32 = 5;

/// Tries the brokers once for the whole process, with a producer of its own: the offsets may be sent twice, and must not
/// reach the transaction of another. `config` is that of a transactional producer, and `topic` one that `group` reads.
///
/// # Errors
/// [`OpenError::Stop`] where the brokers do not look at generations, or a right is missing; [`OpenError::Again`] where
/// they can't be tried now.
pub fn require_checked(config: &ClientSetup, group: &str, topic: &str) -> Result<(), OpenError> {
    static CHECKED: AtomicBool = AtomicBool::new(false);
    if CHECKED.load(Ordering::Relaxed) {
        return Ok(());
    }
    // Nothing of it is under way when it ends, but for a call that does not come back; the next producer of its id fences it.
    let producer = EndedAside::new(TransactionalProducer::open(config, topic)?);
    try_brokers(&producer, group, topic)?;
    CHECKED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Tries them in transactions of `producer` that are aborted.
///
/// # Errors
/// As [`require_checked`].
pub fn try_brokers(producer: &TransactionalProducer, group: &str, topic: &str) -> Result<(), OpenError> {
    let again = |error| OpenError::Again(ClientError::new(UNTRIED, error).into());
    let mut attempt = 1;
    loop {
        producer.kafka().begin_transaction().map_err(again)?;
        let (kafka, names) = (producer.shared(), (group.to_owned(), topic.to_owned()));
        let refused = within(ENDLESS_AFTER, move || send_offsets_of_nobody(&kafka, &names.0, &names.1));
        let refused = refused.ok_or_else(|| OpenError::Again(LogError::because(UNTRIED, LogError::from(ENDLESS))))?;
        retried(|| producer.kafka().abort_transaction(CALL_TIMEOUT)).map_err(again)?;
        match refused {
            Ok(()) => return Err(OpenError::Stop(TOO_OLD.into())),
            Err(RefusedOffsets {
                code: RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::IllegalGeneration,
                ..
            }) => return Ok(()),
            Err(RefusedOffsets { code: RDKafkaErrorCode::GroupAuthorizationFailed, .. }) => {
                let reason = format!("the consumer group {group} may not be written to; allow this user to READ it");
                return Err(OpenError::Stop(reason.into()));
            }
            Err(RefusedOffsets { code: RDKafkaErrorCode::TopicAuthorizationFailed, .. }) => {
                return Err(OpenError::Stop(rights::may_not_read(topic).into()));
            }
            Err(refusal) if attempt >= ATTEMPTS_MAX => {
                return Err(OpenError::Again(LogError::because(UNTRIED, refusal)));
            }
            Err(_) => attempt += 1,
        }
    }
}

const TOO_OLD: &str = "the brokers do not look at the generation of a consumer group in a transaction, so they would let an \
                       instance write that was replaced; Kafka 2.5 or later is needed";

const UNTRIED: &str = "the brokers can't be tried";

#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct RefusedOffsets {
    code: RDKafkaErrorCode,
    words: String,
}

/// # Errors
/// librdkafka's code and words.
#[allow(unsafe_code, reason = "metadata of a member that is none, which rdkafka does not offer, argued below")]
fn send_offsets_of_nobody(producer: &BaseProducer<Deliveries>, group: &str, topic: &str) -> Result<(), RefusedOffsets> {
    let unusable = |words: String| RefusedOffsets { code: RDKafkaErrorCode::InvalidArgument, words };
    let group = CString::new(group).map_err(|error| unusable(error.to_string()))?;
    let mut offsets = TopicPartitionList::new();
    let added = offsets.add_partition_offset(topic, 0, Offset::Offset(0));
    added.map_err(|error| unusable(error.to_string()))?;
    let milliseconds = i32::try_from(CALL_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the texts outlive the metadata, which copies them; metadata and error are each destroyed once, after their
    // last use; the pointers of the client and of the list are valid while both are borrowed for the call.
    unsafe {
        let nobody = native::rd_kafka_consumer_group_metadata_new_with_genid(
            group.as_ptr(),
            NO_GENERATION,
            NOBODY.as_ptr(),
            std::ptr::null(),
        );
        let client = producer.client().native_ptr();
        let error = native::rd_kafka_send_offsets_to_transaction(client, offsets.ptr(), nobody, milliseconds);
        native::rd_kafka_consumer_group_metadata_destroy(nobody);
        if error.is_null() {
            return Ok(());
        }
        let code = native::rd_kafka_error_code(error).into();
        let words = CStr::from_ptr(native::rd_kafka_error_string(error)).to_string_lossy().into_owned();
        native::rd_kafka_error_destroy(error);
        Err(RefusedOffsets { code, words })
    }
}
