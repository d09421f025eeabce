//! How much of its time one pull of a feed asks for that is pulled by windows.
//!
//! A backfill goes in slices, which adapt to what they bring. The last slice reaches to now, so that no slice, however
//! short, delays what happens now; unless that was too much for one pull. Then the latest facts are read in parts, one
//! behind the other, and the round begins again at the cursor.

use std::num::NonZeroU32;

use crate::model::time::UnixTime;

use super::Pulled;

/// Slices, in seconds: the first one, and the bounds within which they adapt.
pub(super) const SLICE_FIRST: u32 = 24 * 3600;
const SLICE_MIN: u32 = 60;
pub(super) const SLICE_MAX: u32 = 366 * 24 * 3600;
/// No window gets shorter, in seconds, whatever fails: a thousand facts of one promoter within that time have not been
/// seen, and an upstream that is out of order for an hour leaves no thousands of calls behind.
const WINDOW_MIN: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// A slice with fewer rows than this is followed by a longer one: a quarter of a page.
const ROWS_FEW: u64 = 250;
/// By how much a slice grows after few rows.
const GROWTH: u32 = 2;
/// By how much after none, as long as no window was too much: of a promoter who was not there yet, years are asked for in a
/// few calls, even by processes that live no longer than that.
pub(super) const GROWTH_EMPTY: u32 = 8;
/// After a window that was too much, so many go well before slices grow again: where the upstream refuses long ones,
/// one call in so many finds that out.
const CALM: u8 = 8;
/// By how much a part of the latest facts grows when it brought few.
const PART_GROWTH: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// How long the next window is, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    slice: u32,
    /// In seconds, where the latest facts are read in parts.
    part: Option<NonZeroU32>,
    /// The end of the part that was read last, in Unix seconds.
    read_to: Option<NonZeroU32>,
    calm: u8,
    /// Whether a window was ever too much for one pull.
    met_limit: bool,
}

impl Windows {
    /// Those of a feed that has grown as far as it can, and never met a limit.
    pub const LONGEST: Windows = Windows { slice: SLICE_MAX, ..Windows::new() };

    pub const fn new() -> Windows {
        Windows { slice: SLICE_FIRST, part: None, read_to: None, calm: 0, met_limit: false }
    }

    /// Where the next window begins and ends: at now, or before.
    pub fn next(&self, complete_before: UnixTime, lateness: i64, now: UnixTime) -> (UnixTime, UnixTime) {
        let read_to = self.read_to.map(|read_to| UnixTime(i64::from(read_to.get())));
        let begin = read_to.map_or(complete_before, |read_to| read_to.max(complete_before));
        let slice_end = begin.plus(self.slice.into());
        let end = match self.part {
            _ if slice_end < now.minus(lateness) => slice_end,
            Some(part) => begin.plus(part.get().into()).min(now),
            None => now,
        };
        (begin, end.max(begin))
    }

    /// Takes a window that was read to its `end`. True when it did not reach to now.
    pub fn after(&mut self, begin: UnixTime, end: UnixTime, pulled: Pulled) -> bool {
        self.adapt(begin, end, pulled);
        let more = end < pulled.as_of;
        self.read_to = if more && pulled.completion.reached < end { seconds(end.0) } else { None };
        more
    }

    fn adapt(&mut self, begin: UnixTime, end: UnixTime, pulled: Pulled) {
        // Others have cut it short: where there are rows no more can be read at once.
        if self.part.is_none() && end < begin.plus(self.slice.into()).min(pulled.as_of) {
            self.slice = seconds(end.0 - begin.0).map_or(SLICE_MIN, |width| width.get().max(SLICE_MIN));
        }
        if pulled.pages > 1 {
            self.slice = self.slice.min((self.slice / 2).max(SLICE_MIN));
        } else if pulled.rows < ROWS_FEW {
            match self.calm.checked_sub(1) {
                Some(calm) => self.calm = calm,
                None => {
                    let growth = if pulled.rows == 0 && !self.met_limit { GROWTH_EMPTY } else { GROWTH };
                    self.slice = self.slice.saturating_mul(growth).min(SLICE_MAX);
                }
            }
            let grown = self.part.map(|part| part.saturating_mul(PART_GROWTH));
            self.part = grown.filter(|part| begin.plus(part.get().into()) < pulled.as_of);
        }
    }

    /// A window was too much for one pull.
    pub fn narrow(&mut self, begin: UnixTime, end: UnixTime) {
        let half = seconds(end.0.saturating_sub(begin.0) / 2).map_or(WINDOW_MIN, |half| half.max(WINDOW_MIN));
        self.slice = self.slice.min(half.get());
        self.part = Some(half);
        self.calm = CALM;
        self.met_limit = true;
        self.read_to = None;
    }
}

