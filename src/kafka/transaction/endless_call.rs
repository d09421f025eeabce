//! Bounds the one call of a transaction that librdkafka does not.
//!
//! `send_offsets_to_transaction` waits for its answer without an end, whatever time it is given. It looks for the group's coordinator, and
//! where that request ran out of time, as with a broker that hangs for ten seconds, it looks again only when the connection to some
//! broker comes or goes (librdkafka 2.12.1, `rd_kafka_coord_req_handle_FindCoordinator`): ten minutes later, as was seen, or never.

use std::sync::mpsc;
use std::time::Duration;

use crate::kafka::client::CALL_TIMEOUT;

/// The time that it is given is over long before.
pub const ENDLESS_AFTER: Duration = CALL_TIMEOUT.saturating_mul(3);
/// What is said where it has not come back by then.
pub const ENDLESS: &str = "librdkafka does not come back from sending the offsets";

/// Runs `call` in a thread of its own. Nothing where it has not come back within `limit`: the thread is left behind then, with its share in
/// the producer, which must not be used again. Whatever it still sends is refused once another producer has taken its id.
pub fn within<T: Send + 'static>(limit: Duration, call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (answer, answered) = mpsc::sync_channel(1);
    let calling = move || {
        // Nobody waits for it any more.
        let _ = answer.send(call());
    };
    if let Err(error) = std::thread::Builder::new().name("offsets".into()).spawn(calling) {
        tracing::warn!(%error, "no thread to send the offsets");
        return None;
    }
    answered.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_come_back_is_left_behind() {
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
        let (ends, end) = mpsc::channel::<()>();
        let left = within(Duration::from_millis(20), move || end.recv());
        assert_eq!(left, None);
        drop(ends);
    }
}
