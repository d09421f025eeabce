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

/// Why nothing of a feed can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unjudged {
    NotBegun,
    NotPolled,
    BeginsAt(UnixTime),
    CompleteTo(UnixTime),
}

impl Unjudged {
    /// In words, with its time as `shown` has it.
    pub fn in_words(self, shown: impl Fn(UnixTime) -> String) -> String {
        match self {
            Unjudged::NotBegun => "it has not begun, or is not polled".to_owned(),
            Unjudged::NotPolled => "it is not polled".to_owned(),
            Unjudged::BeginsAt(start) => format!("it begins at {} only", shown(start)),
            Unjudged::CompleteTo(time) => format!("it is complete to {} only", shown(time)),
        }
    }
}

impl JudgedFeed {
    /// # Errors
    /// [`Unjudged`] where no time from `from` up to `to` can be judged. A feed that has not begun has no cursor.
    pub fn new(feed: Feed, cursor: Option<Cursor>, from: UnixTime, to: UnixTime) -> Result<JudgedFeed, Unjudged> {
        let Cursor { start, complete_before, polled, .. } = cursor.ok_or(Unjudged::NotBegun)?;
        let judged = JudgedFeed { feed, from: from.max(start), to: to.min(complete_before) };
        match judged {
            _ if !polled => Err(Unjudged::NotPolled),
            _ if to <= start => Err(Unjudged::BeginsAt(start)),
            JudgedFeed { from, to, .. } if from >= to => Err(Unjudged::CompleteTo(complete_before)),
            judged => Ok(judged),
        }
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
            let judged = JudgedFeed::new(Feed::Touches, Some(cursor), MIDNIGHT.plus(from), MIDNIGHT.plus(to))?;
            Ok((judged.from.0 - MIDNIGHT.0, judged.to.0 - MIDNIGHT.0))
        };
        assert_eq!(judged(-DAY, 10), Ok((0, 10)));
        assert_eq!(judged(10, 2 * DAY), Ok((10, DAY)));
        assert_eq!(judged(DAY, 2 * DAY), Err(Unjudged::CompleteTo(MIDNIGHT.plus(DAY))));
        assert_eq!(judged(-DAY, 0), Err(Unjudged::BeginsAt(MIDNIGHT)));
        let of_refunds = |cursor| JudgedFeed::new(Feed::Refunds, cursor, MIDNIGHT, MIDNIGHT.plus(10));
        let memory = Cursor { polled: false, ..cursor };
        assert_eq!(of_refunds(Some(memory)), Err(Unjudged::NotPolled));
        assert_eq!(of_refunds(None), Err(Unjudged::NotBegun));
    }

    #[test]
    fn an_order_is_looked_for_under_its_day_and_its_neighbours() {
        let cursor = cursor(MIDNIGHT, MIDNIGHT.plus(9 * DAY));
        let judged = JudgedFeed::new(Feed::Orders, Some(cursor), MIDNIGHT, MIDNIGHT.plus(DAY)).unwrap();
        let days: Vec<u32> = judged.days().into_iter().map(Day::as_yyyymmdd).collect();
        assert_eq!(days, [20_221_116, 20_221_117, 20_221_118]);
        assert_eq!(judged.calls_min(), 3);
    }
}
