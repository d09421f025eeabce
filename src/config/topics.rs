//! `[topics]`: the names of the topics, and how missing ones are created.

use std::collections::HashMap;
use std::time::Duration;

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::quantity::duration;
use super::reader::section::Section;
use super::reader::value::{boolean, number, quoted};
use crate::kafka::client::settings::{TopicDefaults, TopicNames, TopicPolicy};
use crate::model::feed::{EventTopic, PerEventTopic};

/// What the section says; the topics of requests count only where requests are taken.
pub struct TopicsSection {
    pub names: TopicNames,
    pub policy: TopicPolicy,
    /// How topics are made, also where `policy` is to make none.
    pub defaults: TopicDefaults,
    pub material_requests: String,
    pub material_results: String,
}

impl TopicsSection {
    pub fn read(mut section: Section) -> TopicsSection {
        let prefix = section.or("prefix", "promoter".to_owned(), prefix);
        let mut named = |key, rest| section.or(key, format!("{prefix}.{rest}"), topic_name);
        let events = PerEventTopic::new(|topic| named(topic.name(), topic.name()));
        let material_requests = named("material_requests", "material.requests");
        let material_results = named("material_results", "material.results");
        let names = TopicNames {
            events,
            dead_letters: named("dead_letters", "dead-letters"),
            registry: named("registry", "registry"),
            state: named("state", "state"),
            ledger: section.or("ledger", Some(format!("{prefix}.ledger")), ledger_name),
        };
        let (policy, defaults) = policy(&mut section);
        let topics = TopicsSection { names, policy, defaults, material_requests, material_results };
        topics.report_shared_names(&section);
        section.end();
        topics
    }

    /// Every topic with the key of its name.
    pub fn by_key(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let TopicNames { events, dead_letters, registry, state, ledger } = &self.names;
        let others = [
            ("material_requests", &self.material_requests),
            ("material_results", &self.material_results),
            ("dead_letters", dead_letters),
            ("registry", registry),
            ("state", state),
        ];
        let ledger = ledger.iter().map(|name| ("ledger", name));
        EventTopic::ALL.into_iter().map(|topic| (topic.name(), &events[topic])).chain(others).chain(ledger)
    }

    fn report_shared_names(&self, section: &Section) {
        let mut keys: HashMap<String, &str> = HashMap::new();
        for (key, name) in self.by_key() {
            // Kafka refuses two topics that differ only in these two characters: its metrics would collide.
            if let Some(other) = keys.insert(name.replace('.', "_"), key) {
                let what = format!("is the same topic as topics.{other}, or as good as the same to Kafka");
                section.problem(key, Mistake::new(what, "give each topic its own name"));
            }
        }
    }
}

/// How topics are created is read, and checked, also where none is.
fn policy(section: &mut Section) -> (TopicPolicy, TopicDefaults) {
    let create = section.or("create", true, boolean);
    let defaults = TopicDefaults {
        partitions: section.or("partitions", 12, number(1..=10_000)),
        replication: section.or("replication", -1, replication),
        retention: section.or("retention", None, retention),
    };
    let policy = if create { TopicPolicy::Create(defaults.clone()) } else { TopicPolicy::Check };
    (policy, defaults)
}

/// Kafka's limit for the name of a topic.
const NAME_BYTES_MAX: usize = 249;
/// Leaves room for the longest name that is put behind it.
const PREFIX_BYTES_MAX: usize = 200;

/// A name that Kafka allows.
///
/// # Errors
/// [`Mistake`] where it is no text, or Kafka allows no such name.
pub fn topic_name(value: &TomlValue) -> Result<String, Mistake> {
    match quoted(value)? {
        name if legal(name, NAME_BYTES_MAX) && name != "." && name != ".." => Ok(name.to_owned()),
        _ => Err(Mistake::new("can't be the name of a topic", name_remedy(NAME_BYTES_MAX))),
    }
}

/// `None` where there is to be none.
///
/// # Errors
/// As [`topic_name`].
fn ledger_name(value: &TomlValue) -> Result<Option<String>, Mistake> {
    match value {
        TomlValue::Text(text) if text == "off" => Ok(None),
        _ => topic_name(value).map(Some),
    }
}

/// # Errors
/// [`Mistake`] where it is no text, or too long or of other characters than names of topics.
fn prefix(value: &TomlValue) -> Result<String, Mistake> {
    match quoted(value)? {
        prefix if legal(prefix, PREFIX_BYTES_MAX) => Ok(prefix.to_owned()),
        _ => Err(Mistake::new("can't begin the name of a topic", name_remedy(PREFIX_BYTES_MAX))),
    }
}

fn legal(name: &str, bytes_max: usize) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=bytes_max).contains(&name.len()) && name.bytes().all(legal)
}

fn name_remedy(bytes_max: usize) -> String {
    format!("write 1 to {bytes_max} of the characters A-Z a-z 0-9 . _ -")
}

/// # Errors
/// [`Mistake`] where it is 0, below -1, or more than Kafka counts.
fn replication(value: &TomlValue) -> Result<i32, Mistake> {
    let count = number(-1..=i32::from(i16::MAX))(value).ok().filter(|count| *count != 0);
    count.ok_or_else(|| Mistake::new("is not a replication factor", "write -1 for the broker's default, or 1 or more"))
}

/// `None` is for ever.
///
/// # Errors
/// [`Mistake`] where it is neither `forever` nor a duration within these bounds.
fn retention(value: &TomlValue) -> Result<Option<Duration>, Mistake> {
    match value {
        TomlValue::Text(text) if text == "forever" => Ok(None),
        _ => duration("1h", "36500d")(value)
            .map(Some)
            .map_err(|_| Mistake::new("is not a retention", "write \"forever\" or a duration from \"1h\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_kafka_allows() {
        let allowed = |name: &str| topic_name(&TomlValue::Text(name.to_owned())).is_ok();
        assert!(allowed("a") && allowed("A.b_c-9") && allowed(&"x".repeat(249)));
        for name in ["", ".", "..", "a b", "a/b", "é", &"x".repeat(250)] {
            assert!(!allowed(name), "{name}");
        }
    }

    #[test]
    fn a_replication_factor_is_the_brokers_or_at_least_one() {
        let allowed = |count| replication(&TomlValue::Integer(count)).is_ok();
        assert!(allowed(-1) && allowed(1) && allowed(3));
        assert!(!allowed(0) && !allowed(-2) && !allowed(40_000));
    }
}
