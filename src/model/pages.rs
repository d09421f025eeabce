//! The pages of one pull: when they end, when something is wrong with them, and whether rows moved.
//!
//! Whether rows move between pages while a promoter is paged through is not documented. If one moves from a page that
//! is still to come to one that was already read, the pull misses it; another row then moves the other way and is
//! seen twice. So a pull that saw a row on two pages is read again from its beginning before the cursor moves, until no
//! row moves in one reading, [`READINGS_MAX`] times at most. If the last of them still brings a row that none before it
//! had, the pull fails: its cursor stays, and what is asked next is less. Only rows that the cursor is to pass count as
//! new: any other is asked for again by a later pull, and of a promoter to whom something happens all the time, each
//! reading brings some.
//!
//! What happens all the time only pushes rows to later pages, where nothing misses them. A row that has come forward
//! since the reading before shows that the others are not safe either: one may have been missed in every reading,
//! though the last one brought nothing new. So the pull fails then, too. Coming forward is told by how many different
//! rows stand before a row, not by the number of its page: where pages overlap, or show a row twice, their ends lie
//! elsewhere in each reading, though no row has moved.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::fact::FactId;
use crate::text;

/// How many rows the upstream puts on a page (official page).
pub const PAGE_ROWS: i64 = 1000;
/// A million rows for one promoter; a reading with more pages has no end.
pub const PAGES_MAX: usize = 1000;
/// How often a pull with moving rows is read.
pub const READINGS_MAX: u32 = 3;
/// How many characters of a `start_id` stand in a log.
const START_ID_CHARS_SHOWN: usize = 64;

/// What is wrong with the pages: the pull fails, and nothing is advanced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PagesFault {
    #[error("start_id {0:?} came twice in one pull; the upstream's pages go in a circle")]
    StartIdRepeats(String),
    #[error("the pull has no end: {PAGES_MAX} pages were read")]
    WithoutEnd,
    #[error("a full page came without a start_id, so the rest can't be asked for")]
    FullWithoutStartId,
    #[error("total_cnt is {0} but the first page has no rows")]
    RowsMissing(i64),
    #[error("rows changed their places in each of {READINGS_MAX} readings of the same pages, so some may be missing")]
    Unsettled,
}

/// What to do after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterPage {
    /// Ask for the page of this `start_id`.
    Page(String),
    /// This was the last page, and rows moved: ask for the first one again.
    Again,
    /// This was the last page.
    End,
}

/// What an answer says of its page, and how many rows it holds, those that can't be told apart included.
#[derive(Clone, Debug, Default)]
pub struct PageHead {
    pub total_cnt: Option<i64>,
    pub start_id: Option<String>,
    pub count: usize,
}

/// A row of a page, as far as the pages are concerned.
#[derive(Clone, Copy, Debug)]
pub struct RowOnPage {
    pub id: FactId,
    /// Whether the cursor passes it when this pull ends.
    pub passed: bool,
    /// What it is called where its identity may change from one page to the next.
    pub names: Option<Names>,
}

/// One thing may have several rows, which are told apart by what is not always shown: so whether a row of another identity
/// was this one is told by these.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// It had been this row, had it stood on an earlier page; or some row that has this as [`left`](Names::left).
    pub was: FactId,
    /// What later rows may have been.
    pub left: Option<FactId>,
}

/// Where a row stands in a reading, as far as its page tells. In which order the rows of one page stand tells nothing.
#[derive(Clone, Copy, Debug)]
struct RowRank {
    /// How many different rows stand on the pages before its own.
    before_page: u32,
    /// How many stand up to the end of its page.
    through_page: u32,
}

impl RowRank {
    /// Whether a row that stands here stood behind its whole page earlier.
    fn is_ahead_of(self, earlier: RowRank) -> bool {
        self.through_page <= earlier.before_page
    }
}

/// One pull's pages, read so far. A row is held as 64 bits of its identity: should two rows ever share them, a pull is
/// read once more for nothing. Memory is bounded by [`PAGES_MAX`].
#[derive(Debug, Default)]
pub struct Pages {
    pages: u32,
    readings: u32,
    /// Of this reading.
    start_ids: HashSet<String>,
    /// The rows of this reading, each with where it stood first.
    rows: HashMap<u64, RowRank, RandomState>,
    /// The same of all readings before it, of the latest that had the row.
    rows_before: HashMap<u64, RowRank, RandomState>,
    /// How many different rows this reading has shown.
    different: u32,
    /// Whether this reading had a row on two pages.
    moved: bool,
    /// Whether a row stood further ahead in some reading than in the one before.
    came_forward: bool,
    /// Whether this reading brought a row that no reading before it had, and that the cursor is to pass.
    news: bool,
    rows_read: u64,
    /// Rows that differ, of all readings; and those of them that the cursor is to pass.
    shown: u64,
    passed: u64,
}

