//! Since when a promoter has been registered, in twelve bytes: a registry holds one for each promoter.
//!
//! Whoever registers a promoter was answered then, and misses nothing from there on. What is said of him later (a tag, a pause and its
//! end, the same once more) does not change that; only what was not asked for before is asked for then.

use std::time::Duration;

use crate::model::feed::{Feed, PerFeed};
use crate::model::feed_set::FeedSet;
use crate::model::time::{UnixMillis, UnixTime};

/// A moment in six bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PackedMillis([u8; 6]);

/// The years beyond it, 6429 after and 4459 before, are told as it.
const MILLIS_MAX: i64 = (1 << 47) - 1;

/// For how long it counts that a feed was asked for, in seconds: as long as an outage of all instances may take, or one of the upstream
/// in which they are restarted. A record that was copied from another cluster is no reason to publish its past.
const COUNTS_FOR: i64 = 12 * 3600;

/// By how many seconds the clock of whoever wrote the first record may have been ahead.
const CLOCK_AHEAD_MAX: i64 = 3600;

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

    /// By one more than those that tell `since`.
    pub(super) fn by(since: Option<RegisteredSince>, updated_at: UnixMillis, feeds: FeedSet) -> RegisteredSince {
        since.map_or_else(|| RegisteredSince::first(updated_at, feeds), |since| since.then(updated_at, feeds))
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
                Some(at) if feeds.brings(feed) => before_latest(first_of(at, written)),
                Some(at) => before_latest(at),
                None if feeds.brings(feed) => before_latest(written),
                None => NEVER,
            }
        });
        RegisteredSince { updated_at: latest.into(), asked_for_before }
    }

    /// The latest of them.
    pub fn updated_at(self) -> UnixMillis {
        self.updated_at.into()
    }

    /// Where the feed begins for whoever is told of him then: with the first of them, as far back as that counts, and as it is known what
    /// was published of him: so long is that kept of whom nobody registers. Nothing where even the latest does not.
    ///
    /// So whatever was said in between, such as the end of a pause, and then a tag, is no later than where he begins.
    pub fn begins(self, feed: Feed, told: UnixTime, forget: Duration) -> Option<UnixTime> {
        let counts_since = told.minus(COUNTS_FOR.min(i64::try_from(forget.as_secs()).unwrap_or(i64::MAX)));
        (self.updated_at().as_seconds() >= counts_since).then(|| self.of_feed(feed).max(counts_since))
    }

    /// The first that brings the feed; the latest where none does. Whatever the others ask for: a feed that had begun with the first would
    /// have gone on from its cursor, and refunds from where orders began to meet them.
    pub(super) fn of_feed(self, feed: Feed) -> UnixTime {
        let before = self.asked_for_before[feed];
        self.updated_at().as_seconds().minus(if before == NEVER { 0 } else { before.into() })
    }
}

/// When a feed was asked for by two records: the first, unless the second was `written` at an earlier time, by a clock that was right again.
/// One that is earlier by more than a clock is ahead is another's copy, or has the time of an event.
fn first_of(at: UnixTime, written: UnixTime) -> UnixTime {
    if written < at && written >= at.minus(CLOCK_AHEAD_MAX) { written } else { at }
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
    const FORGET: Duration = Duration::from_secs(30 * 86_400);

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
    fn a_clock_that_was_ahead_loses_nothing_and_an_old_time_moves_nothing() {
        let (touches, all) = (FeedSet::from_iter([Feed::Touches]), FeedSet::default());
        let first = RegisteredSince::first(AT, touches);
        let touches_at = |seconds| first.then(seconds_later(seconds), touches).of_feed(Feed::Touches);
        let at = AT.as_seconds();
        assert_eq!(touches_at(-CLOCK_AHEAD_MAX), at.minus(CLOCK_AHEAD_MAX));
        assert_eq!([-CLOCK_AHEAD_MAX - 1, -100 * CLOCK_AHEAD_MAX].map(touches_at), [at; 2]);
        let since = first.then(seconds_later(-5), all);
        assert_eq!((since.of_feed(Feed::Orders), since.updated_at()), (at.minus(5), AT));
    }

    #[test]
    fn what_is_said_a_day_later_changes_nothing() {
        let day_later = RegisteredSince::first(AT, FeedSet::default()).then(seconds_later(86_400), FeedSet::default());
        let day = AT.as_seconds().plus(86_400);
        assert_eq!(day_later.of_feed(Feed::Orders), day.minus(BEFORE_MAX.into()), "18 hours before at most");
        assert_eq!(day_later.begins(Feed::Orders, day.plus(COUNTS_FOR), FORGET), Some(day));
    }

    #[test]
    fn the_first_counts_as_far_back_as_it_does_while_the_latest_counts_at_all() {
        let feeds = FeedSet::default();
        let since = RegisteredSince::first(AT, feeds).then(seconds_later(3000), feeds);
        let begins = |later| since.begins(Feed::Orders, AT.as_seconds().plus(later), FORGET);
        assert_eq!(begins(COUNTS_FOR), Some(AT.as_seconds()));
        assert_eq!(begins(COUNTS_FOR + 1), Some(AT.as_seconds().plus(1)));
        assert_eq!(begins(COUNTS_FOR + 3000), Some(AT.as_seconds().plus(3000)));
        assert_eq!(begins(COUNTS_FOR + 3001), None);
        let soon_forgotten = |later| since.begins(Feed::Orders, AT.as_seconds().plus(later), Duration::from_secs(3600));
        assert_eq!([3600, 6600].map(soon_forgotten), [0, 3000].map(|seconds| Some(AT.as_seconds().plus(seconds))));
        assert_eq!(soon_forgotten(6601), None, "what was published of a first life is not known");
    }

    /// He is registered, or the pause ends in which he was registered long before; then another's tag comes, with the time of an event,
    /// and another.
    #[test]
    fn nothing_that_is_said_later_hides_what_was_said_before() {
        let feeds = FeedSet::default();
        let minutes = |minutes: i64| seconds_later(60 * minutes);
        for (first, then, event) in
            [(-30, -30, -119), (-30, -30, -75), (-30, -20, -1), (-715, -30, -740), (-3000, -30, -30), (-3000, -30, -10)]
        {
            let since = RegisteredSince::first(minutes(first), feeds);
            let since = since.then(minutes(then), feeds).then(minutes(event), feeds).then(minutes(-5), feeds);
            let begins = since.begins(Feed::Touches, AT.as_seconds(), FORGET);
            assert!(begins.is_some_and(|at| at <= minutes(then).as_seconds()), "{first} {event}: {begins:?}");
        }
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
