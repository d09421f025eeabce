//! What is polled for a promoter, and what each feed is.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::per::one_value_for_each;
use super::row::RowKind;

pub use interface::{Interface, InterfaceCaller, PerInterface};
pub use start_from::{InvalidStartFrom, StartFrom};

mod interface;
mod start_from;

/// One thing polled for one promoter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    /// `getrelation`: users who entered the Mini Program through the promoter's material.
    Touches,
    /// `getorder` by payment date: payments, and the refunds met on the way.
    Orders,
    /// `getorder` with status 2 and no date: every refund of the promoter.
    Refunds,
}

one_value_for_each! {
    /// One value for each feed.
    PerFeed of Feed { touches: Touches, orders: Orders, refunds: Refunds }
}

/// A text that is the name of none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write {}", Feed::names())]
pub struct NoFeed;

impl FromStr for Feed {
    type Err = NoFeed;

    fn from_str(name: &str) -> Result<Feed, NoFeed> {
        Feed::from_name(name).ok_or(NoFeed)
    }
}

/// What tells one feed from another. Whatever can be done for every feed alike goes by this, and names none of them; what its
/// facts are, and how they are compared, stands with the facts.
#[derive(Clone, Copy, Debug)]
struct FeedProperties {
    name: &'static str,
    word: &'static str,
    interface: Interface,
    topic: EventTopic,
    pulled_by: PulledBy,
    rarity: f64,
    defaults: FeedDefaults,
}

/// How a feed is polled where its configuration says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeedDefaults {
    pub every: Duration,
    pub idle_every: Duration,
    pub lateness: Duration,
    /// The feed with whose configured beginning it begins.
    pub starts_with: Option<Feed>,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

static PROPERTIES: PerFeed<FeedProperties> = PerFeed {
    touches: FeedProperties {
        name: "touches",
        word: "TOUCHES",
        interface: Interface::GetRelation,
        topic: EventTopic::Touches,
        pulled_by: PulledBy::Window,
        rarity: 1.0,
        defaults: FeedDefaults {
            every: MINUTE,
            idle_every: MINUTE.saturating_mul(15),
            lateness: MINUTE.saturating_mul(10),
            starts_with: None,
        },
    },
    orders: FeedProperties {
        name: "orders",
        word: "ORDERS",
        interface: Interface::GetOrder,
        topic: EventTopic::Orders,
        pulled_by: PulledBy::Day,
        rarity: 1.0,
        defaults: FeedDefaults {
            every: MINUTE,
            idle_every: MINUTE.saturating_mul(15),
            lateness: HOUR.saturating_mul(12),
            starts_with: None,
        },
    },
    refunds: FeedProperties {
        name: "refunds",
        word: "REFUNDS",
        interface: Interface::GetOrder,
        topic: EventTopic::Orders,
        pulled_by: PulledBy::Promoter,
        // Of twenty payments one is refunded.
        rarity: 20.0,
        defaults: FeedDefaults {
            every: HOUR,
            idle_every: HOUR.saturating_mul(6),
            lateness: DAY.saturating_mul(7),
            starts_with: Some(Feed::Orders),
        },
    },
};

impl Feed {
    /// In the configuration, the state, metrics, logs and answers.
    pub fn name(self) -> &'static str {
        PROPERTIES[self].name
    }

    pub(crate) fn from_name(name: &str) -> Option<Feed> {
        Feed::ALL.into_iter().find(|feed| feed.name() == name)
    }

    /// All names, for a sentence that tells what may be written: `touches, orders or refunds`.
    pub(crate) fn names() -> String {
        let [first @ .., last] = Feed::ALL.map(Feed::name);
        format!("{} or {last}", first.join(", "))
    }

    /// In records of the registry of promoters: the name in capital letters.
    pub(crate) fn word(self) -> &'static str {
        PROPERTIES[self].word
    }

    /// The interface that a poll of this feed calls.
    pub fn interface(self) -> Interface {
        PROPERTIES[self].interface
    }

    /// Where the events of its facts go.
    pub fn topic(self) -> EventTopic {
        PROPERTIES[self].topic
    }

    /// What its pages show.
    pub(crate) fn rows(self) -> RowKind {
        self.topic().rows()
    }

    /// Which stretch of a promoter's time one pull of it covers.
    pub(crate) fn pulled_by(self) -> PulledBy {
        PROPERTIES[self].pulled_by
    }

    /// Of so many touches or payments one fact of it is assumed, where its cost is estimated.
    pub(crate) fn rarity(self) -> f64 {
        PROPERTIES[self].rarity
    }

    pub(crate) fn defaults(self) -> FeedDefaults {
        PROPERTIES[self].defaults
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which stretch of a promoter's time one pull covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PulledBy {
    /// Seconds that the pull names.
    Window,
    /// A day by the calendar of the upstream, or all of them.
    Day,
    /// All of it, in each pull.
    Promoter,
}

/// A topic of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventTopic {
    Touches,
    /// Payments and refunds.
    Orders,
}

one_value_for_each! {
    /// One value for each topic of events.
    PerEventTopic of EventTopic { touches: Touches, orders: Orders }
}

impl EventTopic {
    /// Its key in the configuration, and what its usual name ends with.
    pub fn name(self) -> &'static str {
        match self {
            EventTopic::Touches => "touches",
            EventTopic::Orders => "orders",
        }
    }

    /// What its events are made of.
    pub(crate) fn rows(self) -> RowKind {
        match self {
            EventTopic::Touches => RowKind::Touch,
            EventTopic::Orders => RowKind::Order,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feed_is_found_by_its_name() {
        for feed in Feed::ALL {
            assert_eq!(Feed::from_name(feed.name()), Some(feed));
        }
    }

    #[test]
    fn the_registrys_word_of_every_feed_is_its_name_in_capitals() {
        for feed in Feed::ALL {
            assert_eq!(feed.word(), feed.name().to_ascii_uppercase());
        }
    }

    #[test]
    fn what_feeds_call_is_polled() {
        assert!(Feed::ALL.into_iter().all(|feed| feed.interface().is_polled()));
    }
}
