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
//! Those of the registry carry no progress (nothing of it is consumed by them); they make the broker check the generation.
//! Those of the request topic are the progress. They come *after* the records and just before the commit, because then a transaction that an older
//! generation could still get through has all its records below the end to which a new owner reads the state topic: the
//! check passed while the older generation was current, so before the new owner was assigned anything, and the records
//! were acknowledged before the check. A transaction that is checked later is refused.
//!
//! # What every error means
//!
//! | step | error | reaction |
//! |---|---|---|
//! | init | retriable (coordinator loading, timeout) | call again, for [`STEP_MAX`]; then open again |
//! | init | fenced, any other | open again with a new producer |
//! | begin | any | open again |
//! | send | local queue full | wait for room, for [`STEP_MAX`]; then as any other |
//! | send | any other | abort: *nothing written*; if the abort fails, open again |
//! | acknowledge | a record was refused as too large | abort: *too large*; the limits are read anew |
//! | acknowledge | a record was not delivered, or not in time | abort: *nothing written* |
//! | offsets | retriable | call again, for [`STEP_MAX`]; then abort |
//! | offsets | an older generation, an unknown or fenced member | abort; *recalled*: wait for the next assignment |
//! | offsets | any other abortable | abort: *nothing written* |
//! | offsets | fenced, fatal | open again |
//! | commit | retriable (timeout, brokers down) | call again, which resumes it, for [`STEP_MAX`]; then open again |
//! | commit | any other, abortable ones too | open again: the outcome may be unknown |
//! | abort | retriable | call again, for [`STEP_MAX`]; then open again |
//! | abort | any other | open again |
//!
//! After a refused record the broker misses its sequence number, and the next attempt may fail once more until
//! librdkafka has taken a new epoch: one more reason to try a batch several times.
//!
//! "Nothing written" is said only when the abort itself succeeded and no commit had been tried. After a commit was
//! tried, the log decides: opening again fences this producer, ends its transaction one way or the other, and reads the
//! state topic to its end. librdkafka does not number its transactions for the broker (KIP-890), so an EndTxn that is still
//! on its way could otherwise hit a later transaction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::context::{self, LogContext};
use super::ownership::Assignment;
use super::records::Record;
use crate::commit::crash_point::{CrashPoint, reach};
use crate::domain::time::UnixMillis;

/// How long one step is tried before it counts as failed.
pub const STEP_MAX: Duration = Duration::from_secs(60);
/// How long a single call blocks.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the delivery thread waits for the next report: also the longest it takes to stop.
const DELIVERY_POLL: Duration = Duration::from_millis(200);
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// What the failed transaction means to whoever wanted it.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The abort succeeded and no commit was tried.
    NothingWritten(String),
    /// A member of a newer generation may own the partitions.
    Recalled(String),
    /// This producer can't go on, or the outcome is unknown.
    Reopen(String),
    /// Nothing was written: the broker takes no record that large on this topic.
    TooLarge { topic: String, reason: String },
}

/// What is sent along with the records: offsets of partitions that are owned, under the assignment that says so.
pub struct OwnedOffsets {
    pub assignment: Arc<Assignment>,
    /// The topic that is assigned.
    pub topic: String,
    pub positions: Vec<Position>,
}

/// How far a partition is consumed.
pub struct Position {
    pub partition: i32,
    pub offset: i64,
    /// Kept with the offset; may be empty.
    pub metadata: String,
}

/// A transactional producer with its delivery thread. All calls block.
pub struct Transactions {
    producer: Arc<BaseProducer<Deliveries>>,
    stop: Arc<AtomicBool>,
    delivery_thread: Option<JoinHandle<()>>,
}

impl Transactions {
    /// Makes a producer, fences every earlier one of the same `transactional.id`, and ends what it left open.
    /// `topic` is one that it may ask about.
    pub fn open(config: &ClientConfig, topic: &str) -> Result<Transactions, String> {
        let producer: BaseProducer<Deliveries> = config
            .create_with_context(Deliveries::default())
            .map_err(|error| format!("the producer can't be made: {error}"))?;
        let producer = Arc::new(producer);
        let stop = Arc::new(AtomicBool::new(false));
        // Delivery reports are served by a thread of their own: the transaction calls block, and an abort would
        // wait for reports that nobody serves.
        let delivery_thread = std::thread::Builder::new()
            .name("deliveries".into())
            .spawn({
                let (producer, stop) = (producer.clone(), stop.clone());
                move || {
                    while !stop.load(Ordering::Relaxed) {
                        producer.poll(DELIVERY_POLL);
                    }
                }
            })
            .map_err(|error| format!("no thread for delivery reports: {error}"))?;
        let transactions = Transactions { producer, stop, delivery_thread: Some(delivery_thread) };
        // librdkafka looks for the coordinator at once where a broker is connected, and in half a second where none is.
        // Any question to a partition's leader connects one. If that fails, the next call says why.
        let _ = transactions.producer.client().fetch_watermarks(topic, 0, CALL_TIMEOUT);
        retried(|| transactions.producer.init_transactions(CALL_TIMEOUT)).map_err(|error| {
            let id = config.get("transactional.id").unwrap_or_default();
            format!("transactional.id {id} can't be taken: {error}")
        })?;
        Ok(transactions)
    }

