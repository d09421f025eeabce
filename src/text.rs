//! What is done in one way to texts of others, wherever they end up.

use std::error::Error;
use std::fmt::Display;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The beginning of `text`, of at most `chars_max` characters.
pub fn bounded(text: &str, chars_max: usize) -> &str {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// The beginning of `text`, of at most `bytes_max` bytes of UTF-8: for what others bound so.
pub fn bounded_in_bytes(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Such as `2 calls`.
pub fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first of `all`, at most `named_max` of them, and how many more there are: such as `0, 1, 2 and 9 more`.
pub fn first_few<T: Display>(all: impl ExactSizeIterator<Item = T>, named_max: usize) -> String {
    let more = all.len().saturating_sub(named_max);
    let mut text = all.take(named_max).map(|one| one.to_string()).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

/// Writes bytes as hex digits in lower case, two for each; as many as `digits` takes.
pub fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
}

/// The innermost of an error's causes: the outer ones only say that something failed, and where. Where there is but one, it
/// may name the URL.
pub fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The error and all its causes, from the outermost on, as a line of the log has them: no `Display` repeats its source.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// `bytes` behind their byte order mark, where they begin with one.
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// The same, where they are kept.
pub fn owned_without_byte_order_mark(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.drain(..bytes.len() - without_byte_order_mark(&bytes).len());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_bounded_between_its_characters() {
        assert_eq!((bounded("中文", 1), bounded("中文", 2), bounded("", 0)), ("中", "中文", ""));
        assert_eq!(
            (bounded_in_bytes("中文", 5), bounded_in_bytes("中文", 6), bounded_in_bytes("", 9)),
            ("中", "中文", "")
        );
    }

    #[test]
    fn an_error_is_told_with_its_causes_from_the_outermost_on() {
        #[derive(Debug, thiserror::Error)]
        #[error("{text}")]
        struct Told {
            text: &'static str,
            source: Option<Box<Told>>,
        }
        let innermost = Told { text: "refused", source: None };
        let error = Told { text: "no answer", source: Some(Box::new(innermost)) };
        assert_eq!(with_causes(&error), "no answer: refused");
        assert_eq!(with_causes(&Told { text: "alone", source: None }), "alone");
    }

    #[test]
    fn of_many_the_first_few_are_named_and_the_others_counted() {
        assert_eq!((first_few([0; 0].iter(), 2), first_few([7].iter(), 2)), (String::new(), "7".to_owned()));
        assert_eq!(first_few([7, 8].iter(), 2), "7, 8");
        assert_eq!(first_few([7, 8, 9].iter(), 2), "7, 8 and 1 more");
    }

    #[test]
    fn a_byte_order_mark_is_left_out_once() {
        assert_eq!(without_byte_order_mark(b"\xEF\xBB\xBF\xEF\xBB\xBF{}"), b"\xEF\xBB\xBF{}");
        assert_eq!(without_byte_order_mark(b"{}"), b"{}");
    }
}
