//! The paths of the interfaces that the world has.

use crate::simulator::pages::data_request::DataCall;

pub const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
pub const CLASSIC_TOKEN: &str = "/cgi-bin/token";
pub const QUOTA: &str = "/cgi-bin/openapi/quota/get";

/// Those that need a token and have data.
#[derive(Clone, Copy)]
pub enum DataPath {
    Rows(DataCall),
    Material,
    Promoter,
}

impl DataPath {
    pub const ALL: [DataPath; 4] =
        [DataPath::Rows(DataCall::Relation), DataPath::Rows(DataCall::Order), DataPath::Material, DataPath::Promoter];

    pub fn of(path: &str) -> Option<DataPath> {
        DataPath::ALL.into_iter().find(|data| data.text() == path)
    }

    pub fn text(self) -> &'static str {
        match self {
            DataPath::Rows(DataCall::Relation) => "/promoter/getrelation",
            DataPath::Rows(DataCall::Order) => "/promoter/getorder",
            DataPath::Material => "/promoter/getsharematerial",
            DataPath::Promoter => "/promoter/getpromoter",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::Interface;

    #[test]
    fn the_world_has_every_interface_that_is_called() {
        for interface in Interface::ALL {
            assert!(DataPath::of(interface.path()).is_some(), "{interface}");
        }
    }
}
