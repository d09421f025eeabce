//! What could not be read or published, on its way to `promoter.dead-letters`.

use std::fmt;

use super::feed::Feed;
use super::promoter::Promoter;
use super::time::UnixMillis;
use crate::text;

/// How many raw bytes a dead letter carries at most, so that it fits a topic of Kafka's default record size.
pub(crate) const RAW_BYTES_MAX: usize = 512 * 1024;

/// Where the bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadLetterSource {
    Feed(Feed),
    Requests,
    Registry,
}

impl DeadLetterSource {
    pub fn name(self) -> &'static str {
        match self {
            DeadLetterSource::Feed(feed) => feed.name(),
            DeadLetterSource::Requests => "commands",
            DeadLetterSource::Registry => "registry",
        }
    }
}

impl fmt::Display for DeadLetterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The record that carried the bytes, for those that came from Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// A row or a record that could not be read or published, with its bytes and why: written in the transaction of what came
/// with it, so that it holds up nothing and is lost no more than a fact is. A row is one once for its promoter, however
/// often it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub source: DeadLetterSource,
    /// A short code, stable for programs.
    pub reason: &'static str,
    /// For people: what is wrong. Never a secret.
    pub detail: String,
    /// Of a row: whom it was asked for.
    pub promoter: Option<Promoter>,
    pub origin: Option<Origin>,
    /// At most [`RAW_BYTES_MAX`] bytes.
    pub raw: Box<[u8]>,
    /// When it was read, by this host's clock.
    pub observed_at: UnixMillis,
}

impl DeadLetter {
    /// A row of a poll. Bytes beyond [`RAW_BYTES_MAX`] are cut.
    pub fn of_row(
        feed: Feed,
        promoter: Promoter,
        reason: &'static str,
        detail: String,
        raw: Box<[u8]>,
        observed_at: UnixMillis,
    ) -> DeadLetter {
        let source = DeadLetterSource::Feed(feed);
        let letter = DeadLetter { source, reason, detail, promoter: Some(promoter), origin: None, raw, observed_at };
        letter.cut_to(RAW_BYTES_MAX)
    }

    /// A record of the request topic. Bytes beyond [`RAW_BYTES_MAX`] are cut.
    pub(crate) fn of_request(
        origin: Origin,
        reason: &'static str,
        detail: String,
        raw: Box<[u8]>,
        observed_at: UnixMillis,
    ) -> DeadLetter {
        let (source, origin) = (DeadLetterSource::Requests, Some(origin));
        let letter = DeadLetter { source, reason, detail, promoter: None, origin, raw, observed_at };
        letter.cut_to(RAW_BYTES_MAX)
    }

    /// A record of the registry topic, whose key may tell a promoter. Bytes beyond [`RAW_BYTES_MAX`] are cut.
    pub(crate) fn of_registration(
        origin: Origin,
        promoter: Option<Promoter>,
        reason: &'static str,
        detail: String,
        raw: Box<[u8]>,
        observed_at: UnixMillis,
    ) -> DeadLetter {
        let (source, origin) = (DeadLetterSource::Registry, Some(origin));
        let letter = DeadLetter { source, reason, detail, promoter, origin, raw, observed_at };
        letter.cut_to(RAW_BYTES_MAX)
    }

    /// The same letter with at most `bytes_max` raw bytes. What is cut for the first time tells its full length and
    /// hash in `detail`; one that was cut before tells them already.
    pub(crate) fn cut_to(mut self, bytes_max: usize) -> DeadLetter {
        if self.raw.len() <= bytes_max {
            return self;
        }
        if !self.detail.contains(CUT) {
            let hash = blake3::hash(&self.raw);
            self.detail = format!(
                "{}{CUT}{} bytes, blake3 {hash}",
                text::bounded(&self.detail, DETAIL_CHARS_MAX),
                self.raw.len()
            );
        }
        self.raw = self.raw[..bytes_max].into();
        self
    }

    /// Whether there is nothing left that could be cut.
    pub(crate) fn is_smallest(&self) -> bool {
        self.raw.is_empty()
    }
}

/// Stands in the detail of a letter whose raw bytes are not all there.
const CUT: &str = "; raw is cut, in full ";
/// How many characters of a detail are kept beside it.
const DETAIL_CHARS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_row_is_cut_and_its_length_and_hash_are_told() {
        let raw = vec![7u8; RAW_BYTES_MAX + 1].into_boxed_slice();
        let hash = blake3::hash(&raw).to_string();
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let letter = DeadLetter::of_row(Feed::Orders, promoter, "x", "y".into(), raw, UnixMillis(0));
        assert_eq!(letter.raw.len(), RAW_BYTES_MAX);
        let expected = format!("y; raw is cut, in full 524289 bytes, blake3 {hash}");
        assert_eq!(letter.detail, expected);
        let smaller = letter.cut_to(10);
        assert_eq!((smaller.raw.len(), smaller.detail), (10, expected));
    }
}
