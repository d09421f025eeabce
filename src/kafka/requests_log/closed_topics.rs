//! Reply topics of others that get no reply any more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long no reply goes to a reply topic of others that has not acknowledged one in time. Whenever it is tried again, the
/// replies to all wait for a transaction's time.
pub const LATE_CLOSED: Duration = Duration::from_secs(3600);

/// Reply topics of others to which no reply goes, or one requester could hold up the replies to all: those that have refused a
/// record, as long as the process lives, and those that were too slow, for [`LATE_CLOSED`].
#[derive(Debug, Default)]
pub struct ClosedTopics(Mutex<HashMap<String, Option<Instant>>>);

impl ClosedTopics {
    /// At `now`.
    pub fn contains(&self, topic: &str, now: Instant) -> bool {
        let closed = self.0.lock();
        closed.get(topic).is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// Until a time, or as long as the process lives.
    pub fn close(&self, topic: &str, until: Option<Instant>) {
        self.0.lock().insert(topic.to_owned(), until);
    }
}