impl Pages {
    /// Takes a page. `settles` is whether the end of the pull lets the cursor pass anything, now or later.
    ///
    /// # Errors
    /// [`PagesFault`] where the pages do not follow on each other: the pull is of no use then.
    pub fn take(
        &mut self,
        head: PageHead,
        rows: impl Iterator<Item = RowOnPage>,
        settles: bool,
    ) -> Result<AfterPage, PagesFault> {
        self.pages += 1;
        self.rows_read += head.count as u64;
        self.note(rows);
        let PageHead { total_cnt, start_id, count } = head;
        let repeats = start_id.as_ref().is_some_and(|start_id| self.start_ids.contains(start_id));
        match next_page(total_cnt, start_id, count) {
            // The page behind the last one may give the last `start_id` back.
            Some(_) if repeats && count == 0 => self.end(settles),
            Some(start_id) if repeats => {
                Err(PagesFault::StartIdRepeats(text::bounded(&start_id, START_ID_CHARS_SHOWN).to_owned()))
            }
            Some(_) if self.start_ids.len() + 1 >= PAGES_MAX => Err(PagesFault::WithoutEnd),
            Some(start_id) => {
                self.start_ids.insert(start_id.clone());
                Ok(AfterPage::Page(start_id))
            }
            None if is_full(count) => Err(PagesFault::FullWithoutStartId),
            None => match total_cnt {
                Some(total) if self.start_ids.is_empty() && count == 0 && total > 0 => {
                    Err(PagesFault::RowsMissing(total))
                }
                _ => self.end(settles),
            },
        }
    }

    fn note(&mut self, rows: impl Iterator<Item = RowOnPage>) {
        let page: Vec<_> = rows.collect();
        // The whole page first: a row that stands twice on one page has not moved.
        let stood_before = |id: FactId| self.rows.contains_key(&low_bits(id));
        self.moved |=
            page.iter().any(|row| stood_before(row.id) || row.names.is_some_and(|names| stood_before(names.was)));
        let rank = self.rank(&page);
        for RowOnPage { id, passed, names } in page {
            let id = low_bits(id);
            self.rows.extend(names.and_then(|names| names.left).map(|left| (low_bits(left), rank)));
            let before = self.rows_before.get(&id).copied();
            self.news |= before.is_none() && passed;
            if let Entry::Vacant(first) = self.rows.entry(id) {
                first.insert(rank);
                self.came_forward |= before.is_some_and(|before| rank.is_ahead_of(before));
                if before.is_none() {
                    self.shown += 1;
                    self.passed += u64::from(passed);
                }
            }
        }
        self.different = rank.through_page;
    }

    /// Where the rows of this page stand that no page of this reading has shown.
    fn rank(&self, page: &[RowOnPage]) -> RowRank {
        let ids = page.iter().map(|row| low_bits(row.id));
        let new: HashSet<u64, RandomState> = ids.filter(|id| !self.rows.contains_key(id)).collect();
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        RowRank { before_page: self.different, through_page: self.different.saturating_add(count) }
    }

    /// # Errors
    /// [`PagesFault::Unsettled`] where the rows still move after [`READINGS_MAX`] readings.
    fn end(&mut self, settles: bool) -> Result<AfterPage, PagesFault> {
        self.readings += 1;
        if !(settles && self.moved) {
            return Ok(AfterPage::End);
        }
        if self.readings >= READINGS_MAX {
            return if self.news || self.came_forward { Err(PagesFault::Unsettled) } else { Ok(AfterPage::End) };
        }
        self.rows_before.extend(self.rows.drain());
        self.start_ids.clear();
        self.different = 0;
        (self.moved, self.news) = (false, false);
        Ok(AfterPage::Again)
    }

    pub fn pages(&self) -> u32 {
        self.pages
    }

    pub fn rows(&self) -> u64 {
        self.rows_read
    }

    /// How many different rows there were.
    pub fn shown(&self) -> u64 {
        self.shown
    }

    /// How many of these the cursor does not pass.
    pub fn kept(&self) -> u64 {
        self.shown - self.passed
    }
}

/// The `start_id` of the page to come, if there is one. The official page: "If total_cnt is less than 1000 or the
/// return is empty, the data pull is complete." Whether `total_cnt` counts the page's rows or all of them is not
/// certain, and rows may be left out of a page that it calls full; so either sign of a full page is believed.
fn next_page(total_cnt: Option<i64>, start_id: Option<String>, count: usize) -> Option<String> {
    start_id.filter(|_| is_full(count) || total_cnt.is_some_and(|total| total >= PAGE_ROWS))
}

/// Whether a page is the only one.
pub(crate) fn is_whole(head: &PageHead) -> bool {
    next_page(head.total_cnt, head.start_id.clone(), head.count).is_none() && !is_full(head.count)
}

fn is_full(count: usize) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= PAGE_ROWS)
}

fn low_bits(id: FactId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.0[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests;
