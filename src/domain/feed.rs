//! What is polled for a promoter.

use std::fmt;

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

/// An interface of the upstream that the connector polls; quotas and holds are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    GetRelation,
    GetOrder,
}

impl Interface {
    pub const ALL: [Interface; 2] = [Interface::GetRelation, Interface::GetOrder];

    pub fn name(self) -> &'static str {
        match self {
            Interface::GetRelation => "getrelation",
            Interface::GetOrder => "getorder",
        }
    }

    /// The path below the host, which is also the `cgi_path` of a quota question.
    pub fn path(self) -> &'static str {
        match self {
            Interface::GetRelation => "/promoter/getrelation",
            Interface::GetOrder => "/promoter/getorder",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
