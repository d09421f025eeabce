//! A transactional producer with the thread that serves its delivery reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::context::{self, LogContext};
use crate::kafka::client::error::ClientError;
use crate::kafka::client::rights;
use crate::kafka::client::supplied::{ClientSetup, Supplied};
use crate::kafka::transaction::record::Record;
use crate::model::time::{UnixMillis, UnixTime};

/// How long one step is tried before it counts as failed.
pub const STEP_MAX: Duration = Duration::from_secs(60);
/// How long a single call blocks.
pub(in crate::kafka) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the delivery thread waits for the next report: also the longest it takes to stop.
const DELIVERY_POLL: Duration = Duration::from_millis(200);
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// All calls block.
pub(in crate::kafka) struct TransactionalProducer {
    kafka: Arc<Supplied<BaseProducer<Deliveries>>>,
    stop: Arc<AtomicBool>,
    delivery_thread: Option<JoinHandle<()>>,
}

impl TransactionalProducer {
    /// Makes a producer, fences every earlier one of the same `transactional.id`, and ends what it left open.
    /// `topic` is one that it may ask about.
    pub fn open(config: &ClientSetup, topic: &str) -> Result<TransactionalProducer, OpenError> {
        let kafka: Supplied<BaseProducer<Deliveries>> = config
            .create_with_context(Deliveries::default())
            .map_err(|error| OpenError::Stop(ClientError::new("the producer can't be made", error).into()))?;
        let kafka = Arc::new(kafka);
        let stop = Arc::new(AtomicBool::new(false));
        // Delivery reports are served by a thread of their own: the transaction calls block, and an abort would
        // wait for reports that nobody serves.
        let delivery_thread = std::thread::Builder::new()
            .name("deliveries".into())
            .spawn({
                let (kafka, stop) = (kafka.clone(), stop.clone());
                move || {
                    while !stop.load(Ordering::Relaxed) {
                        kafka.poll(DELIVERY_POLL);
                    }
                }
            })
            .map_err(|error| OpenError::Again(LogError::because("no thread for delivery reports", error)))?;
        let producer = TransactionalProducer { kafka, stop, delivery_thread: Some(delivery_thread) };
        // librdkafka looks for the coordinator at once where a broker is connected, and in half a second where none is.
        // Any question to a partition's leader connects one. If that fails, the next call says why.
        let _ = producer.kafka.client().fetch_watermarks(topic, 0, CALL_TIMEOUT);
        let taken = retried(|| producer.kafka.init_transactions(CALL_TIMEOUT));
        taken.map_err(|error| producer.not_taken(config.get("transactional.id").unwrap_or_default(), error))?;
        Ok(producer)
    }

    /// What an operator has to change stops the process; everything else may pass.
    fn not_taken(&self, id: &str, error: KafkaError) -> OpenError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => OpenError::Stop(
                format!("transactional.id {id} may not be taken; allow this user to WRITE and DESCRIBE it").into(),
            ),
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
        }
    }

    /// `what` has failed with `error`: with what librdkafka said last of what fails.
    pub fn failed(&self, what: impl Into<String>, error: KafkaError) -> ClientError {
        ClientError::new(what, self.kafka.context().log.explained(error))
    }

    pub fn kafka(&self) -> &BaseProducer<Deliveries> {
        &self.kafka
    }

    /// Hands a record over, waiting for room in the queue.
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
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.delivery_thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// Calls again while the error is retriable, for [`STEP_MAX`] at most.
pub(in crate::kafka) fn retried(mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
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

/// Why a record was not taken.
#[derive(Clone, Debug)]
pub(in crate::kafka) struct RefusedRecord {
    pub topic: String,
    pub error: KafkaError,
    /// Of the record, to the second; of several that were refused for their time, the earliest.
    pub time: UnixMillis,
}

impl RefusedRecord {
    /// Whether the topic takes no record, or no batch of records, of that size.
    pub fn is_too_large(&self) -> bool {
        matches!(
            self.error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge)
        )
    }

    /// Whether the topic takes no record of that time.
    pub fn is_of_wrong_time(&self) -> bool {
        self.error.rdkafka_error_code() == Some(RDKafkaErrorCode::InvalidTimestamp)
    }

    /// Whether the topic would refuse it again, whatever its size and time.
    pub fn is_final(&self) -> bool {
        matches!(
            self.error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::InvalidRecord
                    | RDKafkaErrorCode::PolicyViolation
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownTopicOrPartition
            )
        )
    }

    /// Whether this user may not write to the topic.
    pub fn is_not_allowed(&self) -> bool {
        rights::may_not(&self.error)
    }

    /// Whether it was not acknowledged in its time.
    pub fn is_late(&self) -> bool {
        self.error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageTimedOut)
    }

    /// Whether it was never sent, because its transaction had failed.
    pub fn is_purged(&self) -> bool {
        self.error.rdkafka_error_code() == Some(RDKafkaErrorCode::PurgeQueue)
    }

    /// Whether it was on its way when its transaction was given up.
    fn is_given_up(&self) -> bool {
        self.error.rdkafka_error_code() == Some(RDKafkaErrorCode::PurgeInflight)
    }

    /// Of many refusals, which says most: the others may only follow from it.
    fn weight(&self) -> u8 {
        if self.is_too_large() || self.is_of_wrong_time() {
            3
        } else if self.is_final() || self.is_not_allowed() {
            2
        } else {
            u8::from(!self.is_purged())
        }
    }

    /// Whether this says more than `other`. A broker refuses a whole batch for one record's time: the earliest is at fault.
    fn says_more_than(&self, other: &RefusedRecord) -> bool {
        let is_earlier = self.is_of_wrong_time() && other.is_of_wrong_time() && self.time < other.time;
        is_earlier || self.weight() > other.weight()
    }
}

