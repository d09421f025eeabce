//! A transactional producer with the thread that serves its delivery reports.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio_util::sync::CancellationToken;

use super::deliveries::Deliveries;
use super::record::Record;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::event_queue::EventQueue;
use crate::kafka::client::supplied::{ClientSetup, Supplied};
use crate::kafka::topics::watermarks;

/// How long one step is tried before it counts as failed.
pub const STEP_MAX: Duration = Duration::from_secs(60);
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// Why there is no producer.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// Only an operator can allow it.
    #[error("transactional.id {0} may not be taken; allow this user to WRITE and DESCRIBE it")]
    IdDenied(String),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<ProducerError> for OpenError {
    fn from(error: ProducerError) -> OpenError {
        match error {
            ProducerError::Open(error) => error,
            denied @ ProducerError::IdDenied(_) => OpenError::Stop(LogError::new(denied)),
        }
    }
}

/// All calls block.
pub struct TransactionalProducer {
    kafka: Arc<Supplied<BaseProducer<Deliveries>>>,
    stop: CancellationToken,
    delivery_thread: Option<JoinHandle<()>>,
}

impl TransactionalProducer {
    /// Makes a producer, fences every earlier one of the same `transactional.id`, and ends what it left open.
    /// `topic` is one that it may ask about.
    ///
    /// # Errors
    /// [`ProducerError`]: a missing right and brokers without transactions stop the process, a time-out that is too long
    /// for them is unfit, and everything else may pass.
    pub fn open(config: &ClientSetup, topic: &str) -> Result<TransactionalProducer, ProducerError> {
        let kafka: Supplied<BaseProducer<Deliveries>> = config
            .create_with_context(Deliveries::default())
            .map_err(|error| OpenError::Stop(ClientError::new("the producer can't be made", error).into()))?;
        let kafka = Arc::new(kafka);
        let events = EventQueue::of_producer(&**kafka)
            .map_err(|error| OpenError::Again(ClientError::new("the producer can't be made", error).into()))?;
        let stop = CancellationToken::new();
        // Delivery reports are served by a thread of their own: the transaction calls block, and an abort would
        // wait for reports that nobody serves.
        let delivery_thread = std::thread::Builder::new()
            .name("deliveries".into())
            .spawn({
                let (kafka, stop) = (kafka.clone(), stop.clone());
                move || serve_deliveries(&kafka, events, &stop)
            })
            .map_err(|error| OpenError::Again(LogError::because("no thread for delivery reports", error)))?;
        let producer = TransactionalProducer { kafka, stop, delivery_thread: Some(delivery_thread) };
        // librdkafka looks for the coordinator at once where a broker is connected, and in half a second where none is.
        // Any request to a partition's leader connects one. If that fails, the next call says why.
        let _ = watermarks::of_partition(producer.kafka.client(), topic, 0, CALL_TIMEOUT);
        let taken = retried(|| producer.kafka.init_transactions(CALL_TIMEOUT));
        taken.map_err(|error| producer.not_taken(config.get("transactional.id").unwrap_or_default(), error))?;
        Ok(producer)
    }

    /// What an operator has to change stops the process; everything else may pass.
    fn not_taken(&self, id: &str, error: KafkaError) -> ProducerError {
        ProducerError::Open(match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => {
                return ProducerError::IdDenied(id.to_owned());
            }
            Some(RDKafkaErrorCode::ClusterAuthorizationFailed) => OpenError::Stop(
                format!(
                    "transactional.id {id} can't be taken: {error}; allow this user IDEMPOTENT_WRITE on the cluster"
                )
                .into(),
            ),
            Some(RDKafkaErrorCode::InvalidTransactionTimeout) => OpenError::Unfit(
                "kafka.\"transaction.timeout.ms\" is longer than the brokers' transaction.max.timeout.ms; shorten it"
                    .into(),
            ),
            Some(RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion) => {
                let what = "the brokers know no transactions, which exactly once rests on";
                OpenError::Stop(ClientError::new(what, error).into())
            }
            _ => OpenError::Again(self.failed(format!("transactional.id {id} can't be taken"), error).into()),
        })
    }

    /// `what` has failed with `error`: with what librdkafka said last of what fails.
    pub fn failed(&self, what: impl Into<String>, error: KafkaError) -> ClientError {
        ClientError::new(what, self.kafka.context().explained(error))
    }

    pub fn kafka(&self) -> &BaseProducer<Deliveries> {
        &self.kafka
    }

    /// A share in it, for a call that may not come back.
    pub fn shared(&self) -> Arc<Supplied<BaseProducer<Deliveries>>> {
        self.kafka.clone()
    }

    /// Hands a record over, waiting for room in the queue.
    ///
    /// # Errors
    /// Where the queue stays full, or librdkafka takes no such record.
    pub fn send(&self, record: &Record<'_>) -> Result<(), KafkaError> {
        let seconds = usize::try_from(record.timestamp.as_seconds().0).unwrap_or_default();
        let mut message: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(record.topic, seconds).timestamp(record.timestamp.0);
        message.partition = record.partition;
        message.key = record.key;
        message.payload = record.value;
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            message.headers = Some(record.headers.iter().fold(headers, |headers, header| {
                headers.insert(KafkaHeader { key: &header.name, value: header.value.as_deref() })
            }));
        }
        // The clock is asked only where there is something to wait for: most records are taken at once.
        let mut deadline = None;
        loop {
            match self.kafka.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < *deadline.get_or_insert_with(|| Instant::now() + STEP_MAX) =>
                {
                    message = back;
                    std::thread::sleep(QUEUE_FULL_PAUSE);
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Waits until no record is on its way; false where some still are after [`STEP_MAX`].
    pub fn flush(&self) -> bool {
        // Mostly librdkafka gives records up before that: it lowers message.timeout.ms to transaction.timeout.ms where nobody
        // has set it.
        let deadline = Instant::now() + STEP_MAX;
        while !flush(&self.kafka, CALL_TIMEOUT) {
            if Instant::now() >= deadline {
                return false;
            }
        }
        true
    }
}

impl Drop for TransactionalProducer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.delivery_thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// Until it is stopped: the producer's end waits for that, so the queue of events goes before the producer.
fn serve_deliveries(kafka: &BaseProducer<Deliveries>, events: EventQueue, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        events.wait(stop);
        // One event each.
        kafka.poll(Duration::ZERO);
    }
}

/// Calls again while the error is retriable, for [`STEP_MAX`] at most.
///
/// # Errors
/// The last one: it is not retriable, or the time is over.
pub fn retried(mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    let deadline = Instant::now() + STEP_MAX;
    let mut pause = Duration::from_millis(20);
    loop {
        match call() {
            Err(error) if is_retriable(&error) && Instant::now() < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            result => return result,
        }
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.txn_requires_abort() && !error.is_fatal(),
        // The flush that `commit_transaction` begins with.
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

/// Waits until no record is on its way. rdkafka's own `flush` sleeps in steps of 100 ms beside a delivery thread,
/// which would be the price of every transaction; this returns with the last acknowledgement.
#[allow(unsafe_code, reason = "one call into librdkafka that rdkafka does not offer, argued below")]
fn flush(producer: &BaseProducer<Deliveries>, timeout: Duration) -> bool {
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer is valid as long as the producer, which is borrowed for the call, and librdkafka's clients
    // may be used from any thread.
    let result = unsafe { rdkafka::bindings::rd_kafka_flush(producer.client().native_ptr(), milliseconds) };
    result == rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
}
