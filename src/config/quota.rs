//! `[apps.quota]`: how many calls an app may spend, as far as that is known beforehand.

use std::num::NonZeroU32;

use super::reader::section::Section;
use super::reader::value::number;
use crate::model::feed::Interface;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    pub getrelation: InterfaceQuota,
    pub getorder: InterfaceQuota,
    pub getsharematerial: InterfaceQuota,
}

/// Calls of one interface. `None`: no limit known, only the upstream's own answers rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceQuota {
    pub per_minute: Option<NonZeroU32>,
    /// A day begins at midnight in Beijing.
    pub per_day: Option<NonZeroU32>,
}

impl Quota {
    pub fn read(mut section: Section) -> Quota {
        let quota = Quota {
            getrelation: InterfaceQuota::read(section.section("getrelation")),
            getorder: InterfaceQuota::read(section.section("getorder")),
            getsharematerial: InterfaceQuota::read(section.section("getsharematerial")),
        };
        section.end();
        quota
    }

    pub fn of(&self, interface: Interface) -> InterfaceQuota {
        match interface {
            Interface::GetRelation => self.getrelation,
            Interface::GetOrder => self.getorder,
            Interface::GetShareMaterial => self.getsharematerial,
        }
    }
}

impl InterfaceQuota {
    fn read(mut section: Section) -> InterfaceQuota {
        let quota = InterfaceQuota {
            per_minute: NonZeroU32::new(section.or("per_minute", 5000, number(0..=u32::MAX))),
            per_day: NonZeroU32::new(section.or("per_day", 0, number(0..=u32::MAX))),
        };
        section.end();
        quota
    }
}
