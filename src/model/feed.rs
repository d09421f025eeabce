//! What is polled for a promoter.

use std::fmt;
use std::str::FromStr;

use super::per::one_value_for_each;
use super::time::UnixTime;

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

impl Feed {
    pub fn name(self) -> &'static str {
        match self {
            Feed::Touches => "touches",
            Feed::Orders => "orders",
            Feed::Refunds => "refunds",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Feed> {
        Feed::ALL.into_iter().find(|feed| feed.name() == name)
    }

    /// The interface that a poll of this feed calls.
    pub fn interface(self) -> Interface {
        match self {
            Feed::Touches => Interface::GetRelation,
            Feed::Orders | Feed::Refunds => Interface::GetOrder,
        }
    }

    /// Where the events of its facts go.
    pub fn topic(self) -> EventTopic {
        match self {
            Feed::Touches => EventTopic::Touches,
            Feed::Orders | Feed::Refunds => EventTopic::Orders,
        }
    }

    /// Which stretch of a promoter's time one pull of it covers.
    pub(crate) fn pulled_by(self) -> PulledBy {
        match self {
            Feed::Touches => PulledBy::Window,
            Feed::Orders => PulledBy::Day,
            Feed::Refunds => PulledBy::Promoter,
        }
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

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An interface of the upstream that the connector calls; quotas and breakers are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    GetRelation,
    GetOrder,
    GetShareMaterial,
    GetPromoter,
}

/// Who calls an interface; nobody else does. All instances share its budget by what they own for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceCaller {
    /// For the promoters of the shards that an instance owns.
    Polls,
    /// For the requests in the partitions that it owns.
    Requests,
    /// Where it owns the one shard whose owner discovers.
    Discovery,
}

impl Interface {
    pub fn name(self) -> &'static str {
        match self {
            Interface::GetRelation => "getrelation",
            Interface::GetOrder => "getorder",
            Interface::GetShareMaterial => "getsharematerial",
            Interface::GetPromoter => "getpromoter",
        }
    }

    pub(crate) fn called_by(self) -> InterfaceCaller {
        match self {
            Interface::GetRelation | Interface::GetOrder => InterfaceCaller::Polls,
            Interface::GetShareMaterial => InterfaceCaller::Requests,
            Interface::GetPromoter => InterfaceCaller::Discovery,
        }
    }

    /// Whether feeds are polled by it.
    pub(crate) fn is_polled(self) -> bool {
        self.called_by() == InterfaceCaller::Polls
    }

    /// Whether it lists rows, page by page: where it says that there is no data, the pages are over.
    pub(crate) fn lists_rows(self) -> bool {
        match self {
            Interface::GetRelation | Interface::GetOrder | Interface::GetPromoter => true,
            Interface::GetShareMaterial => false,
        }
    }

    /// The path below the host, which is also the `cgi_path` of a quota request.
    pub fn path(self) -> &'static str {
        match self {
            Interface::GetRelation => "/promoter/getrelation",
            Interface::GetOrder => "/promoter/getorder",
            Interface::GetShareMaterial => "/promoter/getsharematerial",
            Interface::GetPromoter => "/promoter/getpromoter",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

one_value_for_each! {
    /// One value for each interface.
    PerInterface of Interface {
        get_relation: GetRelation,
        get_order: GetOrder,
        get_share_material: GetShareMaterial,
        get_promoter: GetPromoter
    }
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
}

/// Where a feed begins when nothing is known of it yet. Inclusive, by the fact's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartFrom {
    /// The moment of the feed's first start.
    Now,
    /// The first instant the upstream knows anything about: `UnixTime::EARLIEST`.
    Earliest,
    /// Never before `UnixTime::EARLIEST`.
    At(UnixTime),
}

/// Why a text is no `StartFrom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither now, earliest nor a time with its offset such as 2026-01-01T00:00:00+08:00")]
pub struct InvalidStartFrom;

impl FromStr for StartFrom {
    type Err = InvalidStartFrom;

    /// Reads `now`, `earliest` or an RFC 3339 time. A fraction of a second begins at the next whole one.
    fn from_str(text: &str) -> Result<StartFrom, InvalidStartFrom> {
        match text {
            "now" => Ok(StartFrom::Now),
            "earliest" => Ok(StartFrom::Earliest),
            _ => {
                let timestamp: jiff::Timestamp = text.parse().map_err(|_| InvalidStartFrom)?;
                let seconds = timestamp.as_second() + i64::from(timestamp.subsec_nanosecond() > 0);
                Ok(StartFrom::At(UnixTime(seconds).max(UnixTime::EARLIEST)))
            }
        }
    }
}

impl fmt::Display for StartFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartFrom::Now => f.write_str("now"),
            StartFrom::Earliest => f.write_str("earliest"),
            StartFrom::At(time) => write!(f, "{time}"),
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
    fn what_feeds_call_is_polled() {
        assert!(Feed::ALL.into_iter().all(|feed| feed.interface().is_polled()));
    }

    #[test]
    fn a_start_is_now_the_earliest_or_a_time_with_its_offset() {
        assert_eq!("now".parse(), Ok(StartFrom::Now));
        assert_eq!("earliest".parse(), Ok(StartFrom::Earliest));
        assert_eq!("2022-11-17T00:00:00+08:00".parse(), Ok(StartFrom::At(UnixTime(1_668_614_400))));
        assert_eq!("2022-11-16T16:00:00Z".parse(), Ok(StartFrom::At(UnixTime(1_668_614_400))));
        for text in ["", "Now", "yesterday", "2022-11-17", "2022-11-17T00:00:00"] {
            assert_eq!(text.parse::<StartFrom>(), Err(InvalidStartFrom), "{text}");
        }
    }

    #[test]
    fn a_start_within_a_second_leaves_that_second_out() {
        assert_eq!("2022-11-16T16:00:00.001Z".parse(), Ok(StartFrom::At(UnixTime(1_668_614_401))));
    }

    #[test]
    fn no_start_lies_before_the_upstreams_own_beginning() {
        assert_eq!("1970-01-01T00:00:00Z".parse(), Ok(StartFrom::At(UnixTime::EARLIEST)));
    }

    #[test]
    fn a_start_is_read_back_as_it_is_shown() {
        for start in [StartFrom::Now, StartFrom::Earliest, StartFrom::At(UnixTime(1_668_614_400))] {
            assert_eq!(start.to_string().parse(), Ok(start));
        }
    }
}
