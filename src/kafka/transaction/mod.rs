//! One batch, one transaction.
//!
//! # The order of steps
//!
//! 1. `begin_transaction`.
//! 2. Send the records: events, dead letters and state; or replies, dead letters, and how far requests are answered.
//! 3. Wait until every one of them is acknowledged.
//! 4. `send_offsets_to_transaction`, with the group metadata of the owner.
//! 5. `commit_transaction`.
//!
//! The offsets carry no progress: nothing of the registry is consumed by them, and how far requests are answered stands in the
//! state topic. They make the broker check the generation. They come *after* the records and just before the commit, because
//! then a transaction that an older generation could still get through has all its records below the end to
//! which a new owner reads the state topic: the check passed while the older generation was current, so before the new
//! owner was assigned anything, and the records were acknowledged before the check. A transaction that is checked later
//! is refused.
//!
//! # What every error means
//!
//! | step | error | reaction |
//! |---|---|---|
//! | init | retriable (coordinator loading, timeout) | call again, for `STEP_MAX`; then open again |
//! | init | no right to it, no transactions, too long a time-out for the brokers | stop: only an operator can help |
//! | init | fenced, any other | open again |
//! | begin | any | open again |
//! | send | local queue full | wait for room, for `STEP_MAX`; then as any other |
//! | send | any other | abort: *nothing written*; if the abort fails, open again |
//! | acknowledge | a record or its batch was refused as too large | abort: *too large*; the limits are read anew |
//! | acknowledge | a record was refused for its time | abort: *wrong time*; the limits are read anew |
//! | acknowledge | a record was refused for what it is (no key, no topic) | abort: *refused*: nothing written |
//! | acknowledge | the user may not write to one of its topics | abort: *not allowed*: nothing written |
//! | acknowledge | a record was not delivered in time | abort: *too slow*: nothing written |
//! | acknowledge | a record was not delivered | abort: *nothing written* |
//! | offsets | retriable | call again, for `STEP_MAX`; then abort |
//! | offsets | an older generation, an unknown or fenced member | abort; *revoked*: wait for the next assignment |
//! | offsets | the text beside one is too long | abort: *note too large*: nothing written |
//! | offsets | any other abortable | abort: *nothing written* |
//! | offsets | librdkafka does not come back | open again, without an abort: the call is still under way |
//! | offsets | fenced, fatal | open again; that it is fenced is told |
//! | commit | retriable (timeout, brokers down) | call again, which resumes it, for `STEP_MAX`; then open again |
//! | commit | any other, abortable ones too | open again: the outcome may be unknown |
//! | abort | retriable | call again, for `STEP_MAX`; then open again |
//! | abort | any other | open again |
//!
//! "Nothing written" is said only when the abort itself succeeded and no commit had been tried. After a commit that
//! failed, the log decides: opening again fences this producer, ends its transaction one way or the other, and reads the
//! state topic to its end.
//!
//! # When a producer is given up
//!
//! librdkafka does not number its transactions for the broker (KIP-890). An EndTxn that it has sent twice, because the
//! answer to the first was lost, could arrive so late that it ends a later transaction of the same producer, half
//! written; offsets that it has sent twice could take a later transaction's place. So a producer goes on only after
//! offsets and a commit that were answered at once. After an abort, and after a commit that took as long as sending it
//! twice takes (`RESENT_AFTER`), the next transaction has a new producer, whose `init` makes the broker refuse whatever
//! is still on its way. Nothing need be read anew for that: what was committed is known, and whether this instance is
//! still the owner is checked with the offsets; and that the brokers have ended what was written is seen first ([`aborted`]).

pub mod record;

pub mod offsets;

pub mod error;

pub(super) mod dead_letters;

mod deliveries;

pub mod aborted;

pub(super) mod producer;

mod generation;

pub(super) mod probe;

mod steps;

mod endless_call;

pub mod limits;

mod holding;

pub(super) mod partition_session;

pub(super) mod abandoned;

use std::collections::BTreeSet;

use parking_lot::Mutex;
use rdkafka::error::KafkaResult;
use rdkafka::producer::Producer;

use self::aborted::AcknowledgedRecords;
use self::error::TransactionError;
use self::offsets::OwnedOffsets;
use self::producer::TransactionalProducer;
use self::record::RecordSink;
use self::steps::CommitAnswer;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::ClientSetup;

/// Transactions of one `transactional.id`, one after the other. All calls block.
pub struct Transactions {
    settings: Settings,
    config: ClientSetup,
    /// One that the producer may ask about.
    topic: String,
    next: Mutex<NextProducer>,
    /// Of the last transaction, where it has failed: topics that have not acknowledged their records in time.
    late: Mutex<Vec<String>>,
}

/// The topics that a transaction has written to.
pub(crate) type Written = BTreeSet<String>;

