//! What of one partition is answered.
//!
//! The offset that is committed is that of the first record without an answer. Records behind it may be answered
//! already: they are noted in the metadata of the committed offset, as bits. So an answer is committed as soon as it is
//! there, a slow call holds up nobody who stands less than [`SPAN`] behind it, and what starts anew knows what to skip.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// How far the last record that is begun may lie behind the first without an answer. Its bits take 171 characters of the
/// 4096 that a broker allows by default.
pub const SPAN: i64 = 1024;

/// Before the bits, so that a later release can tell its own notes from these.
const VERSION: &str = "1:";

/// How far a partition is answered, as it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub partition: i32,
    /// The offset of the first record without an answer.
    pub offset: i64,
    /// Which records behind it have one.
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata of the committed offset is none of this connector's")]
pub struct ForeignNote;

#[derive(Debug, Default)]
pub struct Window {
    /// Begun, without an answer.
    open: BTreeSet<i64>,
    /// Answered, behind the first that is open.
    answered: BTreeSet<i64>,
    /// The offset that comes next.
    next: i64,
}

impl Window {
    /// Goes on where `progress` was committed.
    pub fn resume(progress: &Progress) -> Result<Window, ForeignNote> {
        let answered = bits(&progress.note).ok_or(ForeignNote)?.map(|bit| progress.offset.saturating_add(bit));
        Ok(Window { open: BTreeSet::new(), answered: answered.collect(), next: progress.offset })
    }

    /// Goes on at `offset`, without any record behind it being answered.
    pub fn at(offset: i64) -> Window {
        Window { next: offset, ..Window::default() }
    }

    /// Whether a record may be begun now. Control records and compaction leave gaps, which count.
    pub fn has_room(&self, offset: i64) -> bool {
        self.open.first().is_none_or(|first| offset - first < SPAN)
    }

    /// Whether the record still needs an answer; then it is open from now on.
    pub fn begin(&mut self, offset: i64) -> bool {
        let is_new = offset >= self.next;
        self.next = self.next.max(offset.saturating_add(1));
        let is_open = is_new && !self.answered.contains(&offset);
        if is_open {
            self.open.insert(offset);
        }
        self.prune();
        is_open
    }

    pub fn answer(&mut self, offset: i64) {
        if self.open.remove(&offset) {
            self.answered.insert(offset);
        }
        self.prune();
    }

    pub fn progress(&self, partition: i32) -> Progress {
        let offset = self.open.first().copied().unwrap_or(self.next);
        Progress { partition, offset, note: self.note(offset) }
    }

    /// Forgets what the committed offset says by itself.
    fn prune(&mut self) {
        let offset = self.open.first().copied().unwrap_or(self.next);
        self.answered = self.answered.split_off(&offset);
    }

    fn note(&self, offset: i64) -> String {
        let Some(last) = self.answered.last() else { return String::new() };
        let mut bytes = vec![0u8; usize::try_from((last - offset) / 8 + 1).unwrap_or(0)];
        for bit in self.answered.iter().map(|answered| usize::try_from(answered - offset).unwrap_or(0)) {
            bytes[bit / 8] |= 1 << (bit % 8);
        }
        format!("{VERSION}{}", BASE64_STANDARD_NO_PAD.encode(bytes))
    }
}

/// The numbers of the bits that are set.
fn bits(note: &str) -> Option<impl Iterator<Item = i64>> {
    let bytes = match note {
        "" => Vec::new(),
        note => BASE64_STANDARD_NO_PAD.decode(note.strip_prefix(VERSION)?).ok()?,
    };
    let set = bytes
        .into_iter()
        .enumerate()
        .flat_map(|(at, byte)| (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| at as i64 * 8 + bit));
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_behind_an_open_record_is_noted() {
        let mut window = Window::at(10);
        assert!((10..14).all(|offset| window.begin(offset)));
        window.answer(11);
        window.answer(13);
        let progress = window.progress(0);
        // Bits 1 and 3: ten in binary, from the lowest on.
        assert_eq!((progress.offset, progress.note.as_str()), (10, "1:Cg"));
        window.answer(10);
        assert_eq!(window.progress(0), Progress { partition: 0, offset: 12, note: "1:Ag".into() });
        window.answer(12);
        assert_eq!(window.progress(0), Progress { partition: 0, offset: 14, note: String::new() });
    }

    #[test]
    fn the_window_is_full_a_span_behind_the_first_open_record() {
        let mut window = Window::at(0);
        assert!(window.has_room(1_000_000));
        assert!(window.begin(5));
        assert!(window.has_room(5 + SPAN - 1) && !window.has_room(5 + SPAN));
        assert!(window.begin(5 + SPAN - 1));
        window.answer(5 + SPAN - 1);
        assert!(window.progress(0).note.len() <= 2 + 171);
        window.answer(5);
        assert!(window.has_room(5 + 2 * SPAN));
    }

    #[test]
    fn a_note_of_somebody_else_is_told_apart() {
        for note in ["consumed by hand", "2:AA", "1:%"] {
            let progress = Progress { partition: 0, offset: 0, note: note.into() };
            assert!(Window::resume(&progress).is_err(), "{note}");
        }
    }

    proptest! {
        /// Records with gaps between them are begun in their order, answered in any, and what starts anew at any moment
        /// begins exactly those without an answer.
        #[test]
        fn after_a_restart_exactly_the_unanswered_are_begun(
            gaps in prop::collection::vec(1..4i64, 1..60),
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..120),
            restarts in prop::collection::vec(0..120usize, 0..4),
        ) {
            let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut window = Window::at(offsets[0] - 1);
            let mut answered = BTreeSet::new();
            let mut open = Vec::new();
            let mut read = 0;
            for (at, (reads, which)) in steps.into_iter().enumerate() {
                if restarts.contains(&at) {
                    let progress = window.progress(0);
                    window = Window::resume(&progress).unwrap();
                    prop_assert!(offsets.iter().filter(|offset| **offset < progress.offset).all(|o| answered.contains(o)));
                    read = offsets.partition_point(|offset| *offset < progress.offset);
                    open.clear();
                }
                if reads && read < offsets.len() {
                    let offset = offsets[read];
                    read += 1;
                    prop_assert_eq!(window.begin(offset), !answered.contains(&offset));
                    if !answered.contains(&offset) {
                        open.push(offset);
                    }
                } else if !open.is_empty() {
                    let offset = open.swap_remove(which.index(open.len()));
                    window.answer(offset);
                    prop_assert!(answered.insert(offset), "answered twice");
                }
            }
        }
    }
}
