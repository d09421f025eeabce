//! Takes a page apart: what stands beside the list, and the list's elements as the bytes they came in.
//!
//! The strict way lets serde_json find the elements. A page that is not strict JSON is split on its bytes: brackets are
//! matched outside strings, without recursion, so that one row with broken syntax, raw control characters or broken
//! UTF-8 leaves the others whole.
//!
//! A quote too many turns strings inside out, and bracket matching runs past the row. What brings it back is a *mark*:
//! the start of another row (`{"` and a field's name) after a comma, or the list's end with the page's end or a field
//! of the page after it. An unescaped quote after a bracket can't stand inside a string, so no string holds a mark by
//! what users write into it. An element ends at the first mark unless it is JSON beyond it.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::fields::Field;
use super::raw_page::{PageFault, PageHeader, ROWS_MAX, RawPage};
use super::repair::{bare, repair};

/// How far bracket matching may run past a mark, and how far a mark is looked for behind an end in doubt. With
/// [`ROWS_MAX`] it bounds the work on a page that is broken everywhere.
const LOOK_BEYOND: usize = 16 * 1024;

/// The elements of the list named `list`, exactly as they came, and the rest of the page.
///
/// # Errors
/// [`PageFault`] where it is no answer, was cut off, or holds more than may be held.
pub fn split<'a>(page: &'a [u8], list: &'static str) -> Result<(PageHeader, Vec<&'a [u8]>), PageFault> {
    let page = bare(page);
    match std::str::from_utf8(page).ok().and_then(|text| RawPage::read(text, list).ok()) {
        Some(raw_page) => raw_page.finish(list),
        None => split_tolerantly(page, list),
    }
}

/// # Errors
/// [`PageFault`] where nothing that was meant as a page can be made out.
fn split_tolerantly<'a>(page: &'a [u8], list: &'static str) -> Result<(PageHeader, Vec<&'a [u8]>), PageFault> {
    let mut rest = Vec::with_capacity(page.len().min(4096));
    let mut rows = Vec::new();
    match list_start(page, list) {
        Some(start) => {
            let (elements, end) = elements(page, start)?;
            rows.extend(elements.into_iter().map(|range| &page[range]));
            rest.extend_from_slice(&page[..start]);
            rest.extend_from_slice(&page[end - 1..]);
        }
        None => rest.extend_from_slice(page),
    }
    let rest = repair(&rest);
    let raw_page = RawPage::read(&rest, list).map_err(|error| PageFault::NotAnAnswer(error.to_string()))?;
    match raw_page.finish(list)? {
        // As of a page that is not broken: one with an errcode is read for nothing else.
        (header, _) if header.errcode != 0 => Ok((header, Vec::new())),
        (header, others) if others.is_empty() => Ok((header, rows)),
        _ => Err(PageFault::List(list)),
    }
}

/// Just behind the `[` of the list, where the page has one.
fn list_start(page: &[u8], list: &str) -> Option<usize> {
    let mut scan = Scan::default();
    for (at, &byte) in page.iter().enumerate() {
        let opens_name = byte == b'"' && scan.is_outside() && scan.open == [b'{'];
        if opens_name && let Some(start) = list_after(page, at, list) {
            return Some(start);
        }
        scan.step(byte);
    }
    None
}

