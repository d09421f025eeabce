//! When the pages end, when something is wrong with them, and when they are read again.

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
    for (total, start_id) in [(None, None), (Some(0), Some("y")), (Some(PAGE_ROWS), None), (Some(1200), Some("x"))] {
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
fn pages_that_overlap_and_end_elsewhere_in_each_reading_have_lost_no_row() {
    let readings: [[&[u8]; 2]; 3] = [[&[1, 2, 3], &[3, 4, 5]], [&[1, 2], &[2, 3, 4, 5]], [&[1, 2, 3, 4], &[4, 5]]];
    let mut pages = Pages::default();
    for (number, [first, second]) in readings.into_iter().enumerate() {
        page(&mut pages, "x", first).unwrap();
        let next = if number < 2 { AfterPage::Again } else { AfterPage::End };
        assert_eq!(last(&mut pages, second), Ok(next), "reading {number}");
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
