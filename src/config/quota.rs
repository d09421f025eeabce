//! `[apps.quota]`: how many calls an app may spend, as far as that is known beforehand.

use std::collections::BTreeMap;

use super::reader::section::Section;
use super::reader::value::number;
use crate::model::feed::Interface;
use crate::upstream::budget::BudgetSettings;

/// What may be spent of each interface.
pub fn read(mut section: Section) -> BTreeMap<Interface, BudgetSettings> {
    let budgets = Interface::ALL.into_iter().map(|interface| (interface, budget(section.section(interface.name()))));
    let budgets = budgets.collect();
    section.end();
    budgets
}

fn budget(mut section: Section) -> BudgetSettings {
    let budget = BudgetSettings {
        per_minute: section.or("per_minute", 5000, number(0..=u32::MAX)),
        per_day: section.or("per_day", 0, number(0..=u32::MAX)),
    };
    section.end();
    budget
}
