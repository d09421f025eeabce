//! A small upstream: rows, each shown from a moment on.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use promoter_connector::model::pull::PageRequest;
use promoter_connector::model::row::{Payment, ReadRow, Row, RowFault, Touch};
use promoter_connector::model::scope::Scope;
use promoter_connector::model::time::{Day, UnixTime};

use super::connector::LATENESS;

pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;
pub const START: UnixTime = UnixTime(1_668_657_600); // 2022-11-17 12:00 in Beijing

/// Whose day a date is.
#[derive(Clone, Copy, Debug)]
pub enum Zone {
    Beijing,
    Utc,
}

impl Zone {
    fn day(self, time: UnixTime) -> Day {
        match self {
            Zone::Beijing => Day::in_beijing(time),
            Zone::Utc => Day::in_utc(time),
        }
    }

    fn end(self, day: Day) -> UnixTime {
        match self {
            Zone::Beijing => day.beijing_end(),
            Zone::Utc => day.utc_end(),
        }
    }
}

/// Under which dates an order is listed.
#[derive(Clone, Copy, Debug)]
pub enum Listed {
    ItsDay,
    TheNextToo,
    TheOneBeforeToo,
    TheNextAlone,
}

impl Listed {
    fn under(self, date: Day, its: Day) -> bool {
        match self {
            Listed::ItsDay => date == its,
            Listed::TheNextToo => date == its || date == its.next(),
            Listed::TheOneBeforeToo => date == its || date == its.previous(),
            Listed::TheNextAlone => date == its.next(),
        }
    }

    /// Until when an order must be shown first, by what is promised.
    pub fn latest_observation(self, zone: Zone, paid: i64) -> i64 {
        let its = zone.day(UnixTime(paid));
        let first = if matches!(self, Listed::TheNextAlone) { its.next() } else { its };
        zone.end(first).0 + LATENESS.orders
    }
}

/// When a refund's row has its time.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    AtOnce,
    /// That many seconds after it was first shown.
    Later(i64),
    Never,
}

#[derive(Clone, Debug)]
pub struct Shown {
    pub visible: i64,
    pub row: Row,
    pub readable: bool,
    pub listed: Listed,
    /// From when on a refund has its time.
    pub told_at: i64,
}

impl Shown {
    pub fn new(visible: i64, row: Row) -> Shown {
        Shown { visible, row, readable: true, listed: Listed::ItsDay, told_at: i64::MIN }
    }

    fn read(&self, now: i64) -> ReadRow {
        let mut row = self.row.clone();
        if let Row::Order(_, payment) = &mut row
            && now < self.told_at
        {
            payment.refunded_time = None;
        }
        let raw = format!("{:?}", self.row).into_bytes().into_boxed_slice();
        let fault = RowFault { reason: "missing_openid", detail: String::new() };
        ReadRow { raw, content: if self.readable { Ok(row) } else { Err(fault) } }
    }
}

pub fn touch(number: usize, time: i64) -> Row {
    Row::Touch(UnixTime(time), user(number))
}

fn user(number: usize) -> Touch {
    Touch { openid: format!("u{number}"), ..Touch::default() }
}

pub fn order(number: usize, paid: i64) -> Row {
    let payment = Payment {
        mch_id: "m".into(),
        trade_no: format!("t{number}"),
        out_trade_no: None,
        create_time: Some(UnixTime(paid)),
        status_code: 1,
        paid_amount: 1,
        paid_time: UnixTime(paid),
        refunded_time: None,
    };
    Row::Order(user(number), payment)
}

/// One refund of an order.
pub struct RefundRow {
    time: i64,
    visible: i64,
    told_at: i64,
}

/// The row with the refund stands beside the one without: harder than a row that changes.
pub fn refund(number: usize, paid: i64, RefundRow { time, visible, told_at }: RefundRow) -> Shown {
    let mut row = order(number, paid);
    if let Row::Order(_, payment) = &mut row {
        payment.status_code = 2;
        payment.refunded_time = Some(UnixTime(time));
    }
    Shown { told_at, ..Shown::new(visible, row) }
}

