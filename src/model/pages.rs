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
//! What happens all the time only pushes rows to later pages, where nothing misses them. A row that stands on an earlier
//! page than in the reading before shows that the others are not safe either: one may have been missed in every reading,
//! though the last one brought nothing new. So the pull fails then, too.

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

/// One pull's pages, read so far. A row is held as 64 bits of its identity: should two rows ever share them, a pull is
/// read once more for nothing. Memory is bounded by [`PAGES_MAX`].
#[derive(Debug, Default)]
pub struct Pages {
    pages: u32,
    readings: u32,
    /// Of this reading.
    start_ids: HashSet<String>,
    /// The rows of this reading, each with the first page that it stood on.
    rows: HashMap<u64, usize, RandomState>,
    /// The same of all readings before it, of the latest that had the row.
    rows_before: HashMap<u64, usize, RandomState>,
    /// Whether this reading had a row on two pages.
    moved: bool,
    /// Whether a row stood on an earlier page in some reading than in the one before.
    came_forward: bool,
    /// Whether this reading brought a row that no reading before it had, and that the cursor is to pass.
    news: bool,
    rows_read: u64,
    digest: u64,
}

impl Pages {
    /// Takes a page. `settles` is whether the end of the pull lets the cursor pass anything, now or later.
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
        for RowOnPage { id, passed, names } in page {
            let id = low_bits(id);
            let number = self.start_ids.len();
            self.rows.extend(names.and_then(|names| names.left).map(|left| (low_bits(left), number)));
            let before = self.rows_before.get(&id).copied();
            self.news |= before.is_none() && passed;
            if let Entry::Vacant(first) = self.rows.entry(id) {
                first.insert(number);
                self.came_forward |= before.is_some_and(|before| number < before);
                if before.is_none() {
                    self.digest ^= id;
                }
            }
        }
    }

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
        (self.moved, self.news) = (false, false);
        Ok(AfterPage::Again)
    }

    pub fn pages(&self) -> u32 {
        self.pages
    }

    pub fn rows(&self) -> u64 {
        self.rows_read
    }

    /// Changes when the set of rows changes.
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

