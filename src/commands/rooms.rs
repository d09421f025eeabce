//! Commands in memory, by whose they are: each app has a room of its own, so what waits for one takes none of another's.

use std::collections::HashMap;

/// Bytes of one app's commands; one command always fits.
pub const ROOM_BYTES: usize = 4 * 1024 * 1024;
/// Commands that are no app's, for they need no call.
pub const OTHERS_MAX: usize = 1024;
/// Their bytes; one command always fits.
pub const OTHERS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Commands whose schema is asked for: what else needs one waits in the topic.
pub const UNREAD_MAX: usize = 256;
/// Their bytes; one command always fits.
pub const UNREAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Who keeps a command in memory, until its answer is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    App(String),
    /// It is answered without a call.
    Nobody,
    /// Its schema is asked for.
    Unread,
    /// An app: its schema was asked for, so it was read before the room of the app was looked at.
    Learnt(String),
}

#[derive(Debug, Default)]
pub struct Rooms {
    apps: HashMap<String, Held>,
    others: Held,
    unread: Held,
}

#[derive(Debug, Default)]
struct Held {
    count: usize,
    bytes: usize,
}

impl Rooms {
    pub fn hold(&mut self, keeper: &Keeper, bytes: usize) {
        let held = self.held(keeper);
        held.count += 1;
        held.bytes += bytes;
    }

    pub fn let_go(&mut self, keeper: &Keeper, bytes: usize) {
        let held = self.held(keeper);
        held.count -= 1;
        held.bytes -= bytes;
    }

    fn held(&mut self, keeper: &Keeper) -> &mut Held {
        match keeper {
            Keeper::App(app) | Keeper::Learnt(app) => self.apps.entry(app.clone()).or_default(),
            Keeper::Nobody => &mut self.others,
            Keeper::Unread => &mut self.unread,
        }
    }

    /// Whether one more of the app's fits into its room for `room` commands.
    pub fn has_room(&self, app: &str, room: usize) -> bool {
        self.apps.get(app).is_none_or(|held| held.count < room && held.bytes < ROOM_BYTES)
    }

    /// How many more of the app's do, by their number.
    pub fn left(&self, app: &str, room: usize) -> usize {
        room.saturating_sub(self.apps.get(app).map_or(0, |held| held.count))
    }

    /// Whether it is time to read again what the room had no place for.
    pub fn is_half_empty(&self, app: &str, room: usize) -> bool {
        self.apps.get(app).is_none_or(|held| held.count <= room / 2 && held.bytes <= ROOM_BYTES / 2)
    }

    /// Whether more may be read of which nobody knows yet whose it is.
    pub fn has_room_for_others(&self) -> bool {
        self.others.count < OTHERS_MAX && self.others.bytes < OTHERS_BYTES_MAX
    }

    /// Whether one more may be kept whose schema is asked for.
    pub fn has_room_for_unread(&self) -> bool {
        self.unread.count < UNREAD_MAX && self.unread.bytes < UNREAD_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_one_app_takes_no_room_of_another() {
        let mut rooms = Rooms::default();
        let [one, other] = ["wx1", "wx2"].map(|app| Keeper::App(app.into()));
        (0..4).for_each(|_| rooms.hold(&one, 10));
        assert!(!rooms.has_room("wx1", 4) && rooms.has_room("wx2", 4) && rooms.has_room_for_others());
        rooms.let_go(&one, 10);
        assert!(rooms.has_room("wx1", 4) && !rooms.is_half_empty("wx1", 4));
        rooms.let_go(&one, 10);
        assert!(rooms.is_half_empty("wx1", 4));
        rooms.hold(&other, ROOM_BYTES);
        assert!(!rooms.has_room("wx2", 4) && rooms.has_room("wx1", 4));
        rooms.let_go(&other, ROOM_BYTES);
        assert!(rooms.has_room("wx2", 4));
    }

    #[test]
    fn what_can_not_be_read_yet_is_bounded_too() {
        let mut rooms = Rooms::default();
        (0..UNREAD_MAX).for_each(|_| rooms.hold(&Keeper::Unread, 1));
        assert!(!rooms.has_room_for_unread() && rooms.has_room_for_others() && rooms.has_room("wx1", 1));
        rooms.let_go(&Keeper::Unread, 1);
        assert!(rooms.has_room_for_unread());
        rooms.hold(&Keeper::Unread, UNREAD_BYTES_MAX);
        assert!(!rooms.has_room_for_unread() && rooms.has_room_for_others());
        rooms.hold(&Keeper::Nobody, OTHERS_BYTES_MAX);
        assert!(!rooms.has_room_for_others());
    }
}
