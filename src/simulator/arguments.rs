//! How numbers and lengths of time are written as arguments, and within which bounds.

use std::time::Duration;

use jiff::SignedDuration;

use crate::model::duration::parse_duration;

/// Ten years: keeps every time of the world far from the ends of its types.
const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
/// Facts in an hour: some hundreds a second, more than any promoter has.
const RATE_MAX: f64 = 1e6;

/// What an argument should have been; clap says of which it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    #[error("write a number from 0 to 1")]
    Share,
    #[error("write a number from 0 to 1000000")]
    Rate,
    #[error("write a duration such as 90s, 10m, 2h or 1d12h, at most ten years")]
    Duration,
}

/// A number from 0 to 1.
///
/// # Errors
/// [`ArgumentError`] where it is none.
pub fn share(text: &str) -> Result<f64, ArgumentError> {
    number(text, 1.0).ok_or(ArgumentError::Share)
}

/// A number of facts in an hour.
///
/// # Errors
/// [`ArgumentError`] where it is none.
pub fn rate(text: &str) -> Result<f64, ArgumentError> {
    number(text, RATE_MAX).ok_or(ArgumentError::Rate)
}

fn number(text: &str, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (0.0..=most).contains(number))
}

/// Written as in the configuration.
///
/// # Errors
/// [`ArgumentError`] where it is none.
pub fn duration(text: &str) -> Result<Duration, ArgumentError> {
    parse_duration(text).filter(|duration| *duration <= DURATION_MAX).ok_or(ArgumentError::Duration)
}

/// The same with a minus before it, if it counts backwards.
///
/// # Errors
/// [`ArgumentError`] where it is none.
pub fn signed_duration(text: &str) -> Result<SignedDuration, ArgumentError> {
    let (is_behind, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let duration = SignedDuration::try_from(duration(text)?).map_err(|_| ArgumentError::Duration)?;
    Ok(if is_behind { -duration } else { duration })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_the_configuration() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1d12h"), Ok(Duration::from_secs(36 * 3600)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(signed_duration("-90s"), Ok(SignedDuration::from_secs(-90)));
        assert!(duration("-1s").is_err() && duration("10").is_err() && duration("99999d").is_err());
        assert!(signed_duration("--1s").is_err() && signed_duration("-").is_err());
    }
}
