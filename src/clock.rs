//! The wall clock of this host: the one place where it is read, so that what depends on it can be found.
//!
//! What asks the upstream reads it through [`crate::upstream::transport::Transport::now`], which a simulation replaces.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::time::UnixMillis;

/// Now; it may be set, and may be wrong.
pub fn now() -> UnixMillis {
    unix_millis(system_time())
}

/// The same, to compare with what the standard library's time was made of.
pub fn system_time() -> SystemTime {
    SystemTime::now()
}

/// `time` in milliseconds; 0 before 1970.
pub fn unix_millis(time: SystemTime) -> UnixMillis {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(0).plus(since)
}
