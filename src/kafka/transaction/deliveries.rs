//! What became of the records of a transaction, one by one.

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use super::aborted::AcknowledgedRecords;
use crate::kafka::client::context::{self, LogContext};
use crate::kafka::client::error::KafkaCallError;
use crate::kafka::client::rights;
use crate::model::time::{UnixMillis, UnixTime};

/// Why a record was not taken.
#[derive(Clone, Debug)]
pub struct RefusedRecord {
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
pub struct Deliveries {
    log: LogContext,
    /// Since the last reset, one for each topic: the first that says why.
    refused: Mutex<Vec<RefusedRecord>>,
    /// Since the last reset.
    acknowledged: Mutex<AcknowledgedRecords>,
}

impl Deliveries {
    /// `error` of a call, with what librdkafka said last of what fails.
    pub fn explained(&self, error: KafkaError) -> KafkaCallError {
        self.log.explained(error)
    }

    pub fn reset(&self) {
        self.refused.lock().clear();
        *self.acknowledged.lock() = AcknowledgedRecords::default();
    }

    /// Where records were acknowledged since the last reset. Gives them away.
    pub fn take_acknowledged(&self) -> AcknowledgedRecords {
        std::mem::take(&mut *self.acknowledged.lock())
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
        self.log.note_log(facility, message);
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
        match result {
            Ok(message) => self.acknowledged.lock().add(message.topic(), message.partition(), message.offset()),
            Err((error, message)) => {
                let time = UnixTime(i64::try_from(seconds).unwrap_or_default()).as_millis();
                let refused = RefusedRecord { topic: message.topic().to_owned(), error: error.clone(), time };
                self.refuse(refused);
            }
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
