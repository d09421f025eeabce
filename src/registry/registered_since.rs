//! Since when a promoter has been registered, in twelve bytes: a registry holds one for each promoter.
//!
//! Whoever registers a promoter was answered then, and misses nothing from there on. What is said of him later (a tag, a pause and its
//! end, the same once more) does not change that; only what was not asked for before, or so long before that it does not count any
//! more, is asked for then.

use crate::model::feed::{Feed, PerFeed};
use crate::model::feed_set::FeedSet;
use crate::model::time::{UnixMillis, UnixTime};

/// A moment in six bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PackedMillis([u8; 6]);

/// The years beyond it, 6429 after and 4459 before, are told as it.
const MILLIS_MAX: i64 = (1 << 47) - 1;

/// For how long it counts that a feed was asked for, in seconds: as long as an outage of all instances may take. A record that was
/// copied from another cluster is no reason to publish its past.
pub const COUNTS_FOR: i64 = 3600;

/// When his records were written, since he was not registered last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisteredSince {
    /// The latest time of them. The last record may tell an earlier one, as one does that has the time of an event.
    updated_at: PackedMillis,
    /// How many seconds before that the first was that brings the feed: 18 hours at most, of which [`COUNTS_FOR`] counts.
    asked_for_before: PerFeed<u16>,
}

/// Of a feed that none of his records brings.
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
        let (latest, written) = (self.updated_at().max(updated_at), updated_at.as_seconds());
        let before_latest = |earlier: UnixTime| {
            let seconds = latest.as_seconds().0.saturating_sub(earlier.0).clamp(0, BEFORE_MAX.into());
            u16::try_from(seconds).unwrap_or(BEFORE_MAX)
        };
        let asked_for_before = PerFeed::new(|feed| {
            let asked_for = (self.asked_for_before[feed] != NEVER).then(|| self.of_feed(feed));
            match asked_for {
                Some(at) if !feeds.brings(feed) || still_counts(at, written) => before_latest(at),
                None if !feeds.brings(feed) => NEVER,
                Some(_) | None => before_latest(written),
            }
        });
        RegisteredSince { updated_at: latest.into(), asked_for_before }
    }

    /// The latest of them.
    pub fn updated_at(self) -> UnixMillis {
        self.updated_at.into()
    }

    /// Where the feed begins for whoever is told of him then: at the first that counts. Nothing where none does.
    pub fn begins(self, feed: Feed, told: UnixTime) -> Option<UnixTime> {
        [self.of_feed(feed), self.updated_at().as_seconds()].into_iter().find(|&at| still_counts(at, told))
    }

    /// The first that brings the feed and counted when another did; the latest where none does. Whatever the others ask for: a feed that
    /// had begun with the first would have gone on from its cursor, and refunds from where orders began to meet them.
    pub(super) fn of_feed(self, feed: Feed) -> UnixTime {
        let before = self.asked_for_before[feed];
        self.updated_at().as_seconds().minus(if before == NEVER { 0 } else { before.into() })
    }
}

/// Whether it counts at a `later` time that a feed was asked for `at` that one.
pub(super) fn still_counts(at: UnixTime, later: UnixTime) -> bool {
    at >= later.minus(COUNTS_FOR)
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
        assert_eq!(Feed::ALL.map(|feed| more.of_feed(feed)), [at, at.plus(30), at.plus(30)]);
        let fewer = more.then(seconds_later(40), touches).then(seconds_later(45), FeedSet::default());
        assert_eq!(Feed::ALL.map(|feed| fewer.of_feed(feed)), [at, at.plus(30), at.plus(30)], "asked for before");
    }

    #[test]
    fn a_record_with_an_earlier_time_changes_nothing_of_what_was_asked_for_before() {
        let (touches, all) = (FeedSet::from_iter([Feed::Touches]), FeedSet::default());
        for earlier in [-5, -2 * COUNTS_FOR, -100 * COUNTS_FOR] {
            let since = RegisteredSince::first(AT, touches).then(seconds_later(earlier), touches);
            assert_eq!((since.of_feed(Feed::Touches), since.updated_at()), (AT.as_seconds(), AT));
        }
        let since = RegisteredSince::first(AT, touches).then(seconds_later(-5), all);
        assert_eq!(since.of_feed(Feed::Orders), AT.as_seconds().minus(5), "what it asks for first");
    }

    #[test]
    fn what_does_not_count_any_more_is_asked_for_by_whoever_asks_again() {
        let (touches, all) = (FeedSet::from_iter([Feed::Touches]), FeedSet::default());
        let first = RegisteredSince::first(AT, all);
        let again = |seconds, feeds| Feed::ALL.map(|feed| first.then(seconds_later(seconds), feeds).of_feed(feed));
        let at = AT.as_seconds();
        assert_eq!(again(COUNTS_FOR, all), [at; 3]);
        assert_eq!(again(COUNTS_FOR + 1, all), [at.plus(COUNTS_FOR + 1); 3]);
        assert_eq!(again(COUNTS_FOR + 1, touches), [at.plus(COUNTS_FOR + 1), at, at]);
        let day_later = first.then(seconds_later(86_400), touches);
        assert_eq!(day_later.of_feed(Feed::Orders), at.plus(86_400 - i64::from(BEFORE_MAX)), "18 hours at most");
    }

    #[test]
    fn where_the_first_does_not_count_any_more_the_latest_may() {
        let feeds = FeedSet::default();
        let since = RegisteredSince::first(AT, feeds).then(seconds_later(3000), feeds);
        let begins = |later| since.begins(Feed::Orders, AT.as_seconds().plus(later));
        assert_eq!(begins(3600), Some(AT.as_seconds()));
        assert_eq!(begins(3601), Some(AT.as_seconds().plus(3000)));
        assert_eq!(begins(6600), Some(AT.as_seconds().plus(3000)));
        assert_eq!(begins(6601), None);
    }

    #[test]
    fn whoever_asks_for_orders_asks_for_the_refunds_that_they_meet() {
        let (orders, refunds) = (FeedSet::from_iter([Feed::Orders]), FeedSet::from_iter([Feed::Refunds]));
        for later in [refunds, FeedSet::default()] {
            let since = RegisteredSince::first(AT, orders).then(seconds_later(30), later);
            assert_eq!(since.of_feed(Feed::Refunds), AT.as_seconds());
        }
        let since = RegisteredSince::first(AT, refunds).then(seconds_later(30), orders);
        assert_eq!(since.of_feed(Feed::Orders), AT.as_seconds().plus(30), "refunds meet no orders");
    }
}
