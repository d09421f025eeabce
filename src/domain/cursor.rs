//! How far a feed is complete.

use super::feed::Feed;
use super::time::{Day, UnixTime};

/// Everything of the feed before `complete_before` is settled: it has been published, or it came later than the
/// feed's lateness allows. It is the horizon as well: a row behind it is left alone, one at or after it is looked
/// up in the feed's memory.
///
/// The lateness is already taken off when the cursor moves, and is not taken off again when it is used. So a
/// lateness that is raised later can never lead the connector back over facts it has forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Facts that happened before are never published: what `start_from` came to, once and for all.
    pub start: UnixTime,
    /// For orders always the Beijing midnight at which the first open day begins.
    pub complete_before: UnixTime,
}

impl Cursor {
    /// The first cursor of a feed.
    ///
    /// Whether the upstream's `date` is Beijing's day or UTC's is not documented, so orders begin with the earlier
    /// of the two days that hold `start`, which is UTC's.
    pub fn begin(feed: Feed, start: UnixTime) -> Cursor {
        let complete_before = match feed {
            Feed::Touches | Feed::Refunds => start,
            Feed::Orders => Day::in_utc(start).beijing_start(),
        };
        Cursor { start, complete_before }
    }

    /// The first day of orders that is not closed.
    pub fn first_open_day(&self) -> Day {
        Day::in_beijing(self.complete_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_begin_with_the_earlier_of_the_two_days_that_hold_the_start() {
        // 2022-11-17 00:00 in Beijing is still the 16th in UTC.
        let start = UnixTime(1_668_614_400);
        let cursor = Cursor::begin(Feed::Orders, start);
        assert_eq!(cursor.first_open_day().as_yyyymmdd(), 20_221_116);
        assert_eq!(cursor.start, start);
        assert_eq!(Cursor::begin(Feed::Touches, start).complete_before, start);
    }
}
