//! When a client is given up for another one.
//!
//! After an outage a client of librdkafka may stay without any broker though new ones reach them at once: seen once in three times, where a
//! broker was held up for a minute and went on (2.12; its issue 5301 reads alike). Whoever asks by it alone hears nothing for good: a member
//! never joins again, and a probe finds brokers silent that are not.

use std::time::{Duration, Instant};

/// So long a client may reach no broker: longer than librdkafka's own pauses before it connects again, which are ten seconds at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// For how long a client has reached no broker.
#[derive(Debug, Default)]
pub struct StuckClient {
    since: Option<Instant>,
}

impl StuckClient {
    /// The brokers were asked something, and have answered or not. True where the client is to be given up.
    pub fn asked(&mut self, has_answer: bool, now: Instant) -> bool {
        if has_answer {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_stuck = now.duration_since(since) >= PATIENCE;
        if is_stuck {
            // The next one has as long.
            self.since = None;
        }
        is_stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_given_up_when_it_has_reached_no_broker_for_a_minute() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut client = StuckClient::default();
        assert!(!client.asked(false, at(0)) && !client.asked(false, at(59)));
        assert!(client.asked(false, at(60)));
        assert!(!client.asked(false, at(61)) && !client.asked(false, at(120)), "another one has as long");
        assert!(client.asked(false, at(121)));
        assert!(!client.asked(false, at(130)) && !client.asked(true, at(180)) && !client.asked(false, at(190)));
        assert!(!client.asked(false, at(249)), "it was answered meanwhile");
        assert!(client.asked(false, at(250)));
    }
}
