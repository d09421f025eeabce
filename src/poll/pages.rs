//! The pages of one pull: when they end, when something is wrong with them, and whether rows moved.
//!
//! Whether rows move between pages while a promoter is paged through is not documented. If one moves from a page that
//! is still to come to one that was already read, the pull misses it; another row then moves the other way and is
//! seen twice. So a pull that saw a row on two pages is read again from its beginning before the cursor moves, until a
//! reading brings nothing that was not seen before, [`READINGS_MAX`] times at most.

use std::collections::HashSet;

use crate::domain::fact::FactId;

/// How many rows the upstream puts on a page (official page).
pub const PAGE_ROWS: i64 = 1000;
/// A million rows for one promoter; more than this is a pull without end.
pub const PAGES_MAX: u32 = 1000;
/// How often a pull with moving rows is read.
pub const READINGS_MAX: u32 = 3;

/// What is wrong with the pages: the pull fails, and nothing is advanced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PagesFault {
    #[error("start_id {0:?} came twice in one pull; the upstream's pages go in a circle")]
    StartIdRepeats(String),
    #[error("the pull has no end: {PAGES_MAX} pages were read")]
    WithoutEnd,
    #[error("a full page came without a start_id, so the rest can't be asked for")]
    FullWithoutStartId,
}

/// What to do after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for the page of this `start_id`.
    Page(String),
    /// This was the last page, and rows moved: ask for the first one again.
    Again,
    /// This was the last page.
    End,
}

/// One pull's pages, read so far. A row is held as 64 bits of its identity: should two rows ever share them, a pull is
/// read once more for nothing. Memory is bounded by [`PAGES_MAX`].
#[derive(Debug, Default)]
pub struct Pages {
    pages: u32,
    readings: u32,
    start_ids: HashSet<String>,
    /// The rows of this reading.
    rows: HashSet<u64>,
    /// The rows of all readings before it.
    rows_before: HashSet<u64>,
    moved: bool,
    news: bool,
    rows_read: u64,
    digest: u64,
}

impl Pages {
    /// Takes a page. `total_cnt` and `start_id` are the upstream's; `rows` counts all rows of the page, `ids` names
    /// those that can be told apart.
    pub fn take(
        &mut self,
        total_cnt: Option<i64>,
        start_id: Option<String>,
        rows: usize,
        ids: impl Iterator<Item = FactId>,
    ) -> Result<Next, PagesFault> {
        self.pages += 1;
        self.rows_read += rows as u64;
        // A row that stands twice on one page has not moved.
        let page: HashSet<u64> = ids.map(low_bits).collect();
        self.moved |= page.iter().any(|id| self.rows.contains(id));
        self.news |= page.iter().any(|id| !self.rows_before.contains(id));
        for id in page {
            if self.rows.insert(id) && !self.rows_before.contains(&id) {
                self.digest ^= id;
            }
        }
        match next_page(total_cnt, start_id, rows)? {
            Some(start_id) => self.turn(start_id),
            None => Ok(self.end()),
        }
    }

    fn turn(&mut self, start_id: String) -> Result<Next, PagesFault> {
        if !self.start_ids.insert(start_id.clone()) {
            return Err(PagesFault::StartIdRepeats(shortened(start_id)));
        }
        if self.pages >= PAGES_MAX {
            return Err(PagesFault::WithoutEnd);
        }
        Ok(Next::Page(start_id))
    }

    fn end(&mut self) -> Next {
        self.readings += 1;
        // A second reading settles the pull when it brought nothing new; the first one has nothing to compare with.
        let unsettled = if self.readings == 1 { self.moved } else { self.news };
        if !unsettled || self.readings >= READINGS_MAX {
            return Next::End;
        }
        self.rows_before.extend(self.rows.drain());
        self.start_ids.clear();
        self.news = false;
        Next::Again
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
/// return is empty, the data pull is complete."
fn next_page(total_cnt: Option<i64>, start_id: Option<String>, rows: usize) -> Result<Option<String>, PagesFault> {
    if rows == 0 {
        return Ok(None);
    }
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let full = total_cnt.unwrap_or(rows) >= PAGE_ROWS;
    match start_id {
        Some(start_id) if full || rows >= PAGE_ROWS => Ok(Some(start_id)),
        None if full => Err(PagesFault::FullWithoutStartId),
        _ => Ok(None),
    }
}

fn low_bits(id: FactId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.0[..8]);
    u64::from_le_bytes(bytes)
}

/// A start_id as it may stand in a log.
fn shortened(mut start_id: String) -> String {
    start_id.truncate(start_id.floor_char_boundary(64));
    start_id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u8]) -> impl Iterator<Item = FactId> {
        numbers.iter().map(|number| FactId([*number; 16])).collect::<Vec<_>>().into_iter()
    }

    fn page(pages: &mut Pages, start_id: &str, numbers: &[u8]) -> Result<Next, PagesFault> {
        pages.take(Some(PAGE_ROWS), Some(start_id.into()), numbers.len(), ids(numbers))
    }

    fn last(pages: &mut Pages, numbers: &[u8]) -> Result<Next, PagesFault> {
        pages.take(Some(numbers.len() as i64), None, numbers.len(), ids(numbers))
    }

    #[test]
    fn a_pull_ends_with_a_page_that_is_not_full() {
        let mut pages = Pages::default();
        assert_eq!(page(&mut pages, "x", &[1, 2]), Ok(Next::Page("x".into())));
        assert_eq!(last(&mut pages, &[3]), Ok(Next::End));
        assert_eq!((pages.pages(), pages.rows()), (2, 3));
    }

    #[test]
    fn a_full_last_page_is_followed_by_an_empty_one() {
        let mut pages = Pages::default();
        assert_eq!(page(&mut pages, "x", &[1]), Ok(Next::Page("x".into())));
        assert_eq!(pages.take(None, None, 0, ids(&[])), Ok(Next::End));
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
        let mut pages = Pages::default();
        assert_eq!(pages.take(Some(1000), None, 1, ids(&[1])), Err(PagesFault::FullWithoutStartId));
        assert_eq!(pages.take(None, None, 1000, ids(&[1])), Err(PagesFault::FullWithoutStartId));
    }

    #[test]
    fn a_full_page_whose_count_says_otherwise_is_followed_as_long_as_it_can_be() {
        let mut pages = Pages::default();
        assert_eq!(pages.take(Some(7), Some("x".into()), 1000, ids(&[1])), Ok(Next::Page("x".into())));
        assert_eq!(pages.take(Some(7), None, 1000, ids(&[2])), Ok(Next::End));
    }

    #[test]
    fn a_pull_whose_rows_moved_is_read_again_until_nothing_new_comes() {
        let mut pages = Pages::default();
        page(&mut pages, "x", &[1, 2]).unwrap();
        assert_eq!(last(&mut pages, &[2, 3]), Ok(Next::Again));
        page(&mut pages, "x", &[1, 2]).unwrap();
        assert_eq!(last(&mut pages, &[3, 4]), Ok(Next::Again));
        page(&mut pages, "x", &[1, 2]).unwrap();
        assert_eq!(last(&mut pages, &[3, 4]), Ok(Next::End));
    }

    #[test]
    fn a_row_that_stands_twice_on_one_page_has_not_moved() {
        let mut pages = Pages::default();
        page(&mut pages, "x", &[1, 1]).unwrap();
        assert_eq!(last(&mut pages, &[2, 2]), Ok(Next::End));
    }
}
