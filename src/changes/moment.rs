//! Times as people name them: in Beijing, as the upstream's days are.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::model::time::UnixTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time with its offset such as 2026-01-01T00:00:00+08:00, or a day such as 2026-01-01")]
pub struct InvalidMoment;

/// A time in RFC 3339, or a day, which begins at midnight in Beijing. A fraction of a second belongs to the second that has begun.
///
/// # Errors
/// [`InvalidMoment`] where it is neither.
fn moment(text: &str) -> Result<UnixTime, InvalidMoment> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(UnixTime(time.as_second()));
    }
    let is_day = text.len() == "2026-01-01".len();
    let day: Date = text.parse().ok().filter(|_| is_day).ok_or(InvalidMoment)?;
    let midnight = Offset::constant(8).to_timestamp(day.at(0, 0, 0, 0)).map_err(|_| InvalidMoment)?;
    Ok(UnixTime(midnight.as_second()))
}

/// From when on something is asked again: never before the upstream's own beginning.
///
/// # Errors
/// [`InvalidMoment`] where it is neither a time nor a day.
pub fn rewind_time(text: &str) -> Result<UnixTime, InvalidMoment> {
    Ok(moment(text)?.max(UnixTime::EARLIEST))
}

#[cfg(test)]
mod tests {
    use super::*;

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
