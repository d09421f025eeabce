//! How far a feed is complete.

use super::feed::{Feed, PulledBy};
use super::time::{Day, PackedTime, UnixTime};

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
    /// Whether the feed itself is polled, or was. If not, it is only the memory of what another feed meets: `start` and
    /// `complete_before` say what that memory holds, and nothing of how far the feed is complete.
    pub polled: bool,
    /// Of refunds: whether a pull has read all of them to its end; where they are only remembered, whether pulls of orders have
    /// read all days that were open. A refund that has no time and is first met by a later pull is no history.
    pub history_seen: bool,
}

impl Cursor {
    /// The first cursor of a feed.
    ///
    /// Whether the upstream's `date` is Beijing's day or UTC's is not documented, so orders begin with the earlier
    /// of the two days that hold `start`, which is UTC's.
    pub fn begin(feed: Feed, start: UnixTime) -> Cursor {
        let complete_before = match feed.pulled_by() {
            PulledBy::Window | PulledBy::Promoter => start,
            PulledBy::Day => Day::in_utc(start).beijing_start(),
        };
        Cursor { start, complete_before, polled: true, history_seen: false }
    }

    /// For a feed that nobody polls, but another one meets facts of.
    pub fn memory(start: UnixTime) -> Cursor {
        Cursor { start, complete_before: start, polled: false, history_seen: false }
    }

    /// The first cursor of a feed that begins to be polled when there is a `memory` of it already.
    ///
    /// Its own start counts, and may go back behind what the memory holds: facts that happened before the memory began were
    /// never published. But once the memory has begun to forget, a fact that it may have forgotten may have been
    /// published, so the feed begins where the memory is whole. A start of "now" is for the caller to take for the one of the
    /// memory: what happened since and was not met yet would be lost.
    pub fn begin_with(memory: Cursor, feed: Feed, start: UnixTime) -> Cursor {
        let has_forgotten = memory.complete_before > memory.start;
        let whole_from = if has_forgotten { memory.complete_before } else { start };
        Cursor::begin(feed, start.max(whole_from))
    }

    /// The same, of a feed that is polled, where it is to be asked again from `to` on. Orders of a day that is open are asked for anyhow:
    /// there the start alone may move.
    pub fn rewound(self, feed: Feed, to: UnixTime) -> Cursor {
        if !self.polled {
            return self;
        }
        let begun = Cursor::begin(feed, to);
        let complete_before = self.complete_before.min(begun.complete_before);
        Cursor { start: self.start.min(to), complete_before, ..self }
    }
}

/// The first day of orders that is not closed, where they are complete before then.
pub(crate) fn first_open_day(complete_before: UnixTime) -> Day {
    Day::in_beijing(complete_before)
}

/// A cursor in ten bytes: there may be millions. Its times are [`PackedTime`]s. Aligned to two bytes, so that whoever holds it has
/// the two behind it for something else.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(2))]
pub(super) struct PackedCursor {
    start: PackedTime,
    complete_before: PackedTime,
    polled: bool,
    history_seen: bool,
}

impl From<Cursor> for PackedCursor {
    fn from(Cursor { start, complete_before, polled, history_seen }: Cursor) -> PackedCursor {
        PackedCursor { start: start.into(), complete_before: complete_before.into(), polled, history_seen }
    }
}

impl From<PackedCursor> for Cursor {
    fn from(PackedCursor { start, complete_before, polled, history_seen }: PackedCursor) -> Cursor {
        Cursor { start: start.into(), complete_before: complete_before.into(), polled, history_seen }
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
        assert_eq!(first_open_day(cursor.complete_before).as_yyyymmdd(), 20_221_116);
        assert_eq!(cursor.start, start);
        assert_eq!(Cursor::begin(Feed::Touches, start).complete_before, start);
    }

    #[test]
    fn a_rewind_moves_what_stands_behind_its_time_and_of_an_open_day_the_start_alone() {
        // 2022-11-17 20:00 in Beijing.
        let start = UnixTime(1_668_686_400);
        let orders = Cursor::begin(Feed::Orders, start);
        assert_eq!(orders.rewound(Feed::Orders, start.plus(1)), orders);
        assert_eq!(orders.rewound(Feed::Orders, start.minus(600)), Cursor { start: start.minus(600), ..orders });
        let yesterday = start.minus(24 * 3600);
        assert_eq!(orders.rewound(Feed::Orders, yesterday), Cursor::begin(Feed::Orders, yesterday));
        let memory = Cursor::memory(start);
        assert_eq!(memory.rewound(Feed::Refunds, yesterday), memory, "nobody polls it");
    }

    #[test]
    fn a_feed_that_is_polled_later_begins_at_its_own_start_unless_its_memory_has_forgotten() {
        let (old, began) = (UnixTime(1_500_000_000), UnixTime(1_600_000_000));
        let memory = Cursor::memory(began);
        for start in [old, began.plus(1)] {
            assert_eq!(Cursor::begin_with(memory, Feed::Refunds, start), Cursor::begin(Feed::Refunds, start));
        }
        let memory = Cursor { complete_before: began.plus(5), ..memory };
        assert_eq!(Cursor::begin_with(memory, Feed::Refunds, old).start, began.plus(5));
        assert_eq!(Cursor::begin_with(memory, Feed::Refunds, began.plus(9)).start, began.plus(9));
    }
}