/// How an order is refunded.
pub struct RefundPlan {
    pub paid: i64,
    /// When the order itself is shown.
    pub shown_at: i64,
    pub after: i64,
    /// Which part of the lateness passes until it is shown.
    pub late: f64,
    pub told: Told,
    /// Whether there is a second refund, and how long after the first.
    pub twice: bool,
    pub again_after: i64,
}

impl RefundPlan {
    /// A refund of an order from before the start is history or not by when it is first polled, so its time is told. One
    /// of two whose time is never told is not to be told from the other.
    pub fn refunds(&self) -> impl Iterator<Item = RefundRow> {
        let time = self.paid + self.after;
        let visible = |time: i64| (time + (self.late * LATENESS.refunds as f64) as i64).max(self.shown_at);
        let told_at = match self.told {
            _ if self.paid < START.0 => i64::MIN,
            Told::AtOnce => i64::MIN,
            // Of two, the time is told within the lateness, or it is behind.
            Told::Later(after) if self.twice => (visible(time) + after).min(time + LATENESS.refunds - DAY),
            Told::Later(after) => visible(time) + after,
            Told::Never if self.twice => i64::MIN,
            Told::Never => i64::MAX,
        };
        let again = time + self.again_after;
        let first = RefundRow { time, visible: visible(time), told_at };
        let second = RefundRow { time: again, visible: visible(again), told_at: i64::MIN };
        [first, second].into_iter().take(if self.twice { 2 } else { 1 })
    }
}

pub struct Upstream {
    pub rows: Vec<Shown>,
    pub zone: Zone,
    pub page_rows: usize,
}

/// An answer.
pub struct Page {
    pub rows: Vec<ReadRow>,
    pub total_cnt: Option<i64>,
    pub start_id: Option<String>,
}

impl Upstream {
    /// One page at `now`: its rows in the order of the seed, in which late ones come before others and shift them. `call`
    /// makes a `start_id` new.
    pub fn page(&self, request: &PageRequest, now: i64, call: usize, order: u64) -> Page {
        let number: usize = request.start_id.as_ref().map_or(0, |id| id.split('-').next().unwrap().parse().unwrap());
        let visible = self.rows.iter().filter(|shown| shown.visible <= now && self.matches(request.scope, shown));
        let mut rows: Vec<_> = visible.map(|shown| shown.read(now)).collect();
        rows.sort_by_cached_key(|row| {
            let mut hasher = DefaultHasher::new();
            (order, &row.raw).hash(&mut hasher);
            hasher.finish()
        });
        let begin = (number * self.page_rows).min(rows.len());
        let end = (begin + self.page_rows).min(rows.len());
        let more = end < rows.len();
        Page {
            rows: rows[begin..end].to_vec(),
            total_cnt: more.then_some(1000),
            start_id: more.then(|| format!("{}-{call}", number + 1)),
        }
    }

    fn matches(&self, scope: Scope, shown: &Shown) -> bool {
        match (scope, &shown.row) {
            (Scope::Window { begin, end, .. }, Row::Touch(time, _)) => begin <= *time && *time <= end,
            (Scope::Day { day, .. }, Row::Order(_, payment)) => {
                shown.listed.under(day, self.zone.day(payment.paid_time))
            }
            (Scope::History { .. }, Row::Order(..)) => true,
            (Scope::Refunds, Row::Order(_, payment)) => payment.status_code == 2,
            _ => false,
        }
    }

    /// What must be published: everything from `from` on.
    pub fn facts(&self, from: UnixTime) -> BTreeMap<String, usize> {
        let mut facts = BTreeMap::new();
        for shown in self.rows.iter().filter(|shown| shown.readable) {
            let (name, time) = match &shown.row {
                Row::Touch(time, touch) => (format!("touch {}", touch.openid), *time),
                Row::Order(_, payment) => match payment.refunded_time {
                    Some(refunded) => (format!("refunds {}", payment.trade_no), refunded),
                    None => (format!("payment {}", payment.trade_no), payment.paid_time),
                },
            };
            let count = facts.entry(name.clone()).or_insert(0);
            // A touch that is shown twice is one.
            *count = if name.starts_with("refunds") {
                *count + usize::from(time >= from)
            } else {
                usize::from(time >= from)
            };
        }
        facts.retain(|_, count| *count > 0);
        facts
    }
}
