//! Requests in memory, by whose they are: each app has a room of its own, so what waits for one takes none of another's.

use std::collections::HashMap;

use crate::model::request::offset_tracker::TrackerKey;

/// Bytes of one app's requests; one request always fits.
pub const ROOM_BYTES: usize = 4 * 1024 * 1024;
/// Requests that are no app's, for they need no call.
pub const OTHERS_MAX: usize = 1024;
/// Their bytes; one request always fits.
pub const OTHERS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Who keeps a request in memory, until its answer is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaOwner {
    /// An app, for the tracker that tells of the request.
    App(TrackerKey),
    /// It is answered without a call.
    Nobody,
}

#[derive(Debug, Default)]
pub struct MemoryQuotas {
    apps: HashMap<String, MemoryUse>,
    others: MemoryUse,
}

#[derive(Debug, Default)]
struct MemoryUse {
    count: usize,
    bytes: usize,
}

impl MemoryQuotas {
    pub fn acquire(&mut self, owner: &QuotaOwner, bytes: usize) {
        let used = self.used(owner);
        used.count += 1;
        used.bytes += bytes;
    }

    pub fn release(&mut self, owner: &QuotaOwner, bytes: usize) {
        let used = self.used(owner);
        used.count -= 1;
        used.bytes -= bytes;
    }

    fn used(&mut self, owner: &QuotaOwner) -> &mut MemoryUse {
        match owner {
            QuotaOwner::App(key) => self.apps.entry(key.app.clone()).or_default(),
            QuotaOwner::Nobody => &mut self.others,
        }
    }

    /// Whether one more of the app's fits into its room for `room` requests.
    pub fn has_room(&self, app: &str, room: usize) -> bool {
        self.apps.get(app).is_none_or(|used| used.count < room && used.bytes < ROOM_BYTES)
    }

    /// How many more of the app's do, by their number.
    pub fn left(&self, app: &str, room: usize) -> usize {
        room.saturating_sub(self.apps.get(app).map_or(0, |used| used.count))
    }

    /// Whether it is time to read again what the room had no place for.
    pub fn is_half_empty(&self, app: &str, room: usize) -> bool {
        self.apps.get(app).is_none_or(|used| used.count <= room / 2 && used.bytes <= ROOM_BYTES / 2)
    }

    /// Whether more may be read of which nobody knows yet whose it is.
    pub fn has_room_for_others(&self) -> bool {
        self.others.count < OTHERS_MAX && self.others.bytes < OTHERS_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_one_app_takes_no_room_of_another() {
        let mut quotas = MemoryQuotas::default();
        let [one, other] = ["wx1", "wx2"].map(|app| QuotaOwner::App(TrackerKey::new(None, app)));
        (0..4).for_each(|_| quotas.acquire(&one, 10));
        assert!(!quotas.has_room("wx1", 4) && quotas.has_room("wx2", 4) && quotas.has_room_for_others());
        quotas.release(&one, 10);
        assert!(quotas.has_room("wx1", 4) && !quotas.is_half_empty("wx1", 4));
        quotas.release(&one, 10);
        assert!(quotas.is_half_empty("wx1", 4));
        quotas.acquire(&other, ROOM_BYTES);
        assert!(!quotas.has_room("wx2", 4) && quotas.has_room("wx1", 4));
        quotas.release(&other, ROOM_BYTES);
        assert!(quotas.has_room("wx2", 4));
    }

    #[test]
    fn what_is_no_apps_is_bounded_too() {
        let mut quotas = MemoryQuotas::default();
        (1..OTHERS_MAX).for_each(|_| quotas.acquire(&QuotaOwner::Nobody, 1));
        assert!(quotas.has_room_for_others());
        quotas.acquire(&QuotaOwner::Nobody, 1);
        assert!(!quotas.has_room_for_others() && quotas.has_room("wx1", 1));
        quotas.release(&QuotaOwner::Nobody, 1);
        quotas.acquire(&QuotaOwner::Nobody, OTHERS_BYTES_MAX);
        assert!(!quotas.has_room_for_others());
    }
}
