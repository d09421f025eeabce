//! Whether transactions work, for whoever only wants to know: one under an id of its own, which fences nobody, that is
//! aborted and leaves no record in any topic.

use rdkafka::producer::Producer;

use super::generation;
use super::producer::{ProducerError, TransactionalProducer, retried};
use crate::commit::log::OpenError;
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::profiles::BATCH_BYTES;
use crate::kafka::client::settings::Settings;

/// What came of a transaction that was tried.
#[derive(Debug)]
pub enum TriedTransaction {
    Works,
    /// This user may not take the probe's own id, which says nothing of those that a connector takes: in words.
    IdDenied(String),
}

/// Tries one. `groups` are those whose generations the brokers must look at, each with a topic that it reads. Blocks.
///
/// # Errors
/// [`OpenError`], as that of an opening.
pub fn try_transaction(settings: &Settings, groups: &[(String, String)]) -> Result<TriedTransaction, OpenError> {
    let config = settings.producer_config(settings.probe_transactional_id(), BATCH_BYTES);
    let topic = groups.first().map_or(&settings.topics.state, |(_, topic)| topic);
    let producer = match TransactionalProducer::open(&config, topic) {
        Err(denied @ ProducerError::IdDenied(_)) => return Ok(TriedTransaction::IdDenied(denied.to_string())),
        opened => opened?,
    };
    if groups.is_empty() {
        begin_and_abort(&producer)?;
    }
    groups.iter().try_for_each(|(group, topic)| generation::try_brokers(&producer, group, topic))?;
    Ok(TriedTransaction::Works)
}

/// # Errors
/// [`OpenError::Again`] where one of the two fails.
fn begin_and_abort(producer: &TransactionalProducer) -> Result<(), OpenError> {
    let failed = |error| OpenError::Again(ClientError::new("no transaction can be begun and aborted", error).into());
    producer.kafka().begin_transaction().map_err(failed)?;
    retried(|| producer.kafka().abort_transaction(CALL_TIMEOUT)).map_err(failed)
}
