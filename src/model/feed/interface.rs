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

/// What an interface is, in one place.
struct InterfaceProperties {
    name: &'static str,
    path: &'static str,
    called_by: InterfaceCaller,
}

static PROPERTIES: PerInterface<InterfaceProperties> = PerInterface {
    get_relation: InterfaceProperties {
        name: "getrelation",
        path: "/promoter/getrelation",
        called_by: InterfaceCaller::Polls,
    },
    get_order: InterfaceProperties { name: "getorder", path: "/promoter/getorder", called_by: InterfaceCaller::Polls },
    get_share_material: InterfaceProperties {
        name: "getsharematerial",
        path: "/promoter/getsharematerial",
        called_by: InterfaceCaller::Requests,
    },
    get_promoter: InterfaceProperties {
        name: "getpromoter",
        path: "/promoter/getpromoter",
        called_by: InterfaceCaller::Discovery,
    },
};

impl Interface {
    pub fn name(self) -> &'static str {
        PROPERTIES[self].name
    }

    /// The path below the host, which is also the `cgi_path` of a quota request.
    pub fn path(self) -> &'static str {
        PROPERTIES[self].path
    }

    pub fn called_by(self) -> InterfaceCaller {
        PROPERTIES[self].called_by
    }

    /// Whether feeds are polled by it.
    pub(crate) fn is_polled(self) -> bool {
        self.called_by() == InterfaceCaller::Polls
    }

    /// Whether it lists rows, page by page: where it says that there is no data, the pages are over. A request is for one thing.
    pub(crate) fn lists_rows(self) -> bool {
        self.called_by() != InterfaceCaller::Requests
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
