//! Commands in memory, by whose they are: each app has a room of its own, so what waits for one takes none of another's.

use std::collections::HashMap;

use super::strand::WindowKey;

/// Bytes of one app's commands; one command always fits.
pub const ROOM_BYTES: usize = 4 * 1024 * 1024;
/// Commands that are no app's, for they need no call.
pub const OTHERS_MAX: usize = 1024;
/// Their bytes; one command always fits.
pub const OTHERS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Who keeps a command in memory, until its answer is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// An app, for the window that tells of the command.
    App(WindowKey),
    /// It is answered without a call.
    Nobody,
}

#[derive(Debug, Default)]
pub struct Rooms {
    apps: HashMap<String, Held>,
    others: Held,
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
            Keeper::App(key) => self.apps.entry(key.app.clone()).or_default(),
            Keeper::Nobody => &mut self.others,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_one_app_takes_no_room_of_another() {
        let mut rooms = Rooms::default();
        let [one, other] = ["wx1", "wx2"].map(|app| Keeper::App(WindowKey::new(None, app)));
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
    fn what_is_no_apps_is_bounded_too() {
        let mut rooms = Rooms::default();
        (1..OTHERS_MAX).for_each(|_| rooms.hold(&Keeper::Nobody, 1));
        assert!(rooms.has_room_for_others());
        rooms.hold(&Keeper::Nobody, 1);
        assert!(!rooms.has_room_for_others() && rooms.has_room("wx1", 1));
        rooms.let_go(&Keeper::Nobody, 1);
        rooms.hold(&Keeper::Nobody, OTHERS_BYTES_MAX);
        assert!(!rooms.has_room_for_others());
    }
}