/// What the next transaction is written with.
enum NextProducer {
    Producer(TransactionalProducer),
    /// The end of the last one may have been sent twice. What it has written has to be ended first.
    NewProducer(AcknowledgedRecords),
    /// None may follow: what was committed is not known any more.
    Nothing,
}

impl Transactions {
    /// Fences every earlier producer of the same `transactional.id`, and ends what it left open. `topic` is one that the
    /// producer may ask about. The brokers must look at the generations of `group`; nothing leaves that untried.
    ///
    /// # Errors
    /// [`OpenError`], by whether it may pass, is a setting that the brokers never take ([`OpenError::Unfit`]), or is an
    /// operator's to allow ([`OpenError::Stop`]).
    pub fn open(
        settings: &Settings,
        config: ClientSetup,
        topic: &str,
        group: Option<&str>,
    ) -> Result<Transactions, OpenError> {
        if let Some(group) = group {
            generation::require_checked(&config, group, topic)?;
        }
        let producer = TransactionalProducer::open(&config, topic)?;
        let (topic, next) = (topic.to_owned(), Mutex::new(NextProducer::Producer(producer)));
        Ok(Transactions { settings: settings.clone(), config, topic, next, late: Mutex::default() })
    }

    /// `write` hands every record of the transaction to the sender that it is given, until that fails.
    ///
    /// # Errors
    /// [`TransactionError`], by the table above. After one that is not followed by a transaction each further call
    /// fails, and the log has to be opened anew.
    pub fn commit(
        &self,
        write: impl FnOnce(RecordSink<'_>) -> KafkaResult<()>,
        offsets: &OwnedOffsets,
    ) -> Result<Written, TransactionError> {
        // Held to the end: a producer has one transaction at a time.
        let mut next = self.next.lock();
        // Whatever ends this call early, no transaction follows.
        let producer = self.producer(std::mem::replace(&mut *next, NextProducer::Nothing), offsets)?;
        let mut written = Written::new();
        let noted = |send: RecordSink<'_>| {
            write(&mut |record| {
                if !written.contains(record.topic) {
                    written.insert(record.topic.to_owned());
                }
                send(record)
            })
        };
        let result = steps::commit(&producer, noted, offsets);
        *self.late.lock() = if result.is_ok() { Vec::new() } else { producer.kafka().context().late_topics() };
        *next = NextProducer::after(&result, producer);
        result.map(|_| written)
    }

    /// The producer of this transaction, made anew where that must be.
    ///
    /// # Errors
    /// [`TransactionError::Reopen`] where none can be had, or may follow.
    fn producer(&self, next: NextProducer, offsets: &OwnedOffsets) -> Result<TransactionalProducer, TransactionError> {
        match next {
            NextProducer::Producer(producer) => Ok(producer),
            // It would fence the producer of whoever was given the partitions next, and be refused its offsets itself.
            NextProducer::NewProducer(_) if offsets.owner.lost.is_cancelled() => {
                Err(TransactionError::Reopen("the partitions were revoked before the transaction began".into()))
            }
            NextProducer::NewProducer(written) => self.new_producer(&written).map_err(TransactionError::Reopen),
            NextProducer::Nothing => Err(TransactionError::Reopen("a transaction before it has failed".into())),
        }
    }

    /// One that goes on where `written` is ended.
    ///
    /// # Errors
    /// Where none can be had, or that does not end.
    fn new_producer(&self, written: &AcknowledgedRecords) -> Result<TransactionalProducer, LogError> {
        let producer = TransactionalProducer::open(&self.config, &self.topic).map_err(LogError::new)?;
        // Behind `init`, which waits for markers that are under way.
        written.wait_until_ended(producer.kafka().client(), &self.settings).map_err(LogError::new)?;
        Ok(producer)
    }

    /// Where the last transaction has failed, the topics that have not acknowledged their records in time.
    pub fn late_topics(&self) -> Vec<String> {
        self.late.lock().clone()
    }
}

impl NextProducer {
    /// After a transaction of `producer` that has ended so.
    fn after(result: &Result<CommitAnswer, TransactionError>, producer: TransactionalProducer) -> NextProducer {
        match result {
            Ok(CommitAnswer::AtOnce) => NextProducer::Producer(producer),
            Ok(CommitAnswer::Late)
            | Err(
                // Whoever goes on under the next generation does so with a new one.
                TransactionError::Revoked(_)
                | TransactionError::NothingWritten(_)
                | TransactionError::NoteTooLarge(_)
                | TransactionError::TooSlow(_)
                | TransactionError::Refused { .. }
                | TransactionError::Final(_)
                | TransactionError::ShardsLost(_)
                | TransactionError::NotAllowed { .. },
            ) => NextProducer::NewProducer(producer.kafka().context().take_acknowledged()),
            Err(
                // After a refusal of size or time the limits are read anew, which an opening does.
                TransactionError::Reopen(_)
                | TransactionError::Fenced(_)
                | TransactionError::TooLarge { .. }
                | TransactionError::WrongTime { .. },
            ) => NextProducer::Nothing,
        }
    }
}
