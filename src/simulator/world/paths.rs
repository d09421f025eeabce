//! The paths of the interfaces that the world has.

pub const RELATION: &str = "/promoter/getrelation";
pub const ORDER: &str = "/promoter/getorder";
pub const MATERIAL: &str = "/promoter/getsharematerial";
pub const PROMOTER: &str = "/promoter/getpromoter";
pub const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
pub const CLASSIC_TOKEN: &str = "/cgi-bin/token";
pub const QUOTA: &str = "/cgi-bin/openapi/quota/get";

/// Each is counted under its name, all others as one.
pub const COUNTED: [&str; 7] = [RELATION, ORDER, MATERIAL, PROMOTER, STABLE_TOKEN, CLASSIC_TOKEN, QUOTA];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::Interface;

    #[test]
    fn the_world_has_every_interface_that_is_called() {
        for interface in Interface::ALL {
            assert!(COUNTED.contains(&interface.path()), "{interface}");
        }
    }
}
