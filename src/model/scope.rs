//! What one pull asks, and how far it completes its feed.
//!
//! A pull asks for a fixed scope and reads its pages to the end; only then does the cursor move. Why nothing inside
//! the lateness is lost, for a pull whose first call was sent when the upstream's clock showed `as_of`:
//!
//! 1. A fact that happened at `t` is shown from `t + lateness` on, at the latest; an order from `lateness` after the end
//!    of the date it is listed under.
//! 2. The cursor moves to `as_of − lateness` at most, over a day of orders only when that day ended a lateness before
//!    `as_of`. So what it passes was shown when the pull began, and the pull has read it, if it lies in the scope.
//! 3. The scope begins at the cursor, so scopes follow each other without a gap; a scope that ends before
//!    `as_of − lateness` moves the cursor to its own end only, and one that begins behind the cursor not at all.
//!
//! Whether the upstream's `date` is Beijing's day or UTC's is not documented. UTC's is over 8 hours later, so a day
//! closes by its end in UTC.

use super::cursor::first_open_day;
use super::feed::{Feed, PulledBy};
use super::time::{Day, UnixTime};

/// What one pull asks for, from its first page to its last. It stays the same for the whole pull, whatever the clock says
/// meanwhile; only its end may move the cursor of its [`feed`](Scope::feed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What happened from `begin` to `end`, both included, of a feed that is pulled by [`PulledBy::Window`].
    Window { feed: Feed, begin: UnixTime, end: UnixTime },
    /// Orders of one payment date. When it closes, the days before `until` are complete: those after it, if any, were
    /// closed before it was.
    Day { day: Day, until: Day },
    /// Orders of any payment date; completes the days before `until`.
    History { until: Day },
    /// Every refund of the promoter.
    Refunds,
}

/// What is complete once a scope was read to its end. The one place where a feed's lateness is weighed against the time at
/// which a pull began: whoever comes later goes by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Where the cursor of the scope's feed stands then; never before where it stood.
    pub reached: UnixTime,
    /// Whether anything is settled by it: the cursor moves, or a day has closed that the cursor passes together with those
    /// before it.
    pub settles: bool,
}

impl Scope {
    /// One day of orders, and no day after it is closed.
    pub fn day(day: Day) -> Scope {
        Scope::Day { day, until: day.next() }
    }

    pub fn feed(self) -> Feed {
        match self {
            Scope::Window { feed, .. } => feed,
            Scope::Day { .. } | Scope::History { .. } => Feed::Orders,
            Scope::Refunds => Feed::Refunds,
        }
    }

    /// What is complete after this scope was read to its end, where the feed was complete before
    /// `complete_before`.
    ///
    /// `lateness` is the feed's, in seconds. `as_of` is the earlier of the local clock and the upstream's when the
    /// first call was sent.
    pub(crate) fn completes(self, complete_before: UnixTime, lateness: i64, as_of: UnixTime) -> Completion {
        let settled = as_of.minus(lateness);
        let not_closing = first_day_not_closing(lateness, as_of);
        let reached = match self {
            Scope::Window { begin, end, .. } if begin <= complete_before => end.min(settled),
            Scope::Day { day, until } if day == first_open_day(complete_before) && day < not_closing => {
                until.beijing_start()
            }
            Scope::Window { .. } | Scope::Day { .. } => complete_before,
            Scope::History { until } => until.min(not_closing).beijing_start(),
            Scope::Refunds => settled,
        };
        let closes_day = matches!(self, Scope::Day { day, .. } if day < not_closing);
        let reached = reached.max(complete_before);
        Completion { reached, settles: closes_day || reached > complete_before }
    }

    /// Where the memory of refunds ends when nothing polls them and this scope of orders has moved the cursor of
    /// orders to `orders_complete_before`: a refund of a day that is still open happened on that day or later, or on
    /// the day before where an order is listed under the day after its payment.
    pub(crate) fn completes_refunds(orders_complete_before: UnixTime, lateness: i64, as_of: UnixTime) -> UnixTime {
        let day_before = Day::in_beijing(orders_complete_before).previous().beijing_start();
        day_before.min(as_of.minus(lateness))
    }
}

/// Before when, at `as_of`, the upstream shows everything of a feed, so that its cursor can come to there; `lateness` is the
/// feed's, in seconds. Nothing for one that is no stretch of time, but read as a whole in each pull.
pub fn settled(feed: Feed, lateness: i64, as_of: UnixTime) -> Option<UnixTime> {
    match feed.pulled_by() {
        PulledBy::Window => Some(as_of.minus(lateness)),
        PulledBy::Day => Some(first_day_not_closing(lateness, as_of).beijing_start()),
        PulledBy::Promoter => None,
    }
}

/// The first day whose end, in UTC, lies less than the lateness before `as_of`: those before it are complete once they have been
/// read at `as_of`.
pub(crate) fn first_day_not_closing(lateness: i64, as_of: UnixTime) -> Day {
    Day::in_utc(as_of.minus(lateness))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const EIGHT: UnixTime = UnixTime(1_668_643_200); // 2022-11-17 08:00 in Beijing: midnight in UTC

    #[test]
    fn a_day_closes_when_it_was_read_a_lateness_after_its_end_in_utc_and_not_before() {
        let yesterday = Day::in_utc(EIGHT).previous();
        let complete_before = yesterday.beijing_start();
        let scope = Scope::day(yesterday);
        let closing = EIGHT.plus(12 * HOUR);
        assert_eq!(scope.completes(complete_before, 12 * HOUR, closing).reached, yesterday.beijing_end());
        assert_eq!(scope.completes(complete_before, 12 * HOUR, closing.minus(1)).reached, complete_before);
        assert_eq!(
            Scope::day(yesterday.next()).completes(complete_before, 12 * HOUR, closing).reached,
            complete_before
        );
    }

    #[test]
    fn a_day_that_closes_before_those_before_it_is_settled_and_the_cursor_stays() {
        let day = Day::in_utc(EIGHT).previous();
        let complete_before = day.previous().beijing_start();
        let completion = |as_of| Scope::day(day).completes(complete_before, HOUR, as_of);
        let stays = |settles| Completion { reached: complete_before, settles };
        assert_eq!(completion(EIGHT.plus(HOUR)), stays(true));
        assert_eq!(completion(EIGHT.plus(HOUR - 1)), stays(false));
    }

    #[test]
    fn a_day_that_closes_takes_those_along_that_were_closed_before_it() {
        let day = Day::in_utc(EIGHT).previous();
        let until = day.next().next();
        let scope = Scope::Day { day, until };
        let complete_before = day.beijing_start();
        assert_eq!(scope.completes(complete_before, HOUR, EIGHT.plus(48 * HOUR)).reached, until.beijing_start());
    }

    #[test]
    fn an_undated_pull_completes_the_days_that_have_closed() {
        let today = Day::in_utc(EIGHT);
        let scope = Scope::History { until: today };
        assert_eq!(scope.completes(UnixTime::EARLIEST, HOUR, EIGHT.plus(HOUR)).reached, today.beijing_start());
        assert_eq!(
            scope.completes(UnixTime::EARLIEST, HOUR, EIGHT.plus(HOUR - 1)).reached,
            today.previous().beijing_start()
        );
    }

    #[test]
    fn a_window_that_begins_behind_the_cursor_moves_nothing() {
        let scope = Scope::Window { feed: Feed::Touches, begin: EIGHT.plus(1), end: EIGHT.plus(HOUR) };
        assert_eq!(scope.completes(EIGHT, 600, EIGHT.plus(HOUR)), Completion { reached: EIGHT, settles: false });
    }
}