fn list_after(page: &[u8], quote: usize, list: &str) -> Option<usize> {
    let rest = page[quote + 1..].strip_prefix(list.as_bytes())?.strip_prefix(b"\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    let rest = rest.trim_ascii_start().strip_prefix(b"[")?;
    Some(page.len() - rest.len())
}

/// The elements from `at` on, and the index just behind the list's `]`.
///
/// # Errors
/// [`PageFault`] where the list is cut off, or has more than [`ROWS_MAX`] elements.
fn elements(page: &[u8], mut at: usize) -> Result<(Vec<Range<usize>>, usize), PageFault> {
    let mut elements = Vec::new();
    loop {
        match page.get(at) {
            None => return Err(cut_off()),
            Some(_) if elements.len() > ROWS_MAX => return Err(PageFault::TooManyRows),
            Some(b']') => match mark_behind(page, at) {
                Some(mark) => {
                    elements.push(at..mark);
                    at = mark;
                }
                None => return Ok((elements, at + 1)),
            },
            Some(byte) if *byte == b',' || byte.is_ascii_whitespace() => at += 1,
            Some(_) => {
                let end = element_end(page, at).ok_or_else(cut_off)?;
                elements.push(at..end);
                at = end;
            }
        }
    }
}

/// The list goes on behind a `]` that the page does not end after: damage put it there.
fn mark_behind(page: &[u8], start: usize) -> Option<usize> {
    if leaves_a_page(&page[start + 1..]) {
        return None;
    }
    let until = page.len().min(start + LOOK_BEYOND);
    (start + 1..until).find_map(|at| mark_at(page, start, at))
}

fn cut_off() -> PageFault {
    PageFault::NotAnAnswer("it is cut off inside its list".into())
}

/// Where the element that begins at `start` ends, without the white space behind it. Nothing where the page is over.
fn element_end(page: &[u8], start: usize) -> Option<usize> {
    let mut search = EndSearch { page, start, scan: Scan::default(), mark: None, matched: None };
    for at in start..page.len() {
        if search.is_beyond(at) {
            break;
        }
        if let Some(end) = search.step(at) {
            return Some(end);
        }
    }
    search.mark.or(search.matched)
}

/// The search for an element's end, byte by byte. Both ends that are met are first ones: a mark, and what bracket matching
/// gives. Where both are known the mark counts.
struct EndSearch<'a> {
    page: &'a [u8],
    start: usize,
    scan: Scan,
    mark: Option<usize>,
    matched: Option<usize>,
}

impl EndSearch<'_> {
    /// Whether so much was looked at behind an end in doubt that it is taken.
    fn is_beyond(&self, at: usize) -> bool {
        self.mark.or(self.matched).is_some_and(|found| at - found > LOOK_BEYOND)
    }

    /// The element's end, where the byte at `at` settles it.
    fn step(&mut self, at: usize) -> Option<usize> {
        if self.mark.is_none() && at > self.start {
            self.mark = mark_at(self.page, self.start, at);
        }
        if let (Some(mark), Some(_)) = (self.mark, self.matched) {
            return Some(mark);
        }
        if self.is_matched_at(at) {
            let end = trimmed(self.page, self.start, at);
            if self.mark == Some(end) || self.is_plausible(end, at) {
                return Some(end);
            }
            if self.mark.is_some() {
                return self.mark;
            }
            self.matched = Some(end);
        }
        self.scan.step(self.page[at]);
        None
    }

    /// Whether bracket matching ends the element at this separator, for the first time.
    fn is_matched_at(&self, at: usize) -> bool {
        let is_closed = self.scan.is_outside() && self.scan.open.is_empty();
        self.matched.is_none() && is_closed && matches!(self.page[at], b',' | b']')
    }

    /// Whether the element up to `end` is JSON, and what follows the separator at `at` can stand there.
    fn is_plausible(&self, end: usize, at: usize) -> bool {
        let goes_on = self.page[at] == b',' || leaves_a_page(&self.page[at + 1..]);
        goes_on && is_json(&self.page[self.start..end])
    }
}

/// The end of an element, where `at` is its last byte or the separator behind it and a mark follows.
fn mark_at(page: &[u8], start: usize, at: usize) -> Option<usize> {
    let rest = &page[at + 1..];
    match page[at] {
        b',' if starts_row(rest) => Some(trimmed(page, start, at)),
        b'}' if starts_row(rest) => Some(at + 1),
        b']' if ends_list(rest) => Some(trimmed(page, start, at)),
        _ => None,
    }
}

fn trimmed(page: &[u8], start: usize, end: usize) -> usize {
    start + page[start..end].trim_ascii_end().len()
}

fn starts_row(rest: &[u8]) -> bool {
    let Some(rest) = rest.trim_ascii_start().strip_prefix(b"{") else { return false };
    name_before_colon(rest).is_some_and(|name| Field::from_name(name).is_some())
}

/// What stands behind the list's `]`: the page's end, or one of its fields.
fn ends_list(rest: &[u8]) -> bool {
    match rest.trim_ascii_start().split_first() {
        Some((b'}', rest)) => rest.trim_ascii_start().is_empty(),
        Some((b',', rest)) => name_before_colon(rest).is_some_and(|name| HEADER_NAMES.contains(&name)),
        _ => false,
    }
}

/// As [`ends_list`], for a page that goes on with a field which is not known.
fn leaves_a_page(rest: &[u8]) -> bool {
    if ends_list(rest) {
        return true;
    }
    match rest.trim_ascii_start().strip_prefix(b",") {
        Some(fields) if fields.len() <= LOOK_BEYOND => is_json(&[b"{", fields].concat()),
        _ => false,
    }
}

const HEADER_NAMES: [&str; 4] = ["total_cnt", "start_id", "errcode", "errmsg"];
/// No name of the upstream is longer.
const NAME_BYTES_MAX: usize = 32;

fn name_before_colon(rest: &[u8]) -> Option<&str> {
    let rest = rest.trim_ascii_start().strip_prefix(b"\"")?;
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = rest.iter().take(NAME_BYTES_MAX).take_while(|byte| is_letter(byte)).count();
    let (name, behind) = rest.split_at(length);
    behind.strip_prefix(b"\"")?.trim_ascii_start().strip_prefix(b":")?;
    std::str::from_utf8(name).ok()
}

fn is_json(element: &[u8]) -> bool {
    serde_json::from_str::<IgnoredAny>(&repair(element)).is_ok()
}

/// Matches brackets outside strings, forgiving those that do not fit.
#[derive(Default)]
struct Scan {
    in_string: bool,
    escaped: bool,
    open: Vec<u8>,
}

impl Scan {
    fn is_outside(&self) -> bool {
        !self.in_string
    }

    fn step(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if self.in_string {
            match byte {
                b'"' => self.in_string = false,
                b'\\' => self.escaped = true,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.open.push(byte),
                // An object's end also ends the arrays that were left open in it; an array's end never ends an object.
                b'}' => {
                    if let Some(object) = self.open.iter().rposition(|&open| open == b'{') {
                        self.open.truncate(object);
                    }
                }
                b']' if self.open.last() == Some(&b'[') => {
                    self.open.pop();
                }
                _ => {}
            }
        }
    }
}
