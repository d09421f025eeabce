//! Durations and sizes, written with their units.

use std::time::Duration;

use super::document::TomlValue;
use super::problem::Mistake;
use crate::model::duration::parse_duration;

/// A duration from `least` to `most`, both written as they stand in a file.
///
/// # Errors
/// Of what is returned: [`Mistake`] where it is no duration, or lies outside.
pub fn duration(least: &'static str, most: &'static str) -> impl Fn(&TomlValue) -> Result<Duration, Mistake> {
    move |value| {
        let bound = |text| parse_duration(text).expect("a bound in the source is a duration");
        let remedy = || format!("write a duration from \"{least}\" to \"{most}\"");
        let duration = match value {
            TomlValue::Text(text) => parse_duration(text),
            _ => None,
        };
        match duration {
            Some(duration) if duration < bound(least) => Err(Mistake::new("is too short", remedy())),
            Some(duration) if duration > bound(most) => Err(Mistake::new("is too long", remedy())),
            Some(duration) => Ok(duration),
            None => Err(Mistake::new("is not a duration such as \"90s\", \"10m\", \"6h\" or \"7d\"", remedy())),
        }
    }
}

/// A size in bytes from `least` to `most`, both written as they stand in a file.
///
/// # Errors
/// Of what is returned: [`Mistake`] where it is no size, or lies outside.
pub fn size(least: &'static str, most: &'static str) -> impl Fn(&TomlValue) -> Result<usize, Mistake> {
    move |value| {
        let bound = |text| parse_size(text).expect("a bound in the source is a size");
        let remedy = || format!("write a size from \"{least}\" to \"{most}\"");
        let size = match value {
            TomlValue::Text(text) => parse_size(text),
            TomlValue::Integer(bytes) => usize::try_from(*bytes).ok(),
            _ => None,
        };
        match size {
            Some(size) if size < bound(least) => Err(Mistake::new("is too small", remedy())),
            Some(size) if size > bound(most) => Err(Mistake::new("is too large", remedy())),
            Some(size) => Ok(size),
            None => Err(Mistake::new("is not a size such as \"512KiB\" or \"16MiB\"", remedy())),
        }
    }
}

/// Longest suffix first, so that `B` alone is looked for last.
const SIZE_UNITS: [(&str, usize); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

fn parse_size(text: &str) -> Option<usize> {
    let with_unit = SIZE_UNITS.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)));
    let (number, unit) = with_unit.unwrap_or((text, 1));
    let number = number.trim_end();
    // `parse` alone would take a sign.
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<usize>().ok().filter(|_| digits)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_or_decimal() {
        assert_eq!(parse_size("16MiB"), Some(16 * 1024 * 1024));
        assert_eq!(parse_size("512KiB"), Some(512 * 1024));
        assert_eq!(parse_size("1MB"), Some(1_000_000));
        assert_eq!(parse_size("1 GiB"), Some(1024 * 1024 * 1024));
        assert_eq!(parse_size("300"), Some(300));
        assert_eq!(parse_size("300B"), Some(300));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "+1MiB", "-1MiB", "1.5MiB", "1XB", "99999999999999999999", "99999999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_belong_to_the_range() {
        let read = |text: &str| duration("100ms", "1h")(&TomlValue::Text(text.into()));
        assert!(read("100ms").is_ok() && read("1h").is_ok());
        assert!(read("99ms").is_err() && read("61m").is_err());
        let read = |text: &str| size("64KiB", "1MiB")(&TomlValue::Text(text.into()));
        assert!(read("64KiB").is_ok() && read("1MiB").is_ok());
        assert!(read("65535").is_err() && read("1048577").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[0-9KMGiB +.-]{0,24}") {
            parse_size(&text);
        }
    }
}
