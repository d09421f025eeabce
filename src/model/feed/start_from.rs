//! Where a feed begins.

use std::fmt;
use std::str::FromStr;

use crate::model::time::UnixTime;

/// Where a feed begins when nothing is known of it yet. Inclusive, by the fact's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartFrom {
    /// The moment of the feed's first start.
    Now,
    /// The first instant the upstream knows anything about: `UnixTime::EARLIEST`.
    Earliest,
    /// Never before `UnixTime::EARLIEST`.
    At(UnixTime),
}

/// Why a text is no `StartFrom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither now, earliest nor a time with its offset such as 2026-01-01T00:00:00+08:00")]
pub struct InvalidStartFrom;

impl FromStr for StartFrom {
    type Err = InvalidStartFrom;

    /// Reads `now`, `earliest` or an RFC 3339 time. A fraction of a second begins at the next whole one.
    fn from_str(text: &str) -> Result<StartFrom, InvalidStartFrom> {
        match text {
            "now" => Ok(StartFrom::Now),
            "earliest" => Ok(StartFrom::Earliest),
            _ => {
                let timestamp: jiff::Timestamp = text.parse().map_err(|_| InvalidStartFrom)?;
                let seconds = timestamp.as_second() + i64::from(timestamp.subsec_nanosecond() > 0);
                Ok(StartFrom::At(UnixTime(seconds).max(UnixTime::EARLIEST)))
            }
        }
    }
}

impl fmt::Display for StartFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartFrom::Now => f.write_str("now"),
            StartFrom::Earliest => f.write_str("earliest"),
            StartFrom::At(time) => write!(f, "{time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_now_the_earliest_or_a_time_with_its_offset() {
        assert_eq!("now".parse(), Ok(StartFrom::Now));
        assert_eq!("earliest".parse(), Ok(StartFrom::Earliest));
        assert_eq!("2022-11-17T00:00:00+08:00".parse(), Ok(StartFrom::At(UnixTime(1_668_614_400))));
        assert_eq!("2022-11-16T16:00:00Z".parse(), Ok(StartFrom::At(UnixTime(1_668_614_400))));
        for text in ["", "Now", "yesterday", "2022-11-17", "2022-11-17T00:00:00"] {
            assert_eq!(text.parse::<StartFrom>(), Err(InvalidStartFrom), "{text}");
        }
    }

    #[test]
    fn a_start_within_a_second_leaves_that_second_out() {
        assert_eq!("2022-11-16T16:00:00.001Z".parse(), Ok(StartFrom::At(UnixTime(1_668_614_401))));
    }

    #[test]
    fn no_start_lies_before_the_upstreams_own_beginning() {
        assert_eq!("1970-01-01T00:00:00Z".parse(), Ok(StartFrom::At(UnixTime::EARLIEST)));
    }

    #[test]
    fn a_start_is_read_back_as_it_is_shown() {
        for start in [StartFrom::Now, StartFrom::Earliest, StartFrom::At(UnixTime(1_668_614_400))] {
            assert_eq!(start.to_string().parse(), Ok(start));
        }
    }
}
