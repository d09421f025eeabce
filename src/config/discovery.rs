//! The keys of an app that say how its promoters are discovered.

use std::time::Duration;

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::quantity::duration;
use super::reader::section::Section;
use super::reader::value::{number, word};
use crate::session::discovery::{DiscoverySettings, DiscoveryTag};

pub fn read(section: &mut Section) -> DiscoverySettings {
    let words = DiscoveryTag::ALL.map(|tag| (tag.name(), tag));
    let tags = section.list("discover_tags", word(&words)).into_iter().map(|item| item.value);
    DiscoverySettings {
        every: section.or("discover", None, every),
        remove_max: section.or("discover_remove_max", 10, number(0..=100)),
        tags: tags.collect(),
    }
}

/// Twelve hours at most: Kafka keeps a tombstone for a day at least, and one discovery has to meet it
/// ([`crate::registry::discovery`]).
///
/// # Errors
/// [`Mistake`] where it is neither `off` nor a duration within these bounds.
fn every(value: &TomlValue) -> Result<Option<Duration>, Mistake> {
    match value {
        TomlValue::Text(text) if text == "off" => Ok(None),
        _ => duration("1m", "12h")(value).map(Some),
    }
}
