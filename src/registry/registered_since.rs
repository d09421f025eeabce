//! Since when a promoter has been registered, in twelve bytes: a registry holds one for each promoter.
//!
//! Whoever registers a promoter was answered then, and misses nothing from there on. What is said of him later (a tag, a pause and its
//! end, the same once more) does not change that; only what was not asked for before is asked for then.

use crate::model::feed::{Feed, PerFeed};
use crate::model::feed_set::FeedSet;
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
    /// How many seconds before that the first was that asks for the feed: 18 hours at most, of which an hour counts.
    asked_for_before: PerFeed<u16>,
}

/// Of a feed that none of his records asks for.
const NEVER: u16 = u16::MAX;
const BEFORE_MAX: u16 = NEVER - 1;

impl RegisteredSince {
    /// By a first record.
    pub fn first(updated_at: UnixMillis, feeds: FeedSet) -> RegisteredSince {
        let nothing = RegisteredSince { updated_at: updated_at.into(), asked_for_before: PerFeed::of_each(NEVER) };
        nothing.then(updated_at, feeds)
    }

    /// By one more.
    pub fn then(self, updated_at: UnixMillis, feeds: FeedSet) -> RegisteredSince {
        let before = |earlier: UnixTime| {
            let seconds = updated_at.as_seconds().0.saturating_sub(earlier.0).clamp(0, BEFORE_MAX.into());
            u16::try_from(seconds).unwrap_or(BEFORE_MAX)
        };
        let asked_for_before = PerFeed::new(|feed| match self.asked_for_before[feed] {
            NEVER if feeds.asks_for(feed) => 0,
            NEVER => NEVER,
            _ => before(self.of_feed(feed)),
        });
        RegisteredSince { updated_at: updated_at.into(), asked_for_before }
    }

    /// The last of them.
    pub fn updated_at(self) -> UnixMillis {
        self.updated_at.into()
    }

    /// The first that asks for the feed; the last where none does. Whatever the others ask for: a feed that had begun with the first
    /// would have gone on from its cursor.
    pub fn of_feed(self, feed: Feed) -> UnixTime {
        let before = self.asked_for_before[feed];
        self.updated_at().as_seconds().minus(if before == NEVER { 0 } else { before.into() })
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
    fn who_is_told_of_again_was_registered_first_and_each_feed_is_asked_for_when_it_is() {
        let (touches, more) = (FeedSet::from_iter([Feed::Touches]), FeedSet::from_iter([Feed::Touches, Feed::Orders]));
        let tagged = RegisteredSince::first(AT, touches).then(seconds_later(10), touches);
        let at = AT.as_seconds();
        assert_eq!((tagged.of_feed(Feed::Touches), tagged.updated_at()), (at, seconds_later(10)));
        let more = tagged.then(seconds_later(30), more).then(seconds_later(35), FeedSet::default());
        assert_eq!(Feed::ALL.map(|feed| more.of_feed(feed)), [at, at.plus(30), at.plus(35)]);
        let fewer = more.then(seconds_later(40), touches).then(seconds_later(45), FeedSet::default());
        assert_eq!(Feed::ALL.map(|feed| fewer.of_feed(feed)), [at, at.plus(30), at.plus(35)], "asked for before");
    }

    #[test]
    fn a_clock_that_is_set_back_and_a_day_lose_no_order() {
        let feeds = FeedSet::default();
        let earlier = RegisteredSince::first(AT, feeds).then(seconds_later(-5), feeds);
        assert_eq!(earlier.of_feed(Feed::Orders), AT.as_seconds().minus(5));
        let day_later = RegisteredSince::first(AT, feeds).then(seconds_later(86_400), feeds);
        assert_eq!(day_later.of_feed(Feed::Orders), AT.as_seconds().plus(86_400 - i64::from(BEFORE_MAX)));
    }
}
