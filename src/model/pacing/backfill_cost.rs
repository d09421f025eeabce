//! What it costs at least to read a past.

use super::open_days::DATED_DAYS_MAX;
use super::windows::{GROWTH_EMPTY, SLICE_FIRST, SLICE_MAX};
use crate::model::cursor::{Cursor, first_open_day};
use crate::model::feed::{Feed, PulledBy};
use crate::model::time::{Day, UnixTime};

/// How many calls bring a feed whose cursor stands there to `now`, where there is nothing to be read: rows take more.
pub fn least_calls(feed: Feed, cursor: &Cursor, now: UnixTime) -> u64 {
    match feed.pulled_by() {
        PulledBy::Promoter => 1,
        PulledBy::Window => {
            let (mut begin, mut slice, mut calls) = (cursor.complete_before, SLICE_FIRST, 1);
            while begin.plus(slice.into()) < now {
                begin = begin.plus(slice.into());
                slice = slice.saturating_mul(GROWTH_EMPTY).min(SLICE_MAX);
                calls += 1;
            }
            calls
        }
        PulledBy::Day => {
            let days = Day::in_beijing(now).days_since(first_open_day(cursor.complete_before)).max(0);
            // One without a date, and the day that has begun.
            if days > DATED_DAYS_MAX { 2 } else { days.unsigned_abs() + 1 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing
    const DAY: i64 = 24 * 3600;

    #[test]
    fn a_day_of_orders_is_a_call_and_a_long_past_is_asked_for_at_once() {
        let calls = |feed, days: i64| least_calls(feed, &Cursor::begin(feed, NOON.minus(days * DAY)), NOON);
        assert_eq!([0, 3, 31, 32].map(|days| calls(Feed::Orders, days)), [1, 4, 32, 2]);
        assert_eq!([0, 1, 2, 9, 10].map(|days| calls(Feed::Touches, days)), [1, 1, 2, 2, 3]);
        assert_eq!(calls(Feed::Refunds, 300), 1);
    }
}