/// The `start_id` of the page to come, if there is one. The official page: "If total_cnt is less than 1000 or the
/// return is empty, the data pull is complete." Whether `total_cnt` counts the page's rows or all of them is not
/// certain, and rows may be left out of a page that it calls full; so either sign of a full page is believed.
fn next_page(total_cnt: Option<i64>, start_id: Option<String>, count: usize) -> Option<String> {
    start_id.filter(|_| is_full(count) || total_cnt.is_some_and(|total| total >= PAGE_ROWS))
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
mod tests {
    use super::*;

    fn rows(numbers: &[u8], passed: bool) -> impl Iterator<Item = RowOnPage> {
        numbers.iter().map(move |number| RowOnPage { id: FactId([*number; 16]), passed, names: None })
    }

    /// A page of rows that the cursor passes.
    fn take(
        pages: &mut Pages,
        total_cnt: Option<i64>,
        start_id: Option<&str>,
        count: usize,
        numbers: &[u8],
    ) -> Result<AfterPage, PagesFault> {
        let head = PageHead { total_cnt, start_id: start_id.map(str::to_owned), count };
        pages.take(head, rows(numbers, true), true)
    }

    /// One that calls itself full.
    fn page(pages: &mut Pages, start_id: &str, numbers: &[u8]) -> Result<AfterPage, PagesFault> {
        take(pages, Some(PAGE_ROWS), Some(start_id), numbers.len(), numbers)
    }

    fn last(pages: &mut Pages, numbers: &[u8]) -> Result<AfterPage, PagesFault> {
        take(pages, Some(numbers.len() as i64), None, numbers.len(), numbers)
    }

    #[test]
    fn a_pull_ends_with_a_page_that_is_not_full() {
        let mut pages = Pages::default();
        assert_eq!(page(&mut pages, "x", &[1, 2]), Ok(AfterPage::Page("x".into())));
        assert_eq!(last(&mut pages, &[3]), Ok(AfterPage::End));
        assert_eq!((pages.pages(), pages.rows()), (2, 3));
    }

    #[test]
    fn a_full_last_page_is_followed_by_an_empty_one() {
        for (total, start_id) in [(None, None), (Some(0), Some("y")), (Some(PAGE_ROWS), None), (Some(1200), Some("x"))]
        {
            let mut pages = Pages::default();
            assert_eq!(page(&mut pages, "x", &[1]), Ok(AfterPage::Page("x".into())));
            assert_eq!(take(&mut pages, total, start_id, 0, &[]), Ok(AfterPage::End), "{total:?} {start_id:?}");
        }
    }

    #[test]
    fn an_empty_page_that_is_called_full_is_followed_while_its_start_id_is_new() {
        let mut pages = Pages::default();
        page(&mut pages, "x", &[1]).unwrap();
        assert_eq!(page(&mut pages, "y", &[]), Ok(AfterPage::Page("y".into())));
        assert_eq!(last(&mut pages, &[2]), Ok(AfterPage::End));
    }

    #[test]
    fn a_total_of_all_rows_ends_with_the_page_that_has_no_start_id() {
        let mut pages = Pages::default();
        assert_eq!(take(&mut pages, Some(1200), Some("x"), 1000, &[1]), Ok(AfterPage::Page("x".into())));
        assert_eq!(take(&mut pages, Some(1200), None, 200, &[2]), Ok(AfterPage::End));
    }

    #[test]
    fn a_first_page_without_the_rows_it_counts_is_no_end() {
        let first = |total| take(&mut Pages::default(), total, None, 0, &[]);
        assert_eq!(first(Some(12)), Err(PagesFault::RowsMissing(12)));
        assert_eq!(first(Some(0)), Ok(AfterPage::End));
        assert_eq!(first(None), Ok(AfterPage::End));
    }

    #[test]
    fn a_start_id_that_comes_again_fails_the_pull() {
        let mut pages = Pages::default();
        assert!(page(&mut pages, "x", &[1]).is_ok());
        assert!(page(&mut pages, "y", &[2]).is_ok());
        assert_eq!(page(&mut pages, "x", &[3]), Err(PagesFault::StartIdRepeats("x".into())));
    }

    #[test]
    fn a_pull_without_end_fails() {
        let mut pages = Pages::default();
        let results: Vec<_> = (0..PAGES_MAX).map(|n| page(&mut pages, &n.to_string(), &[1])).collect();
        assert!(results[..results.len() - 1].iter().all(Result::is_ok));
        assert_eq!(results.last(), Some(&Err(PagesFault::WithoutEnd)));
    }

    #[test]
    fn a_full_page_without_a_start_id_fails_the_pull() {
        for total in [None, Some(7), Some(1000)] {
            let next = take(&mut Pages::default(), total, None, 1000, &[1]);
            assert_eq!(next, Err(PagesFault::FullWithoutStartId), "{total:?}");
        }
    }

    #[test]
    fn a_full_page_whose_count_says_otherwise_is_followed() {
        let mut pages = Pages::default();
        assert_eq!(take(&mut pages, Some(7), Some("x"), 1000, &[1]), Ok(AfterPage::Page("x".into())));
        assert_eq!(take(&mut pages, Some(7), Some("y"), 7, &[2]), Ok(AfterPage::End));
    }

    #[test]
    fn a_pull_whose_rows_moved_is_read_again_until_none_moves_or_the_last_reading_brings_none() {
        for (second, third) in [(&[3, 4], None), (&[2, 3], Some(&[2, 3])), (&[2, 4], Some(&[2, 3]))] {
            let mut pages = Pages::default();
            page(&mut pages, "x", &[1, 2]).unwrap();
            assert_eq!(last(&mut pages, &[2, 3]), Ok(AfterPage::Again));
            page(&mut pages, "x", &[1, 2]).unwrap();
            let next = last(&mut pages, second);
            assert_eq!(next, Ok(if third.is_some() { AfterPage::Again } else { AfterPage::End }), "{second:?}");
            if let Some(third) = third {
                page(&mut pages, "x", &[1, 2]).unwrap();
                assert_eq!(last(&mut pages, third), Ok(AfterPage::End));
            }
        }
    }

    #[test]
    fn a_pull_whose_rows_never_settle_fails() {
        let mut pages = Pages::default();
        for reading in 1..=3 {
            page(&mut pages, "x", &[1, 2]).unwrap();
            let next = last(&mut pages, &[2, 10 + reading]);
            assert_eq!(next, if reading < 3 { Ok(AfterPage::Again) } else { Err(PagesFault::Unsettled) });
        }
    }

    #[test]
    fn a_row_that_comes_forward_shows_that_others_may_have_been_missed_each_time() {
        // Something happens all the time, and pushes rows on; or rows stand in another order at each call, and the row 9
        // is always on the other page.
        let pushed: [[&[u8]; 2]; 3] = [[&[1, 2], &[2, 3]], [&[5, 1], &[1, 2, 3]], [&[6, 5], &[5, 1, 2, 3]]];
        let shuffled: [[&[u8]; 2]; 3] = [[&[1, 2], &[2, 3]], [&[1, 3], &[3, 2]], [&[2, 1], &[3, 2]]];
        for (readings, end) in [(pushed, Ok(AfterPage::End)), (shuffled, Err(PagesFault::Unsettled))] {
            let mut pages = Pages::default();
            for (number, [first, second]) in readings.into_iter().enumerate() {
                let head = |start_id: Option<&str>, count| PageHead {
                    total_cnt: start_id.map(|_| PAGE_ROWS),
                    start_id: start_id.map(str::to_owned),
                    count,
                };
                // What is new is not passed yet.
                let passed = |row: &u8| RowOnPage { id: FactId([*row; 16]), passed: *row < 5, names: None };
                pages.take(head(Some("x"), 2), first.iter().map(passed), true).unwrap();
                let next = pages.take(head(None, second.len()), second.iter().map(passed), true);
                assert_eq!(next, if number < 2 { Ok(AfterPage::Again) } else { end.clone() });
            }
        }
    }

    #[test]
    fn rows_that_the_cursor_does_not_pass_keep_no_pull_from_its_end() {
        let mut pages = Pages::default();
        for (new, next) in [(3, AfterPage::Again), (4, AfterPage::Again), (5, AfterPage::End)] {
            page(&mut pages, "x", &[1, 2]).unwrap();
            let head = PageHead { count: 2, ..PageHead::default() };
            assert_eq!(pages.take(head, rows(&[2, new], false), true), Ok(next), "{new} is asked for again");
        }
    }

    #[test]
    fn a_first_reading_whose_rows_moved_may_have_missed_the_only_row_that_the_cursor_passes() {
        for (settles, next) in [(true, AfterPage::Again), (false, AfterPage::End)] {
            let mut pages = Pages::default();
            let head = |start_id: Option<&str>| PageHead {
                total_cnt: start_id.map(|_| PAGE_ROWS),
                start_id: start_id.map(str::to_owned),
                count: 2,
            };
            pages.take(head(Some("x")), rows(&[1, 2], false), settles).unwrap();
            assert_eq!(pages.take(head(None), rows(&[2, 3], false), settles), Ok(next));
        }
    }

    #[test]
    fn a_row_that_stands_twice_on_one_page_has_not_moved() {
        let mut pages = Pages::default();
        page(&mut pages, "x", &[1, 1]).unwrap();
        assert_eq!(last(&mut pages, &[2, 2]), Ok(AfterPage::End));
    }
}