    /// `write` hands every record of the transaction to the sender that it is given, until that fails. The time is now.
    pub fn commit(
        &self,
        write: impl FnOnce(UnixMillis, &mut dyn FnMut(Record<'_>) -> Result<(), KafkaError>) -> Result<(), KafkaError>,
        offsets: &OwnedOffsets,
    ) -> Result<(), Failure> {
        self.producer.context().reset();
        self.producer.begin_transaction().map_err(|error| reopen("begin", &error))?;
        let now = UnixMillis(jiff::Timestamp::now().as_millisecond());
        write(now, &mut |record| self.send(&record)).or_else(|error| self.abort("send", &error))?;
        reach(CrashPoint::RecordsSent);
        self.acknowledge()?;
        reach(CrashPoint::RecordsAcknowledged);
        self.send_offsets(offsets)?;
        reach(CrashPoint::OffsetsSent);
        retried(|| self.producer.commit_transaction(CALL_TIMEOUT)).map_err(|error| reopen("commit", &error))?;
        reach(CrashPoint::Committed);
        Ok(())
    }

    fn send(&self, record: &Record<'_>) -> Result<(), KafkaError> {
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(record.topic).timestamp(record.timestamp.0);
        message.partition = record.partition;
        message.key = record.key;
        message.payload = record.value;
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            message.headers = Some(record.headers.iter().fold(headers, |headers, header| {
                headers.insert(KafkaHeader { key: &header.name, value: header.value.as_deref() })
            }));
        }
        let deadline = Instant::now() + STEP_MAX;
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    message = back;
                    std::thread::sleep(QUEUE_FULL_PAUSE);
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Waits until every record of the transaction is acknowledged or refused.
    fn acknowledge(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + STEP_MAX;
        while !flush(&self.producer, CALL_TIMEOUT) {
            if Instant::now() >= deadline {
                return self.abort("acknowledge", &KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
        }
        match self.producer.context().first_refusal() {
            None => Ok(()),
            Some((topic, error)) => {
                let too_large = error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge);
                let failure = self.abort(&format!("topic {topic}"), &error);
                match failure {
                    Err(Failure::NothingWritten(reason)) if too_large => Err(Failure::TooLarge { topic, reason }),
                    failure => failure,
                }
            }
        }
    }

    fn send_offsets(&self, owned: &OwnedOffsets) -> Result<(), Failure> {
        let offsets =
            owned.list().or_else(|error| self.abort("offsets", &error).map(|()| TopicPartitionList::new()))?;
        let metadata = &owned.assignment.metadata;
        let sent = retried(|| self.producer.send_offsets_to_transaction(&offsets, metadata, CALL_TIMEOUT));
        let Err(error) = sent else { return Ok(()) };
        if is_fatal(&error) {
            return Err(reopen("offsets", &error));
        }
        let older_generation = is_older_generation(&error);
        match self.abort("offsets", &error) {
            Err(Failure::NothingWritten(reason)) if older_generation => Err(Failure::Recalled(reason)),
            failure => failure,
        }
    }

    /// Ends the transaction without a trace. Always an error: the one that led here, cut by what is known now.
    fn abort(&self, step: &str, cause: &KafkaError) -> Result<(), Failure> {
        if is_fatal(cause) {
            return Err(reopen(step, cause));
        }
        match retried(|| self.producer.abort_transaction(CALL_TIMEOUT)) {
            Ok(()) => Err(Failure::NothingWritten(format!("{step}: {cause}"))),
            Err(error) => Err(Failure::Reopen(format!("{step}: {cause}; then abort: {error}"))),
        }
    }
}

impl OwnedOffsets {
    fn list(&self) -> KafkaResult<TopicPartitionList> {
        let mut offsets = TopicPartitionList::new();
        for Position { partition, offset, metadata } in &self.positions {
            let mut element = offsets.add_partition(&self.topic, *partition);
            element.set_offset(Offset::Offset(*offset))?;
            if !metadata.is_empty() {
                element.set_metadata(metadata);
            }
        }
        Ok(offsets)
    }
}

impl Drop for Transactions {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.delivery_thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// Calls again while the error is retriable, for [`STEP_MAX`] at most.
fn retried(mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
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

fn reopen(step: &str, error: &KafkaError) -> Failure {
    Failure::Reopen(format!("{step}: {error}"))
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.txn_requires_abort() && !error.is_fatal(),
        // The flush that `commit_transaction` begins with.
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

/// Whether the producer can't go on. A fenced one counts whatever else librdkafka says of the error: it reports some of
/// them as abortable, and another producer writes by then.
fn is_fatal(error: &KafkaError) -> bool {
    let fatal = |code| {
        matches!(
            code,
            RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch
        )
    };
    match error {
        KafkaError::Transaction(error) => error.is_fatal() || fatal(error.code()),
        error => error.rdkafka_error_code().is_some_and(fatal),
    }
}

fn is_older_generation(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if matches!(
        error.code(),
        RDKafkaErrorCode::IllegalGeneration | RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::FencedInstanceId
    ))
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

/// Collects what became of the records of one transaction.
#[derive(Default)]
pub struct Deliveries {
    log: LogContext,
    first: Mutex<Option<(String, KafkaError)>>,
}

impl Deliveries {
    fn reset(&self) {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn first_refusal(&self) -> Option<(String, KafkaError)> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        use rdkafka::Message;
        if let Err((error, message)) = result {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            // Of many refusals the one for size says most: the others may only follow from it.
            let size = error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge);
            if first.is_none() || size {
                *first = Some((message.topic().to_owned(), error.clone()));
            }
        }
    }
}
