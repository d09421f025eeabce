//! `[feeds.…]` and, over it, `[apps.feeds.…]`: how each feed is polled.

use std::time::Duration;

use super::reader::document::Value;
use super::reader::problem::Mistake;
use super::reader::quantity::duration;
use super::reader::section::Section;
use super::reader::value::{boolean, quoted};
use crate::model::feed::{Feed, StartFrom};

/// How one feed of one app is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    pub enabled: bool,
    /// The pace of an active promoter; at least 100 ms.
    pub every: Duration,
    /// The pace that a quiet promoter slows down to; never shorter than `every`.
    pub idle_every: Duration,
    /// How far behind its cursor the feed still looks; at least 1 s. For orders, counted from the end of the day.
    pub lateness: Duration,
    pub start_from: StartFrom,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feeds {
    pub touches: FeedSettings,
    pub orders: FeedSettings,
    pub refunds: FeedSettings,
}

impl Feeds {
    pub fn of(&self, feed: Feed) -> &FeedSettings {
        match feed {
            Feed::Touches => &self.touches,
            Feed::Orders => &self.orders,
            Feed::Refunds => &self.refunds,
        }
    }

    /// The feeds that are polled at all.
    pub fn enabled(&self) -> impl Iterator<Item = Feed> {
        Feed::ALL.into_iter().filter(|feed| self.of(*feed).enabled)
    }
}

/// Settings while they are layered: where a feed starts may depend on another feed, so it is settled last.
#[derive(Clone)]
struct Draft {
    enabled: bool,
    every: Duration,
    idle_every: Duration,
    lateness: Duration,
    start_from: Option<StartFrom>,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Draft {
    fn default_of(feed: Feed) -> Draft {
        let (every, idle_every, lateness) = match feed {
            Feed::Touches => (MINUTE, 15 * MINUTE, 10 * MINUTE),
            Feed::Orders => (MINUTE, 15 * MINUTE, 12 * HOUR),
            Feed::Refunds => (HOUR, 6 * HOUR, 7 * DAY),
        };
        Draft { enabled: true, every, idle_every, lateness, start_from: None }
    }

    /// What `section` says, over `base`.
    fn read(mut section: Section, base: &Draft) -> Draft {
        let draft = Draft {
            enabled: section.or("enabled", base.enabled, boolean),
            every: section.or("every", base.every, duration("100ms", "30d")),
            idle_every: section.or("idle_every", base.idle_every, duration("100ms", "30d")),
            lateness: section.or("lateness", base.lateness, duration("1s", "400d")),
            start_from: section.optional("start_from", start_from).or(base.start_from),
        };
        if (section.has("every") || section.has("idle_every")) && draft.idle_every < draft.every {
            let what = "is shorter than every, the pace it is to slow down from";
            section.problem("idle_every", Mistake::new(what, "write one that is at least as long"));
        }
        section.end();
        draft
    }

    fn settle(&self, start_from: StartFrom) -> FeedSettings {
        let Draft { enabled, every, idle_every, lateness, .. } = *self;
        FeedSettings { enabled, every, idle_every, lateness, start_from }
    }
}

/// All feeds while they are layered.
pub struct FeedDrafts {
    touches: Draft,
    orders: Draft,
    refunds: Draft,
}

impl FeedDrafts {
    pub fn defaults() -> FeedDrafts {
        FeedDrafts {
            touches: Draft::default_of(Feed::Touches),
            orders: Draft::default_of(Feed::Orders),
            refunds: Draft::default_of(Feed::Refunds),
        }
    }

    /// What `section` says, over `self`.
    pub fn overridden_by(&self, mut section: Section) -> FeedDrafts {
        let drafts = FeedDrafts {
            touches: Draft::read(section.section("touches"), &self.touches),
            orders: Draft::read(section.section("orders"), &self.orders),
            refunds: Draft::read(section.section("refunds"), &self.refunds),
        };
        section.end();
        drafts
    }

    /// Refunds start where orders do, unless they were told otherwise.
    pub fn settle(&self) -> Feeds {
        let orders_start = self.orders.start_from.unwrap_or(StartFrom::Now);
        Feeds {
            touches: self.touches.settle(self.touches.start_from.unwrap_or(StartFrom::Now)),
            orders: self.orders.settle(orders_start),
            refunds: self.refunds.settle(self.refunds.start_from.unwrap_or(orders_start)),
        }
    }
}

fn start_from(value: &Value) -> Result<StartFrom, Mistake> {
    let text = match value {
        Value::Time(text) => text,
        value => quoted(value)?,
    };
    text.parse().map_err(|_| Mistake::new("is no start", START_FROM_REMEDY))
}

pub const START_FROM_REMEDY: &str =
    "write \"now\", \"earliest\" or a time with its offset such as \"2026-01-01T00:00:00+08:00\"";