/// As many, or the end of the range: of times that is in 2106.
fn seconds(seconds: i64) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::Feed;
    use crate::model::scope::Scope;

    const HOUR: i64 = 3600;
    const NOON: UnixTime = UnixTime(1_668_657_600);
    const LATENESS: i64 = 600;

    fn window(windows: &Windows, complete_before: UnixTime) -> (UnixTime, UnixTime) {
        windows.next(complete_before, LATENESS, NOON)
    }

    /// Reads the next window at noon, with one page of `rows`, and moves the cursor.
    fn read(windows: &mut Windows, cursor: &mut UnixTime, rows: u64) -> i64 {
        let (begin, end) = window(windows, *cursor);
        let scope = Scope::Window { feed: Feed::Touches, begin, end };
        let completion = scope.completes(*cursor, LATENESS, NOON);
        *cursor = completion.reached;
        windows.after(begin, end, Pulled { scope, completion, as_of: NOON, pages: 1, rows, shown: rows, kept: 0 });
        end.0 - begin.0
    }

    #[test]
    fn a_short_slice_never_delays_what_happens_now() {
        let windows = Windows { slice: 60, ..Windows::new() };
        assert_eq!(window(&windows, NOON.minus(600)), (NOON.minus(600), NOON));
        assert_eq!(window(&windows, NOON.minus(6000)), (NOON.minus(6000), NOON.minus(5940)));
    }

    #[test]
    fn a_slice_that_was_cut_short_is_followed_by_one_of_its_length_and_grows_where_it_brings_nothing() {
        let (mut windows, cursor) = (Windows::new(), NOON.minus(10_000 * HOUR));
        let mut cut = |rows| {
            let (begin, end) = (cursor, cursor.plus(6 * HOUR));
            let scope = Scope::Window { feed: Feed::Touches, begin, end };
            let completion = scope.completes(cursor, LATENESS, NOON);
            let pulled = Pulled { scope, completion, as_of: NOON, pages: 1, rows, shown: rows, kept: 0 };
            assert!(windows.after(begin, end, pulled));
            i64::from(windows.slice) / HOUR
        };
        assert_eq!([cut(ROWS_FEW), cut(1), cut(1), cut(0)], [6, 12, 12, 48]);
    }

    #[test]
    fn what_was_too_much_is_halved_and_grows_again_only_after_a_while() {
        let (mut windows, mut cursor) = (Windows::new(), NOON.minus(20_000 * HOUR));
        windows.narrow(NOON.minus(64 * HOUR), NOON);
        windows.slice = 32 * 3600;
        let widths: Vec<_> = (0..10).map(|_| read(&mut windows, &mut cursor, 1) / HOUR).collect();
        assert_eq!(widths, [32, 32, 32, 32, 32, 32, 32, 32, 32, 64]);
    }

    #[test]
    fn years_without_a_touch_are_asked_for_in_a_few_calls() {
        let (mut windows, mut cursor) = (Windows::new(), NOON.minus(4 * 366 * 24 * HOUR));
        let calls = (1..).take_while(|_| read(&mut windows, &mut cursor, 0) > 0 && cursor < NOON.minus(LATENESS));
        assert_eq!(calls.count(), 6);
    }

    #[test]
    fn the_latest_touches_are_read_in_parts_where_they_are_too_much_and_all_of_them_are_read() {
        let (mut windows, mut cursor) = (Windows::new(), NOON.minus(LATENESS));
        windows.narrow(NOON.minus(LATENESS), NOON);
        let mut begins = Vec::new();
        for _ in 0..3 {
            begins.push(NOON.0 - window(&windows, cursor).0.0);
            read(&mut windows, &mut cursor, 900);
        }
        assert_eq!(begins, [600, 300, 600], "the round begins again");
        windows.narrow(NOON.minus(600), NOON.minus(300));
        let parts: Vec<_> = (0..4).map(|_| read(&mut windows, &mut cursor, 0)).collect();
        assert_eq!(parts, [150, 450, 600, 600], "with few rows the parts grow");
    }

    proptest::proptest! {
        #[test]
        fn windows_follow_each_other_without_a_gap_and_the_cursor_never_moves_back(
            behind in 0i64..100_000, lateness in 1i64..10_000,
            steps in proptest::collection::vec((0i64..5_000, 0u32..4, 0u64..2000), 1..60),
        ) {
            let (mut now, mut cursor, mut windows) = (NOON, NOON.minus(behind), Windows::new());
            // What is read without a gap from the cursor on.
            let mut read_to = cursor;
            for (step, pages, rows) in steps {
                now = now.plus(step);
                let (begin, end) = windows.next(cursor, lateness, now);
                let scope = Scope::Window { feed: Feed::Touches, begin, end };
                proptest::prop_assert!(cursor <= begin && begin <= read_to.max(cursor));
                proptest::prop_assert!(begin <= end && end <= now.max(begin));
                if pages == 0 {
                    windows.narrow(begin, end);
                    read_to = cursor;
                    continue;
                }
                let completion = scope.completes(cursor, lateness, now);
                let reached = completion.reached;
                proptest::prop_assert!(cursor <= reached && reached <= end.max(cursor));
                proptest::prop_assert!(reached <= now.minus(lateness).max(cursor));
                cursor = reached;
                windows.after(begin, end, Pulled { scope, completion, as_of: now, pages, rows, shown: rows, kept: 0 });
                read_to = end;
            }
        }
    }
}