/// Collects what became of the records of one transaction.
#[derive(Default)]
pub(in crate::kafka) struct Deliveries {
    log: LogContext,
    /// Since the last reset, one for each topic: the first that says why.
    refused: Mutex<Vec<RefusedRecord>>,
}

impl Deliveries {
    pub fn reset(&self) {
        self.refused.lock().clear();
    }

    /// The topics, since the last reset, of which records were sent and not acknowledged in their time.
    pub fn late_topics(&self) -> Vec<String> {
        let refused = self.refused.lock();
        let late = refused.iter().filter(|record| record.is_late() || record.is_given_up());
        late.map(|record| record.topic.clone()).collect()
    }

    fn refuse(&self, record: RefusedRecord) {
        let mut refused = self.refused.lock();
        match refused.iter_mut().find(|earlier| earlier.topic == record.topic) {
            Some(earlier) if record.says_more_than(earlier) => *earlier = record,
            Some(_) => {}
            None => refused.push(record),
        }
    }

    /// The first since the last reset that says why.
    pub fn first_refusal(&self) -> Option<RefusedRecord> {
        let refused = self.refused.lock();
        let more = |first: &RefusedRecord, next: &RefusedRecord| {
            // Where a topic refuses even what has the time of now, as the state's has, a clock is wrong: that others refuse
            // what is old tells nothing.
            let is_later = first.is_of_wrong_time() && next.is_of_wrong_time() && next.time > first.time;
            is_later || next.weight() > first.weight()
        };
        refused.iter().reduce(|first, next| if more(first, next) { next } else { first }).cloned()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
        self.log.hear(facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// The record's time in seconds, which librdkafka does not tell of a record that was refused.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, seconds: usize) {
        use rdkafka::Message;
        if let Err((error, message)) = result {
            let time = UnixTime(i64::try_from(seconds).unwrap_or_default()).as_millis();
            let refused = RefusedRecord { topic: message.topic().to_owned(), error: error.clone(), time };
            self.refuse(refused);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(topic: &str, code: RDKafkaErrorCode, time: i64) -> RefusedRecord {
        RefusedRecord { topic: topic.into(), error: KafkaError::MessageProduction(code), time: UnixMillis(time) }
    }

    #[test]
    fn old_records_are_not_at_fault_where_those_of_now_are_refused_too() {
        const NOW: i64 = 1_000_000;
        let wrong_time = |topic, time| refused(topic, RDKafkaErrorCode::InvalidTimestamp, time);
        let records = [wrong_time("touches", 5), wrong_time("state", NOW), wrong_time("touches", NOW)];
        for first in 0..records.len() {
            let deliveries = Deliveries::default();
            let (behind, before) = (&records[first..], &records[..first]);
            behind.iter().chain(before).for_each(|record| deliveries.refuse(record.clone()));
            assert_eq!(deliveries.first_refusal().map(|refused| refused.topic).as_deref(), Some("state"), "{first}");
        }
        let deliveries = Deliveries::default();
        [7, 5, 6].into_iter().for_each(|time| deliveries.refuse(wrong_time("touches", time)));
        assert_eq!(deliveries.first_refusal().map(|refused| refused.time), Some(UnixMillis(5)));
    }

    #[test]
    fn what_only_follows_from_another_refusal_is_not_told() {
        let deliveries = Deliveries::default();
        deliveries.refuse(refused("touches", RDKafkaErrorCode::PurgeQueue, 5));
        deliveries.refuse(refused("orders", RDKafkaErrorCode::MessageSizeTooLarge, 5));
        deliveries.refuse(refused("state", RDKafkaErrorCode::PurgeQueue, 9));
        assert!(deliveries.first_refusal().is_some_and(|refused| refused.is_too_large()));
        deliveries.reset();
        assert!(deliveries.first_refusal().is_none());
    }
}
