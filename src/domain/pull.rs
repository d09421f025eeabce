//! What one pull asks, and how far it completes its feed.
//!
//! A pull asks for a fixed scope and reads its pages to the end; only then does the cursor move. Why nothing inside
//! the lateness is lost, for a pull whose first call was sent when the upstream's clock showed `as_of`:
//!
//! 1. A fact that happened at `t` is shown from `t + lateness` on, at the latest.
//! 2. The cursor moves to `as_of − lateness` at most. A fact before that was shown when the pull began, so the pull
//!    has read it, if it lies in the scope.
//! 3. The scope begins at the cursor, so scopes follow each other without a gap; a scope that ends before
//!    `as_of − lateness` moves the cursor to its own end only.

use super::cursor::Cursor;
use super::feed::Feed;
use super::time::{Day, UnixTime};

/// With more open days than this, one pull without a date is cheaper than a call for each day.
const DATED_DAYS_MAX: i64 = 31;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Touches from `begin` to `end`, both included.
    Touches { begin: UnixTime, end: UnixTime },
    /// Orders of one payment date.
    Day(Day),
    /// Orders of any payment date; completes the days before `until`.
    History { until: Day },
    /// Every refund of the promoter.
    Refunds,
}

impl Scope {
    pub fn feed(self) -> Feed {
        match self {
            Scope::Touches { .. } => Feed::Touches,
            Scope::Day(_) | Scope::History { .. } => Feed::Orders,
            Scope::Refunds => Feed::Refunds,
        }
    }

    /// The next stretch of touches: to now, or a slice of at most `slice` seconds while the cursor lies further back
    /// than that. The last slice always reaches to now, so a short slice never delays what happens now.
    pub fn touches(cursor: &Cursor, slice: i64, lateness: i64, now: UnixTime) -> Scope {
        let begin = cursor.complete_before;
        let slice_end = begin.plus(slice);
        let end = if slice_end < now.minus(lateness) { slice_end } else { now.max(begin) };
        Scope::Touches { begin, end }
    }

    /// The days of orders to be read at `now`: oldest first, or one pull without a date where they are too many.
    pub fn orders(cursor: &Cursor, lateness: i64, now: UnixTime) -> OrderScopes {
        let first = cursor.first_open_day();
        let today = Day::in_beijing(now).max(first);
        let until = first_day_not_yet_closing(lateness, now);
        if today.days_since(first) > DATED_DAYS_MAX && until > first {
            return OrderScopes::History(Scope::History { until });
        }
        OrderScopes::Days { first, today }
    }

    /// Where the cursor stands after this scope was read to its end; never before `cursor`.
    ///
    /// `as_of` is the earlier of the local clock and the upstream's when the first call was sent.
    pub fn completes(self, cursor: &Cursor, lateness: i64, as_of: UnixTime) -> UnixTime {
        let settled = as_of.minus(lateness);
        let reached = match self {
            Scope::Touches { end, .. } => end.min(settled),
            Scope::Day(day) if day == cursor.first_open_day() && day.beijing_end() <= settled => day.beijing_end(),
            Scope::Day(_) => cursor.complete_before,
            Scope::History { until } => until.min(first_day_not_yet_closing(lateness, as_of)).beijing_start(),
            Scope::Refunds => settled,
        };
        reached.max(cursor.complete_before)
    }

    /// Where the memory of refunds ends when nothing polls them and this scope of orders has moved the cursor of
    /// orders to `orders_complete_before`: a refund of a day that is still open happened on that day or later.
    pub fn completes_refunds(orders_complete_before: UnixTime, lateness: i64, as_of: UnixTime) -> UnixTime {
        orders_complete_before.min(as_of.minus(lateness))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderScopes {
    History(Scope),
    /// Each day from `first` to `today`, both included.
    Days {
        first: Day,
        today: Day,
    },
}

fn first_day_not_yet_closing(lateness: i64, now: UnixTime) -> Day {
    Day::in_beijing(now.minus(lateness))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const NOON: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing

    fn cursor(complete_before: UnixTime) -> Cursor {
        Cursor { start: complete_before, complete_before, polled: true }
    }

    #[test]
    fn a_day_closes_when_it_was_read_after_its_lateness_and_not_before() {
        let yesterday = Day::in_beijing(NOON).previous();
        let cursor = cursor(yesterday.beijing_start());
        let scope = Scope::Day(yesterday);
        assert_eq!(scope.completes(&cursor, 12 * HOUR, NOON), yesterday.beijing_end());
        assert_eq!(scope.completes(&cursor, 12 * HOUR, NOON.minus(1)), cursor.complete_before);
        assert_eq!(Scope::Day(yesterday.next()).completes(&cursor, 12 * HOUR, NOON), cursor.complete_before);
    }

    #[test]
    fn many_open_days_are_one_pull_without_a_date() {
        let scopes = Scope::orders(&cursor(UnixTime::EARLIEST), 12 * HOUR, NOON);
        let OrderScopes::History(scope) = scopes else { panic!("{scopes:?}") };
        let cursor = cursor(UnixTime::EARLIEST);
        assert_eq!(scope.completes(&cursor, 12 * HOUR, NOON), Day::in_beijing(NOON).beijing_start());
    }

    #[test]
    fn a_short_slice_never_delays_what_happens_now() {
        let behind = cursor(NOON.minus(600));
        assert_eq!(Scope::touches(&behind, 60, 600, NOON), Scope::Touches { begin: behind.complete_before, end: NOON });
        let far_behind = cursor(NOON.minus(6000));
        assert_eq!(
            Scope::touches(&far_behind, 60, 600, NOON),
            Scope::Touches { begin: far_behind.complete_before, end: far_behind.complete_before.plus(60) }
        );
    }

    proptest::proptest! {
        #[test]
        fn scopes_follow_each_other_without_a_gap_and_the_cursor_never_moves_back(
            behind in 0i64..100_000, slice in 1i64..10_000, lateness in 1i64..10_000,
            steps in proptest::collection::vec(0i64..5_000, 1..40),
        ) {
            let mut now = NOON;
            let mut cursor = cursor(NOON.minus(behind));
            for step in steps {
                now = now.plus(step);
                let scope = Scope::touches(&cursor, slice, lateness, now);
                let Scope::Touches { begin, end } = scope else { unreachable!() };
                proptest::prop_assert_eq!(begin, cursor.complete_before);
                let reached = scope.completes(&cursor, lateness, now);
                proptest::prop_assert!(reached >= cursor.complete_before);
                proptest::prop_assert!(reached <= end);
                proptest::prop_assert!(reached <= now.minus(lateness).max(begin));
                cursor.complete_before = reached;
            }
        }
    }
}
