//! Times as people read them: in Beijing, as the upstream's days are.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::model::time::{UnixMillis, UnixTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time with its offset such as 2026-01-01T00:00:00+08:00, or a day such as 2026-01-01")]
pub struct InvalidMoment;

/// A time in RFC 3339, or a day, which begins at midnight in Beijing. A fraction of a second belongs to the second that has begun.
///
/// # Errors
/// [`InvalidMoment`] where it is neither.
pub fn moment(text: &str) -> Result<UnixTime, InvalidMoment> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(UnixTime(time.as_second()));
    }
    let is_day = text.len() == "2026-01-01".len();
    let day: Date = text.parse().ok().filter(|_| is_day).ok_or(InvalidMoment)?;
    let midnight = Offset::constant(8).to_timestamp(day.at(0, 0, 0, 0)).map_err(|_| InvalidMoment)?;
    Ok(UnixTime(midnight.as_second()))
}

/// To the second.
pub fn in_beijing(time: UnixMillis) -> String {
    match Timestamp::from_millisecond(time.0) {
        Ok(time) => Offset::constant(8).to_datetime(time).strftime("%Y-%m-%d %H:%M:%S+08").to_string(),
        Err(_) => time.rfc3339(),
    }
}

/// How long ago `time` was at `now`, such as `35m 10s`.
pub fn age(time: UnixTime, now: UnixTime) -> String {
    format!("{:#}", SignedDuration::from_secs(now.0.saturating_sub(time.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_in_beijing_and_ages_in_the_units_of_the_clock() {
        let midnight = UnixTime(1_668_614_400);
        assert_eq!(in_beijing(midnight.as_millis()), "2022-11-17 00:00:00+08");
        assert_eq!(in_beijing(UnixMillis(i64::MAX)), i64::MAX.to_string());
        assert_eq!(age(midnight, midnight.plus(2_110)), "35m 10s");
    }

    #[test]
    fn a_moment_is_a_time_or_a_day_of_beijings() {
        let midnight = UnixTime(1_668_614_400);
        for text in ["2022-11-17", "2022-11-17T00:00:00+08:00", "2022-11-16T16:00:00.7Z"] {
            assert_eq!(moment(text), Ok(midnight), "{text}");
        }
        for text in ["", "yesterday", "2022-11-17T00:00:00", "2022-11-31", "20221117"] {
            assert_eq!(moment(text), Err(InvalidMoment), "{text}");
        }
    }
}
