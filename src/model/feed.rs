//! What is polled for a promoter.

use std::fmt;
use std::ops::{Index, IndexMut};
use std::str::FromStr;

use crate::model::time::UnixTime;

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

impl Feed {
    pub const ALL: [Feed; 3] = [Feed::Touches, Feed::Orders, Feed::Refunds];

    pub fn name(self) -> &'static str {
        match self {
            Feed::Touches => "touches",
            Feed::Orders => "orders",
            Feed::Refunds => "refunds",
        }
    }

    pub fn from_name(name: &str) -> Option<Feed> {
        Feed::ALL.into_iter().find(|feed| feed.name() == name)
    }

    /// The interface that a poll of this feed calls.
    pub fn interface(self) -> Interface {
        match self {
            Feed::Touches => Interface::GetRelation,
            Feed::Orders | Feed::Refunds => Interface::GetOrder,
        }
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerFeed<T> {
    pub touches: T,
    pub orders: T,
    pub refunds: T,
}

impl<T> PerFeed<T> {
    pub fn new(mut of: impl FnMut(Feed) -> T) -> PerFeed<T> {
        PerFeed { touches: of(Feed::Touches), orders: of(Feed::Orders), refunds: of(Feed::Refunds) }
    }

    /// In the order of [`Feed::ALL`].
    pub fn values(&self) -> impl Iterator<Item = &T> {
        [&self.touches, &self.orders, &self.refunds].into_iter()
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        [&mut self.touches, &mut self.orders, &mut self.refunds].into_iter()
    }
}

impl<T> Index<Feed> for PerFeed<T> {
    type Output = T;

    fn index(&self, feed: Feed) -> &T {
        match feed {
            Feed::Touches => &self.touches,
            Feed::Orders => &self.orders,
            Feed::Refunds => &self.refunds,
        }
    }
}

impl<T> IndexMut<Feed> for PerFeed<T> {
    fn index_mut(&mut self, feed: Feed) -> &mut T {
        match feed {
            Feed::Touches => &mut self.touches,
            Feed::Orders => &mut self.orders,
            Feed::Refunds => &mut self.refunds,
        }
    }
}

/// An interface of the upstream that the connector calls; quotas and holds are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    GetRelation,
    GetOrder,
    /// Called on command only; no feed polls it.
    GetShareMaterial,
}

impl Interface {
    pub const ALL: [Interface; 3] = [Interface::GetRelation, Interface::GetOrder, Interface::GetShareMaterial];

    pub fn name(self) -> &'static str {
        match self {
            Interface::GetRelation => "getrelation",
            Interface::GetOrder => "getorder",
            Interface::GetShareMaterial => "getsharematerial",
        }
    }

    /// The path below the host, which is also the `cgi_path` of a quota question.
    pub fn path(self) -> &'static str {
        match self {
            Interface::GetRelation => "/promoter/getrelation",
            Interface::GetOrder => "/promoter/getorder",
            Interface::GetShareMaterial => "/promoter/getsharematerial",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerInterface<T> {
    pub get_relation: T,
    pub get_order: T,
    pub get_share_material: T,
}

impl<T> PerInterface<T> {
    pub fn new(mut of: impl FnMut(Interface) -> T) -> PerInterface<T> {
        PerInterface {
            get_relation: of(Interface::GetRelation),
            get_order: of(Interface::GetOrder),
            get_share_material: of(Interface::GetShareMaterial),
        }
    }

    /// In the order of [`Interface::ALL`].
    pub fn values(&self) -> impl Iterator<Item = &T> {
        [&self.get_relation, &self.get_order, &self.get_share_material].into_iter()
    }
}

impl<T> Index<Interface> for PerInterface<T> {
    type Output = T;

    fn index(&self, interface: Interface) -> &T {
        match interface {
            Interface::GetRelation => &self.get_relation,
            Interface::GetOrder => &self.get_order,
            Interface::GetShareMaterial => &self.get_share_material,
        }
    }
}

impl<T> IndexMut<Interface> for PerInterface<T> {
    fn index_mut(&mut self, interface: Interface) -> &mut T {
        match interface {
            Interface::GetRelation => &mut self.get_relation,
            Interface::GetOrder => &mut self.get_order,
            Interface::GetShareMaterial => &mut self.get_share_material,
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

    /// Without a field a new feed does not compile; without its place here this does not.
    #[test]
    fn every_feed_has_its_field_and_its_place() {
        let mut all = PerFeed::new(|feed| feed);
        let PerFeed { touches, orders, refunds } = all;
        assert_eq!([touches, orders, refunds], Feed::ALL);
        assert!(all.values().eq(&Feed::ALL) && all.values_mut().map(|feed| *feed).eq(Feed::ALL));
        for feed in Feed::ALL {
            assert_eq!((all[feed], Feed::from_name(feed.name())), (feed, Some(feed)));
            assert!(Interface::ALL.contains(&feed.interface()), "{feed}");
        }
    }

    #[test]
    fn every_interface_has_its_field_and_its_place() {
        let all = PerInterface::new(|interface| interface);
        let PerInterface { get_relation, get_order, get_share_material } = all;
        assert_eq!([get_relation, get_order, get_share_material], Interface::ALL);
        assert!(all.values().eq(&Interface::ALL));
        assert!(Interface::ALL.into_iter().all(|interface| all[interface] == interface));
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
