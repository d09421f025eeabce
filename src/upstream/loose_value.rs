//! One JSON value, read as loosely as the upstream writes it.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Above this, a floating point number is not exact any more.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// A value as it stood in the text. Numbers keep their text: an order number of 28 digits must not be rounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LooseValue<'a> {
    /// Not there, `null`, or `""`.
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Number(&'a str),
    Bool(bool),
    /// An array or an object, where none belongs.
    Nested,
}

impl<'a> LooseValue<'a> {
    /// # Errors
    /// On a string whose escapes name no character (a lone surrogate).
    pub fn read(raw: &'a RawValue) -> Result<LooseValue<'a>, serde_json::Error> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'"') if text.len() == 2 => LooseValue::Absent,
            Some(b'"') if text.contains('\\') => LooseValue::Text(Cow::Owned(serde_json::from_str(text)?)),
            Some(b'"') => LooseValue::Text(Cow::Borrowed(&text[1..text.len() - 1])),
            Some(b'n') | None => LooseValue::Absent,
            Some(b't') => LooseValue::Bool(true),
            Some(b'f') => LooseValue::Bool(false),
            Some(b'[' | b'{') => LooseValue::Nested,
            Some(_) => LooseValue::Number(text),
        })
    }

    pub fn is_absent(&self) -> bool {
        *self == LooseValue::Absent
    }

    /// Whether it is there, as a text or a number, and says something else.
    pub fn is_other_than(&self, text: &str) -> bool {
        match self {
            LooseValue::Text(own) => own != text,
            LooseValue::Number(own) => *own != text,
            LooseValue::Absent | LooseValue::Bool(_) | LooseValue::Nested => false,
        }
    }

    /// # Errors
    /// [`Mismatch`] where something is there that is no text, number or truth value.
    pub fn text(&self) -> Result<Option<String>, Mismatch> {
        match self {
            LooseValue::Absent => Ok(None),
            LooseValue::Text(text) => Ok(Some(text.clone().into_owned())),
            LooseValue::Number(text) => Ok(Some((*text).to_owned())),
            LooseValue::Bool(value) => Ok(Some(value.to_string())),
            LooseValue::Nested => Err(Mismatch),
        }
    }

    /// # Errors
    /// [`Mismatch`] where something is there that is no whole number of 64 bits, as a number or as text.
    pub fn integer(&self) -> Result<Option<i64>, Mismatch> {
        match self {
            LooseValue::Absent => Ok(None),
            LooseValue::Text(text) => integer(text.trim()).map(Some).ok_or(Mismatch),
            LooseValue::Number(text) => integer(text).map(Some).ok_or(Mismatch),
            LooseValue::Bool(_) | LooseValue::Nested => Err(Mismatch),
        }
    }
}

/// The value is there, but not of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch;

fn integer(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    let exact = number.abs() <= EXACT_FLOAT_MAX && number.fract() == 0.0;
    exact.then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> LooseValue<'_> {
        LooseValue::read(serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn null_and_empty_text_are_absent() {
        assert_eq!(read("null"), LooseValue::Absent);
        assert_eq!(read("\"\""), LooseValue::Absent);
        assert_eq!(read("\" \"").text(), Ok(Some(" ".into())));
    }

    #[test]
    fn numbers_come_as_numbers_as_text_and_as_whole_floats() {
        for text in ["12", "\"12\"", "\" 12 \"", "12.0", "1.2e1", "\"12.0\""] {
            assert_eq!(read(text).integer(), Ok(Some(12)), "{text}");
        }
        for text in ["12.5", "\"x\"", "true", "[12]", "{}", "1e300", "\"inf\"", "\"NaN\"", "\" \""] {
            assert_eq!(read(text).integer(), Err(Mismatch), "{text}");
        }
        assert_eq!(read("9223372036854775807").integer(), Ok(Some(i64::MAX)));
        assert_eq!(read("9223372036854775808").integer(), Err(Mismatch));
    }

    #[test]
    fn a_number_read_as_text_keeps_every_digit() {
        let trade_no = "4200001234202211170123456789";
        assert_eq!(read(trade_no).text(), Ok(Some(trade_no.into())));
        assert_eq!(read("true").text(), Ok(Some("true".into())));
        assert_eq!(read("[1]").text(), Err(Mismatch));
    }

    #[test]
    fn escapes_are_resolved_and_a_lone_surrogate_is_refused() {
        assert_eq!(read(r#""a\n\u4e2d\ud83d\ude00""#).text(), Ok(Some("a\n中😀".into())));
        assert!(LooseValue::read(serde_json::from_str(r#""\ud83d""#).unwrap()).is_err());
    }
}
