//! Times as people read them: in Beijing, as the upstream's days are.

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::model::time::{UnixMillis, UnixTime};

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
}
