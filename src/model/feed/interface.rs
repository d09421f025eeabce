//! What of the upstream is called.

use std::fmt;

use crate::model::per::one_value_for_each;

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
pub enum InterfaceCaller {
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

    pub fn called_by(self) -> InterfaceCaller {
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
