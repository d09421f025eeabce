//! Of which facts of a feed it is certain that they must be published.

use serde::Serialize;

use crate::model::cursor::Cursor;
use crate::model::feed::{Feed, PulledBy};
use crate::model::scope::Scope;
use crate::model::time::{Day, UnixTime};

/// A feed that has begun, and the times for which it can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgedFeed {
    pub feed: Feed,
    /// Inclusive. Never before the feed's start.
    pub from: UnixTime,
    /// Exclusive. Never beyond what is complete.
    pub to: UnixTime,
}

impl JudgedFeed {
    /// Nothing where no time from `from` up to `to` can be judged: the feed is not polled, begins later, or is not complete so
    /// far.
    pub fn new(feed: Feed, cursor: Cursor, from: UnixTime, to: UnixTime) -> Option<JudgedFeed> {
        let judged = JudgedFeed { feed, from: from.max(cursor.start), to: to.min(cursor.complete_before) };
        (cursor.polled && judged.from < judged.to).then_some(judged)
    }

    pub fn holds(&self, time: UnixTime) -> bool {
        (self.from..self.to).contains(&time)
    }

    /// What has to be asked to be shown all of them.
    pub fn scopes(&self) -> Vec<Scope> {
        match self.feed.pulled_by() {
            PulledBy::Window => vec![Scope::Window { feed: self.feed, begin: self.from, end: self.to }],
            PulledBy::Promoter => vec![Scope::Refunds],
            PulledBy::Day => self.days().into_iter().map(Scope::day).collect(),
        }
    }

    /// Those under which an order of these times may be listed: the day before its own where the upstream's days are UTC's, and
    /// the day after.
    fn days(&self) -> Vec<Day> {
        let last = Day::in_beijing(self.to.minus(1)).next();
        let mut days = vec![Day::in_beijing(self.from).previous()];
        while let Some(day) = days.last().filter(|day| **day < last).map(|day| day.next()) {
            days.push(day);
        }
        days
    }

    /// How many calls that takes at least.
    pub fn calls_min(&self) -> u64 {
        self.scopes().len() as u64
    }
}

/// For the report.
#[derive(Debug, Serialize)]
pub struct JudgedTimes {
    pub feed: &'static str,
    pub from: String,
    pub to: String,
}

impl From<&JudgedFeed> for JudgedTimes {
    fn from(JudgedFeed { feed, from, to }: &JudgedFeed) -> JudgedTimes {
        JudgedTimes { feed: feed.name(), from: from.to_string(), to: to.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2022-11-17 00:00 in Beijing.
    const MIDNIGHT: UnixTime = UnixTime(1_668_614_400);
    const DAY: i64 = 86_400;

    fn cursor(start: UnixTime, complete_before: UnixTime) -> Cursor {
        Cursor { start, complete_before, polled: true, history_seen: true }
    }

    #[test]
    fn only_what_must_be_published_is_judged() {
        let cursor = cursor(MIDNIGHT, MIDNIGHT.plus(DAY));
        let judged = |from: i64, to: i64| {
            let judged = JudgedFeed::new(Feed::Touches, cursor, MIDNIGHT.plus(from), MIDNIGHT.plus(to))?;
            Some((judged.from.0 - MIDNIGHT.0, judged.to.0 - MIDNIGHT.0))
        };
        assert_eq!(judged(-DAY, 10), Some((0, 10)));
        assert_eq!(judged(10, 2 * DAY), Some((10, DAY)));
        assert_eq!(judged(DAY, 2 * DAY), None);
        assert_eq!(judged(-DAY, 0), None);
        let memory = Cursor { polled: false, ..cursor };
        assert_eq!(JudgedFeed::new(Feed::Refunds, memory, MIDNIGHT, MIDNIGHT.plus(10)), None);
    }

    #[test]
    fn an_order_is_looked_for_under_its_day_and_its_neighbours() {
        let cursor = cursor(MIDNIGHT, MIDNIGHT.plus(9 * DAY));
        let judged = JudgedFeed::new(Feed::Orders, cursor, MIDNIGHT, MIDNIGHT.plus(DAY)).unwrap();
        let days: Vec<u32> = judged.days().into_iter().map(Day::as_yyyymmdd).collect();
        assert_eq!(days, [20_221_116, 20_221_117, 20_221_118]);
        assert_eq!(judged.calls_min(), 3);
    }
}
