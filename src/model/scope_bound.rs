//! How a pull of a backfill keeps to a bound, though it asks for more.
//!
//! Most of a long past holds nothing, and a call for each stretch that a bound allows would cost thousands where one tells
//! that there is nothing. So the scope may reach beyond the bound. What it shows from there on is left out, and the scope ends
//! before the first of it: all before that has been read, so that it is as if no more had been asked for, and what was left out
//! is asked for again. Over a time that holds nothing nobody is ahead of anybody.
//!
//! - A window: by their first page. Where others follow, or the time of a row can't be read, nothing of it is taken, and less is
//!   asked, up to the bound.
//! - All orders: on each page, to the end. Rows that move between pages are looked for among those that are left out, too.

use super::page_facts::PageFacts;
use super::row::{ReadRow, Row};
use super::scope::Scope;
use super::time::{Day, UnixTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeBound {
    Window(WindowBound),
    Orders(HistoryBound),
}

/// Of a window that reaches beyond its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowBound {
    /// Nothing that happened then or later is taken.
    pub before: UnixTime,
    /// What is asked for in place of a window of which more is to be read than one page.
    pub less: Scope,
}

/// The part of a window that was read, with the rows of it.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadPart {
    pub scope: Scope,
    pub rows: Vec<ReadRow>,
}

impl WindowBound {
    /// What is taken of the first page, which `is_whole` where no other follows. Nothing where less has to be asked for.
    pub fn part(&self, scope: Scope, mut rows: Vec<ReadRow>, is_whole: bool) -> Option<ReadPart> {
        let times: Option<Vec<UnixTime>> = rows.iter().map(time).collect();
        let first_left_out = times.filter(|_| is_whole)?.into_iter().filter(|time| *time >= self.before).min();
        let (Some(first_left_out), Scope::Window { feed, begin, end }) = (first_left_out, scope) else {
            return Some(ReadPart { scope, rows });
        };
        rows.retain(|row| time(row).is_some_and(|time| time < self.before));
        Some(ReadPart { scope: Scope::Window { feed, begin, end: end.min(first_left_out) }, rows })
    }
}

fn time(row: &ReadRow) -> Option<UnixTime> {
    row.content.as_ref().ok().map(Row::time)
}

/// Of a pull of all orders that reaches beyond its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryBound {
    /// Nothing that was paid then or later is taken.
    pub before: UnixTime,
    /// When the first order was paid of those that were left out.
    pub first_left_out: Option<UnixTime>,
}

impl HistoryBound {
    pub fn new(before: UnixTime) -> HistoryBound {
        HistoryBound { before, first_left_out: None }
    }

    /// Leaves out of a page what lies behind the bound. A row that can't be read has no time, and stays.
    pub fn cut(&mut self, page_facts: &mut PageFacts) {
        page_facts.facts.retain(|observed| {
            let paid_time = observed.fact.content.payment().map(|payment| payment.paid_time);
            let left_out = paid_time.filter(|paid_time| *paid_time >= self.before);
            self.first_left_out = self.first_left_out.into_iter().chain(left_out).min();
            left_out.is_none()
        });
    }

    /// The least that the pull comes to, whatever its further pages show.
    pub fn least(&self, scope: Scope) -> Scope {
        before(scope, self.before)
    }

    /// What the pull has come to at its end.
    pub fn read(&self, scope: Scope) -> Scope {
        self.first_left_out.map_or(scope, |time| before(scope, time))
    }
}

/// The days before an order that was paid at `time`: it may be listed under the day before that of its payment.
fn before(scope: Scope, time: UnixTime) -> Scope {
    match scope {
        Scope::History { until } => Scope::History { until: until.min(Day::in_beijing(time).previous()) },
        Scope::Window { .. } | Scope::Day { .. } | Scope::Refunds => scope,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::Feed;
    use crate::model::promoter::Promoter;
    use crate::model::row::{RowFault, RowKind};
    use crate::model::time::UnixMillis;

    const NOON: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing
    const DAY: i64 = 24 * 3600;
    const LESS: Scope = Scope::Window { feed: Feed::Touches, begin: NOON, end: UnixTime(NOON.0 + 60) };

    fn touch(time: UnixTime) -> ReadRow {
        ReadRow { raw: Box::default(), content: Ok(Row::sample(RowKind::Touch, time)) }
    }

    fn order(paid_time: UnixTime) -> ReadRow {
        ReadRow { raw: Box::default(), content: Ok(Row::sample(RowKind::Order, paid_time)) }
    }

    fn unreadable() -> ReadRow {
        let fault = RowFault { reason: "not_json", detail: String::new() };
        ReadRow { raw: Box::default(), content: Err(fault) }
    }

    /// Of a scope that begins at noon and lasts for 100 s, with a bound after 60.
    fn part(rows: Vec<ReadRow>, is_whole: bool) -> Option<(Scope, usize)> {
        let scope = Scope::Window { feed: Feed::Touches, begin: NOON, end: NOON.plus(100) };
        let part = WindowBound { before: NOON.plus(60), less: LESS }.part(scope, rows, is_whole)?;
        Some((part.scope, part.rows.len()))
    }

    #[test]
    fn rows_behind_the_bound_are_left_out_and_the_scope_ends_before_the_first_of_them() {
        let until = |seconds| Scope::Window { feed: Feed::Touches, begin: NOON, end: NOON.plus(seconds) };
        let at = |seconds| touch(NOON.plus(seconds));
        assert_eq!(part(vec![at(0), at(59)], true), Some((until(100), 2)));
        assert_eq!(part(vec![at(90), at(59), at(60)], true), Some((until(60), 1)));
        assert_eq!(part(vec![at(90), at(80)], true), Some((until(80), 0)));
        assert_eq!(part(vec![at(101)], true), Some((until(100), 0)));
    }

    #[test]
    fn less_is_asked_for_where_there_are_more_pages_or_a_row_has_no_time() {
        assert_eq!(part(vec![touch(NOON)], false), None);
        assert_eq!(part(vec![touch(NOON), unreadable()], true), None);
    }

    #[test]
    fn of_all_orders_the_days_are_complete_before_that_under_which_the_first_left_out_may_be_listed() {
        let today = Day::in_beijing(NOON);
        let scope = Scope::History { until: today };
        let until = |days| Scope::History { until: Day::in_beijing(NOON.minus(days * DAY)) };
        let mut bound = HistoryBound::new(NOON.minus(20 * DAY));
        assert_eq!((bound.least(scope), bound.read(scope)), (until(21), scope));
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let mut cut = |days: &[i64]| {
            let rows = days.iter().map(|days| order(NOON.minus(days * DAY))).chain([unreadable()]).collect();
            let mut page = PageFacts::read(&promoter, scope, NOON, UnixMillis(0), rows);
            bound.cut(&mut page);
            (page.facts.len(), page.dead_rows.len(), bound.read(scope))
        };
        assert_eq!(cut(&[21, 2]), (1, 1, until(3)));
        assert_eq!(cut(&[10, 30]), (1, 1, until(11)));
        assert_eq!(cut(&[5]), (0, 1, until(11)));
    }
}
