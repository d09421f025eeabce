//! Instants and days as the upstream counts them.

use std::fmt;
use std::time::Duration;

/// Beijing is UTC+8 all year; it has had no daylight saving since 1991.
const BEIJING_OFFSET_SECONDS: i64 = 8 * 3600;
const DAY_SECONDS: i64 = 24 * 3600;

/// Seconds since 1970-01-01T00:00:00Z, the unit of every time the upstream gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// The first instant the promoter API knows anything about (2022-01-01, Beijing): what `earliest` means.
    pub const EARLIEST: UnixTime = UnixTime(1_640_966_400);

    /// Later than anything.
    pub const MAX: UnixTime = UnixTime(i64::MAX);

    pub fn plus(self, seconds: i64) -> UnixTime {
        UnixTime(self.0.saturating_add(seconds))
    }

    pub fn minus(self, seconds: i64) -> UnixTime {
        UnixTime(self.0.saturating_sub(seconds))
    }

    pub fn as_millis(self) -> UnixMillis {
        UnixMillis(self.0.saturating_mul(1000))
    }
}

/// A time in half of the room, where there are millions: from 1970 to 2106. What lies before stands for the first second, and
/// the last one for [`UnixTime::MAX`]. It stands anywhere, so that whoever holds it has no gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed)]
pub(crate) struct PackedTime(u32);

impl From<UnixTime> for PackedTime {
    fn from(time: UnixTime) -> PackedTime {
        PackedTime(u32::try_from(time.0.max(0)).unwrap_or(u32::MAX))
    }
}

impl From<PackedTime> for UnixTime {
    fn from(PackedTime(seconds): PackedTime) -> UnixTime {
        if seconds == u32::MAX { UnixTime::MAX } else { UnixTime(i64::from(seconds)) }
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{}s", self.0),
        }
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, the unit of Kafka timestamps and of Avro `timestamp-millis`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The second that this instant lies in.
    pub fn as_seconds(self) -> UnixTime {
        UnixTime(self.0.div_euclid(1000))
    }

    pub(crate) fn plus(self, duration: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_add(whole(duration)))
    }

    pub(crate) fn minus(self, duration: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_sub(whole(duration)))
    }

    /// Written out, as far as the years of RFC 3339 go; the number of milliseconds beyond.
    pub(crate) fn rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| self.0.to_string(), |time| time.to_string())
    }
}

/// In milliseconds; the most that there can be, where it is longer.
fn whole(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A calendar day, counted in days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// Before every other.
    pub(crate) const EARLIEST: Day = Day(i32::MIN as i64);
    /// Behind every other.
    pub(crate) const LATEST: Day = Day(i32::MAX as i64);

    /// That of its [number](Day::number).
    pub fn numbered(number: i32) -> Day {
        Day(number.into())
    }

    /// Reads what is shown, such as `2026-11-24`.
    pub fn from_date(text: &str) -> Option<Day> {
        let date: jiff::civil::Date = text.parse().ok()?;
        let midnight = jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_second();
        let day = Day(midnight.div_euclid(DAY_SECONDS));
        // A date has other spellings, and may have a time of day beside it.
        (day.to_string() == text).then_some(day)
    }

    /// The day that contains `time` in Beijing.
    pub fn in_beijing(time: UnixTime) -> Day {
        Day(time.0.saturating_add(BEIJING_OFFSET_SECONDS).div_euclid(DAY_SECONDS))
    }

    /// The day that contains `time` in UTC: never later than Beijing's.
    pub fn in_utc(time: UnixTime) -> Day {
        Day(time.0.div_euclid(DAY_SECONDS))
    }

    pub fn next(self) -> Day {
        Day(self.0 + 1)
    }

    pub fn previous(self) -> Day {
        Day(self.0 - 1)
    }

    /// In days since 1970-01-01, within six million years of it.
    pub fn number(self) -> i32 {
        let bound = if self.0 < 0 { i32::MIN } else { i32::MAX };
        i32::try_from(self.0).unwrap_or(bound)
    }

    /// How many days `self` lies after `earlier`; negative when it lies before.
    pub(crate) fn days_since(self, earlier: Day) -> i64 {
        self.0 - earlier.0
    }

    /// Midnight in Beijing at which the day begins.
    pub fn beijing_start(self) -> UnixTime {
        UnixTime(self.0.saturating_mul(DAY_SECONDS).saturating_sub(BEIJING_OFFSET_SECONDS))
    }

    /// Midnight in Beijing at which the day is over.
    pub fn beijing_end(self) -> UnixTime {
        self.next().beijing_start()
    }

    /// Midnight in UTC at which the day is over: eight hours after Beijing's.
    pub fn utc_end(self) -> UnixTime {
        UnixTime(self.next().0.saturating_mul(DAY_SECONDS))
    }

    /// The day as the upstream's `date` parameter: the number yyyymmdd. 0 outside the years 0 to 9999, where no time of the
    /// upstream lies.
    pub fn as_yyyymmdd(self) -> u32 {
        let Some(date) = self.civil() else { return 0 };
        let number = i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day());
        u32::try_from(number).unwrap_or(0)
    }

    fn civil(self) -> Option<jiff::civil::Date> {
        let midnight = jiff::Timestamp::from_second(self.0.saturating_mul(DAY_SECONDS)).ok()?;
        Some(jiff::tz::Offset::UTC.to_datetime(midnight).date())
    }
}

impl fmt::Display for Day {
    /// `2022-11-17`, or how many days after 1970 it lies where it has no such form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.civil() {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "{}d", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_official_sample_time_is_beijing_midnight() {
        let time = UnixTime(1_668_614_400);
        let day = Day::in_beijing(time);
        assert_eq!(day.beijing_start(), time);
        assert_eq!(day.as_yyyymmdd(), 20_221_117);
        assert_eq!(Day::in_utc(time), day.previous());
    }

    #[test]
    fn earliest_is_the_first_of_january_2022_in_beijing() {
        assert_eq!(Day::in_beijing(UnixTime::EARLIEST).as_yyyymmdd(), 20_220_101);
        assert_eq!(Day::in_beijing(UnixTime::EARLIEST).beijing_start(), UnixTime::EARLIEST);
    }

    #[test]
    fn a_time_is_read_back_as_it_was_packed_from_1970_to_2106() {
        for time in [UnixTime(0), UnixTime::EARLIEST, UnixTime(4_294_967_294), UnixTime::MAX] {
            assert_eq!(UnixTime::from(PackedTime::from(time)), time);
        }
        let beyond = [UnixTime(-1), UnixTime(4_294_967_295)].map(|time| UnixTime::from(PackedTime::from(time)));
        assert_eq!(beyond, [UnixTime(0), UnixTime::MAX]);
    }

    proptest::proptest! {
        #[test]
        fn the_number_of_a_day_agrees_with_jiff(seconds in 0i64..4_000_000_000) {
            let day = Day::in_beijing(UnixTime(seconds));
            let civil = jiff::tz::Offset::constant(8).to_datetime(jiff::Timestamp::from_second(seconds).unwrap());
            let expected = i64::from(civil.year()) * 10_000 + i64::from(civil.month()) * 100 + i64::from(civil.day());
            proptest::prop_assert_eq!(i64::from(day.as_yyyymmdd()), expected);
            proptest::prop_assert!(day.beijing_start() <= UnixTime(seconds) && UnixTime(seconds) < day.beijing_end());
        }
    }
}
