//! Lengths of time, as people write them and as numbers.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

pub(crate) const MINUTES_OF_A_DAY: f64 = 1440.0;

/// A number with its unit, or several from large to small: `1h30m`. A day has 24 hours.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    Duration::try_from(span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?).ok()
}

/// The most that there can be, where it is longer: a number of 64 bits, for the log would show a longer one as text.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("50ms"), Some(0.05));
        assert_eq!(seconds("90s"), Some(90.0));
        assert_eq!(seconds("10m"), Some(600.0));
        assert_eq!(seconds("6h"), Some(21_600.0));
        assert_eq!(seconds("7d"), Some(604_800.0));
        assert_eq!(seconds("1h30m"), Some(5_400.0));
        assert_eq!(seconds("1d12h"), Some(129_600.0));
    }

    #[test]
    fn what_is_no_stretch_of_time_is_refused() {
        for text in ["", "90", "s", "-5s", "5s ago", "1mo", "2y", "1m1h", "ten minutes", "99999999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[0-9dhmsyo +.-]{0,24}") {
            parse_duration(&text);
        }
    }
}
