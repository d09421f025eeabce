//! Since when a promoter has been registered, in ten bytes: a registry holds one for each promoter.
//!
//! Whoever registers a promoter was answered then, and misses nothing from there on. What is said of him later (a tag, a pause and its
//! end, the same once more) does not change that; only what was not asked for before is asked for then.

use crate::model::time::{UnixMillis, UnixTime};

/// A moment in six bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PackedMillis([u8; 6]);

/// The years beyond it, 6429 after and 4459 before, are told as it.
const MILLIS_MAX: i64 = (1 << 47) - 1;

/// When his records were written, since he was not registered last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisteredSince {
    updated_at: PackedMillis,
    /// How many seconds before that the first of them was: 18 hours at most, of which an hour counts.
    first_before: u16,
    /// The same of the first from which on all name the feeds of the last.
    feeds_before: u16,
}

impl RegisteredSince {
    /// By a first record.
    pub fn first(updated_at: UnixMillis) -> RegisteredSince {
        RegisteredSince { updated_at: updated_at.into(), first_before: 0, feeds_before: 0 }
    }

    /// By one more, which names the same feeds or others.
    pub fn then(self, updated_at: UnixMillis, same_feeds: bool) -> RegisteredSince {
        let before = |earlier: UnixTime| {
            let seconds = updated_at.as_seconds().0.saturating_sub(earlier.0).clamp(0, u16::MAX.into());
            u16::try_from(seconds).unwrap_or(u16::MAX)
        };
        let feeds_before = if same_feeds { before(self.of_feeds()) } else { 0 };
        RegisteredSince { updated_at: updated_at.into(), first_before: before(self.of_first()), feeds_before }
    }

    /// The last of them.
    pub fn updated_at(self) -> UnixMillis {
        self.updated_at.into()
    }

    /// The first of them.
    pub fn of_first(self) -> UnixTime {
        self.updated_at().as_seconds().minus(self.first_before.into())
    }

    /// The first from which on all name the feeds of the last.
    pub fn of_feeds(self) -> UnixTime {
        self.updated_at().as_seconds().minus(self.feeds_before.into())
    }
}

impl From<UnixMillis> for PackedMillis {
    fn from(UnixMillis(millis): UnixMillis) -> PackedMillis {
        let [a, b, c, d, e, f, _, _] = millis.clamp(-MILLIS_MAX, MILLIS_MAX).to_le_bytes();
        PackedMillis([a, b, c, d, e, f])
    }
}

impl From<PackedMillis> for UnixMillis {
    fn from(PackedMillis([a, b, c, d, e, f]): PackedMillis) -> UnixMillis {
        // Shifted back with its sign.
        UnixMillis(i64::from_le_bytes([0, 0, a, b, c, d, e, f]) >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixMillis = UnixMillis(1_700_000_000_789);

    fn seconds_later(seconds: i64) -> UnixMillis {
        UnixMillis(AT.0 + seconds * 1000)
    }

    #[test]
    fn a_moment_is_read_back_as_it_was_packed() {
        for millis in [0, 1, -1, AT.0, -AT.0, MILLIS_MAX, -MILLIS_MAX] {
            assert_eq!(UnixMillis::from(PackedMillis::from(UnixMillis(millis))), UnixMillis(millis));
        }
        assert_eq!(UnixMillis::from(PackedMillis::from(UnixMillis(i64::MAX))), UnixMillis(MILLIS_MAX));
        assert_eq!(UnixMillis::from(PackedMillis::from(UnixMillis(i64::MIN))), UnixMillis(-MILLIS_MAX));
    }

    #[test]
    fn who_is_told_of_again_was_registered_first_and_feeds_that_come_later_do_then() {
        let tagged = RegisteredSince::first(AT).then(seconds_later(10), true);
        let at = AT.as_seconds();
        assert_eq!((tagged.of_first(), tagged.of_feeds(), tagged.updated_at()), (at, at, seconds_later(10)));
        let more = tagged.then(seconds_later(30), false).then(seconds_later(35), true);
        assert_eq!((more.of_first(), more.of_feeds()), (at, at.plus(30)));
    }

    #[test]
    fn a_clock_that_is_set_back_and_a_day_lose_no_order() {
        let earlier = RegisteredSince::first(AT).then(seconds_later(-5), true);
        assert_eq!((earlier.of_first(), earlier.of_feeds()), (AT.as_seconds().minus(5), AT.as_seconds().minus(5)));
        let day_later = RegisteredSince::first(AT).then(seconds_later(86_400), true);
        assert_eq!(day_later.of_first(), AT.as_seconds().plus(86_400 - i64::from(u16::MAX)));
    }
}
