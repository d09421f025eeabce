//! How a pull of a backfill keeps to a bound, though it asks for more.
//!
//! Most of a long past holds nothing, and a call for each stretch that a bound allows would cost thousands where one tells
//! that there is nothing. So the scope may reach beyond the bound, and what its first page shows decides:
//!
//! - One page, and no row behind the bound: the scope is read. It holds nothing that would be ahead of anybody.
//! - One page, and some rows behind it: these are left out, and the scope ends before the first of them. All others have been
//!   read, so that it is as if no more had been asked for; what was left out lies behind its end, and is asked for again.
//! - Several pages, or a row whose time can't be read: nothing of the page is taken, and less is asked, up to the bound.

use super::cursor::Cursor;
use super::row::{ReadRow, Row};
use super::scope::Scope;
use super::time::{Day, UnixTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeBound {
    /// Nothing that happened then or later is taken.
    pub before: UnixTime,
    /// What is asked for in place of a scope of which more is to be read than one page.
    pub less: Scope,
}

/// The part of a scope that was read, with the rows of it.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadPart {
    pub scope: Scope,
    pub rows: Vec<ReadRow>,
}

impl ScopeBound {
    /// What is taken of the first page, which `is_whole` where no other follows. Nothing where less has to be asked for.
    pub fn part(&self, scope: Scope, cursor: &Cursor, mut rows: Vec<ReadRow>, is_whole: bool) -> Option<ReadPart> {
        let times: Option<Vec<UnixTime>> = rows.iter().map(time).collect();
        let first_left_out = times.filter(|_| is_whole)?.into_iter().filter(|time| *time >= self.before).min();
        let Some(first_left_out) = first_left_out else { return Some(ReadPart { scope, rows }) };
        let scope = before(scope, first_left_out, cursor)?;
        rows.retain(|row| time(row).is_some_and(|time| time < self.before));
        Some(ReadPart { scope, rows })
    }
}

/// The part of `scope` before a row that happened at `time`; nothing where that completes nothing.
fn before(scope: Scope, time: UnixTime, cursor: &Cursor) -> Option<Scope> {
    match scope {
        Scope::Touches { begin, end } => Some(Scope::Touches { begin, end: end.min(time) }),
        Scope::History { until } => {
            // An order may be listed under the day before its payment's.
            let until = until.min(Day::in_beijing(time).previous());
            (until > cursor.first_open_day()).then_some(Scope::History { until })
        }
        Scope::Day { .. } | Scope::Refunds => None,
    }
}

fn time(row: &ReadRow) -> Option<UnixTime> {
    match row.content.as_ref().ok()? {
        Row::Touch(time, _) => Some(*time),
        Row::Order(_, payment) => Some(payment.paid_time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::Feed;
    use crate::model::row::{Payment, RowFault, Touch};

    const NOON: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing
    const DAY: i64 = 24 * 3600;
    const LESS: Scope = Scope::Touches { begin: NOON, end: UnixTime(NOON.0 + 60) };

    fn touch(time: UnixTime) -> ReadRow {
        ReadRow { raw: Box::default(), content: Ok(Row::Touch(time, Touch::default())) }
    }

    fn order(paid_time: UnixTime) -> ReadRow {
        let payment = Payment {
            mch_id: "m".into(),
            trade_no: "t".into(),
            out_trade_no: None,
            create_time: None,
            status_code: 1,
            paid_amount: 1,
            paid_time,
            refunded_time: None,
        };
        ReadRow { raw: Box::default(), content: Ok(Row::Order(Touch::default(), payment)) }
    }

    fn unreadable() -> ReadRow {
        let fault = RowFault { reason: "not_json", detail: String::new() };
        ReadRow { raw: Box::default(), content: Err(fault) }
    }

    /// Of a scope that begins at noon and lasts for 100 s, with a bound after 60.
    fn part(rows: Vec<ReadRow>, is_whole: bool) -> Option<(Scope, usize)> {
        let scope = Scope::Touches { begin: NOON, end: NOON.plus(100) };
        let bound = ScopeBound { before: NOON.plus(60), less: LESS };
        let part = bound.part(scope, &Cursor::begin(Feed::Touches, NOON), rows, is_whole)?;
        Some((part.scope, part.rows.len()))
    }

    #[test]
    fn rows_behind_the_bound_are_left_out_and_the_scope_ends_before_the_first_of_them() {
        let until = |seconds| Scope::Touches { begin: NOON, end: NOON.plus(seconds) };
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
        let bound = ScopeBound { before: NOON.minus(20 * DAY), less: Scope::day(today) };
        let part = |behind: i64, rows| {
            let cursor = Cursor::begin(Feed::Orders, NOON.minus(behind * DAY));
            bound.part(scope, &cursor, rows, true).map(|part| (part.scope, part.rows.len()))
        };
        let rows = || vec![order(NOON.minus(21 * DAY)), order(NOON.minus(2 * DAY)), order(NOON.minus(10 * DAY))];
        let until = Day::in_beijing(NOON.minus(11 * DAY));
        assert_eq!(part(30, rows()), Some((Scope::History { until }, 1)));
        assert_eq!(part(11, rows()), None, "nothing would be complete");
        assert_eq!(part(30, vec![order(NOON)]), Some((Scope::History { until: today.previous() }, 0)));
        assert_eq!(part(30, vec![]), Some((scope, 0)));
    }
}
