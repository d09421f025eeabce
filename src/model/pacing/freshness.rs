//! Up to when a feed is read, as far as its cursor and its pulls tell.

use super::seen::Seen;
use super::{Pacing, PollSettings, Pulled};
use crate::model::cursor::first_open_day;
use crate::model::feed::{Feed, PulledBy};
use crate::model::scope::{Scope, first_day_not_closing};
use crate::model::time::{Day, UnixTime};

/// A cursor that moves in silence is written once an hour: a feed may have been read for so long, in seconds, without a trace.
const SILENT_MAX: i64 = 3600;
/// Refunds that nobody has read for so long, in seconds beside their lateness, are a past to be read, as closed days are to orders.
const REFUNDS_PAST: i64 = 24 * 3600;

impl Pulled {
    /// Whether it has read what there was when it began, and not only what was there long before.
    pub fn reaches_present(&self) -> bool {
        match self.scope {
            Scope::Window { end, .. } => end >= self.as_of,
            Scope::Day { day, .. } => day >= Day::in_beijing(self.as_of),
            Scope::Refunds => true,
            Scope::History { .. } => false,
        }
    }
}

impl Pacing {
    /// Whether the feed has a past to read before its pulls come to the present.
    pub fn is_backfilling(&self, feed: Feed, settings: PollSettings, now: UnixTime) -> bool {
        match self.scope(feed, settings, now) {
            Scope::Window { end, .. } => end < now,
            Scope::History { .. } => true,
            // One may have just come to its time to close.
            Scope::Day { .. } => {
                first_day_not_closing(settings.lateness, now).days_since(first_open_day(self.complete_before())) > 1
            }
            // One pull reads all of it, however long ago that begins; until it has, it is not known what is late.
            Scope::Refunds => self.complete_before().plus(settings.lateness).plus(REFUNDS_PAST) < now,
        }
    }

    /// Up to when what its pulls have shown of the present reaches, of those that were read to their end since this pacing began.
    /// Nothing where none was.
    pub fn has_read_to(&self) -> Option<UnixTime> {
        self.seen.map(Seen::to)
    }

    /// Up to when the feed may have been read by those who polled it before, at most until `now`. What they can't have read
    /// lies behind it.
    pub fn read_before(&self, feed: Feed, settings: PollSettings, now: UnixTime) -> UnixTime {
        let read_to = match feed.pulled_by() {
            PulledBy::Window | PulledBy::Promoter => self.complete_before().plus(settings.lateness).plus(SILENT_MAX),
            // A day that should be closed was not read since it could be.
            PulledBy::Day => first_open_day(self.complete_before()).utc_end().plus(settings.lateness).plus(SILENT_MAX),
        };
        read_to.min(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Failed, PollRemedy};
    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::scope::Completion;

    const NOW: UnixTime = UnixTime(1_668_657_600);
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn settings(lateness: i64) -> PollSettings {
        let every = Duration::from_secs(60);
        PollSettings { every, idle_every: every, lateness }
    }

    /// Of a feed whose cursor stands so many seconds before now.
    fn pacing(feed: Feed, behind: i64) -> Pacing {
        Pacing::new(Cursor::begin(feed, NOW.minus(behind)))
    }

    #[test]
    fn what_lies_days_back_is_a_backfill_and_what_lies_hours_back_is_not() {
        for (feed, lateness) in [(Feed::Touches, 600), (Feed::Orders, 12 * HOUR), (Feed::Refunds, 2 * DAY)] {
            let is_backfilling = |behind| pacing(feed, behind).is_backfilling(feed, settings(lateness), NOW);
            assert!(!is_backfilling(0) && !is_backfilling(lateness + 3 * HOUR), "{feed}");
            assert!(is_backfilling(4 * DAY) && is_backfilling(400 * DAY), "{feed}");
        }
    }

    #[test]
    fn who_polled_before_may_have_read_in_silence_for_an_hour_and_no_longer() {
        let read_before = |behind| pacing(Feed::Touches, behind).read_before(Feed::Touches, settings(600), NOW);
        assert_eq!(read_before(600 + HOUR), NOW);
        assert_eq!(read_before(600 + 5 * HOUR), NOW.minus(4 * HOUR));
        let of_orders = |behind| pacing(Feed::Orders, behind).read_before(Feed::Orders, settings(12 * HOUR), NOW);
        assert_eq!(of_orders(0), NOW);
        assert!((NOW.minus(5 * DAY)..NOW.minus(3 * DAY)).contains(&of_orders(5 * DAY)));
    }

    #[test]
    fn nothing_was_read_before_a_pull_was_read_to_its_end_whoever_polled_before() {
        let mut touches = pacing(Feed::Touches, HOUR);
        let scope = touches.scope(Feed::Touches, settings(600), NOW);
        assert_eq!(touches.has_read_to(), None);
        touches.after_failure(Failed { scope, as_of: NOW, remedy: PollRemedy::Time }, Duration::ZERO);
        assert_eq!(touches.has_read_to(), None);
        let completion = Completion { reached: NOW.minus(600), settles: false };
        let pulled = Pulled { scope, completion, as_of: NOW, pages: 1, rows: 0, shown: 0, kept: 0 };
        touches.after(pulled, settings(600), Duration::ZERO);
        assert_eq!(touches.has_read_to(), Some(NOW), "a fact or none");
    }
}
