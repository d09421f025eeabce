//! Makes strict JSON of text that the upstream let users break.
//!
//! Spec, seen in the field: raw control characters inside strings; strings cut in the middle of a character or of a
//! surrogate pair. No fact may be lost for such a byte, so each has one fixed replacement. Anything else that is wrong
//! stays wrong, for the reader to refuse.

use std::borrow::Cow;

use crate::text::without_byte_order_mark;

/// The body without what says nothing around its JSON: a byte order mark, and NULs and white space behind it.
pub fn bare(body: &[u8]) -> &[u8] {
    let body = without_byte_order_mark(body);
    let is_padding = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
    let padding = body.iter().rev().take_while(|byte| is_padding(byte)).count();
    &body[..body.len() - padding]
}

/// Reads a text as it is, or repaired where it can't be read so.
///
/// # Errors
/// What `read` says of the repaired text.
pub fn read_loosely<R, E>(raw: &[u8], read: impl Fn(&str) -> Result<R, E>) -> Result<R, E> {
    match std::str::from_utf8(raw).ok().and_then(|text| read(text).ok()) {
        Some(read) => Ok(read),
        None => read(&repair(raw)),
    }
}

/// Invalid UTF-8 and lone surrogate escapes become U+FFFD; control characters inside strings become escapes of
/// themselves; a backslash that begins no escape stands for itself.
pub fn repair(raw: &[u8]) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(raw);
    let mut repaired = String::with_capacity(text.len() + 16);
    let mut rest: &str = &text;
    let mut in_string = false;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '"' => {
                in_string = !in_string;
                repaired.push(c);
            }
            '\\' if in_string => taken = repair_escape(rest, &mut repaired),
            '\0'..='\x1f' if in_string => push_escaped(c, &mut repaired),
            _ => repaired.push(c),
        }
        rest = &rest[taken..];
    }
    repaired
}

/// `rest` begins with a backslash. Gives how many bytes of it are dealt with.
fn repair_escape(rest: &str, repaired: &mut String) -> usize {
    match rest.as_bytes().get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
            repaired.push_str(&rest[..2]);
            2
        }
        Some(b'u') => match (code_unit(rest, 0), code_unit(rest, 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => {
                repaired.push_str(&rest[..12]);
                12
            }
            (Some(0xD800..=0xDFFF), _) => {
                repaired.push_str("\\uFFFD");
                6
            }
            (Some(_), _) => {
                repaired.push_str(&rest[..6]);
                6
            }
            (None, _) => push_backslash(repaired),
        },
        _ => push_backslash(repaired),
    }
}

/// The code unit that the escape `\uXXXX` at byte `at` names.
fn code_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

fn push_backslash(repaired: &mut String) -> usize {
    repaired.push_str("\\\\");
    1
}

fn push_escaped(control: char, repaired: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let code = control as usize;
    repaired.push_str("\\u00");
    repaired.push(HEX[code >> 4] as char);
    repaired.push(HEX[code & 15] as char);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(raw: &[u8]) -> String {
        serde_json::from_str(&repair(raw)).unwrap()
    }

    #[test]
    fn control_characters_inside_strings_are_kept() {
        assert_eq!(text_of(b"\"a\nb\x00c\x1f\""), "a\nb\0c\x1f");
        assert_eq!(repair(b"{\n\"a\":1}"), "{\n\"a\":1}");
    }

    #[test]
    fn broken_utf8_and_lone_surrogates_become_the_replacement_character() {
        assert_eq!(text_of(b"\"a\xe4\xb8\""), "a\u{FFFD}");
        assert_eq!(text_of(br#""\ud83d""#), "\u{FFFD}");
        assert_eq!(text_of(br#""\ude00x\ud83d\u0041""#), "\u{FFFD}x\u{FFFD}A");
        assert_eq!(text_of(br#""\ud83d\ud83d\ude00""#), "\u{FFFD}\u{1F600}");
    }

    #[test]
    fn a_backslash_that_begins_no_escape_stands_for_itself() {
        assert_eq!(text_of(br#""C:\path\u12""#), r"C:\path\u12");
        assert_eq!(text_of("\"\\中\"".as_bytes()), "\\中");
    }

    #[test]
    fn what_says_nothing_around_a_body_is_left_out() {
        for body in [&b"{}"[..], b"\xEF\xBB\xBF{}", b"{}\0", b"{}\r\n\0\0 ", b"\xEF\xBB\xBF{}\n"] {
            assert_eq!(bare(body), b"{}");
        }
        assert_eq!((bare(b"\0\0"), bare(b"{}x\0")), (&b""[..], &b"{}x"[..]));
    }

    #[test]
    fn an_escaped_quote_does_not_end_a_string() {
        assert_eq!(text_of(b"\"a\\\"\n\""), "a\"\n");
        assert_eq!(repair(br#"{"a":"\"#), r#"{"a":"\\"#);
    }

    proptest::proptest! {
        #[test]
        fn valid_json_is_left_as_it_is(text in ".*") {
            let json = serde_json::to_string(&text).unwrap();
            proptest::prop_assert_eq!(repair(json.as_bytes()), json);
        }
    }
}
