//! One poll of a reader of the state topic, and how long it may have nothing to tell.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use super::rights;
use super::supplied::LoggedConsumer;
use crate::commit::log::OpenError;

/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(50);
/// How long a reading may go without progress. An open transaction of another instance holds it for that one's
/// `transaction.timeout.ms` at most, which brokers limit to 15 minutes.
pub const STALL_MAX: Duration = Duration::from_secs(16 * 60);

/// The next record, if one comes in time. `reading` is what the log calls the reading.
///
/// # Errors
/// [`OpenError::Stop`] where the user may not read `topic`, and what `failed` makes of an error after which this consumer can't go on.
/// librdkafka recovers from all others by itself.
pub fn next_record<'a>(
    consumer: &'a LoggedConsumer,
    topic: &str,
    reading: &'static str,
    failed: impl FnOnce(KafkaError) -> OpenError,
) -> Result<Option<BorrowedMessage<'a>>, OpenError> {
    match consumer.poll(POLL) {
        Some(Ok(message)) => return Ok(Some(message)),
        // The end may be that of what an open transaction lets be seen, below what is read to.
        Some(Err(KafkaError::PartitionEOF(_))) | None => {}
        Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(failed(error)),
        // To read on would be refused again: the right is an operator's to give.
        Some(Err(error)) if rights::may_not(&error) => return Err(OpenError::Stop(rights::may_not_read(topic).into())),
        Some(Err(error)) => consumer.context().error(&error, reading),
    }
    Ok(None)
}
