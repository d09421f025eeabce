//! `[topics]`: the names of the topics, and how missing ones are created.

use std::collections::HashMap;
use std::time::Duration;

use super::reader::document::Value;
use super::reader::problem::Mistake;
use super::reader::quantity::duration;
use super::reader::section::Section;
use super::reader::value::{boolean, number, quoted};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    pub touches: String,
    /// Payments and refunds both.
    pub orders: String,
    pub material_requests: String,
    pub material_results: String,
    pub dead_letters: String,
    pub registry: String,
    /// The connector's own memory.
    pub state: String,
    /// Whether missing topics are created.
    pub create: bool,
    /// Of every topic that is created.
    pub partitions: i32,
    /// Of every topic that is created; -1 leaves it to the broker.
    pub replication: i32,
    /// Of the event topics that are created.
    pub retention: Retention,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    Forever,
    For(Duration),
}

impl Topics {
    pub fn read(mut section: Section) -> Topics {
        let prefix = section.or("prefix", "promoter".to_owned(), prefix);
        let mut named = |key, rest| section.or(key, format!("{prefix}.{rest}"), topic_name);
        let topics = Topics {
            touches: named("touches", "touches"),
            orders: named("orders", "orders"),
            material_requests: named("material_requests", "material.requests"),
            material_results: named("material_results", "material.results"),
            dead_letters: named("dead_letters", "dead-letters"),
            registry: named("registry", "registry"),
            state: named("state", "state"),
            create: section.or("create", true, boolean),
            partitions: section.or("partitions", 12, number(1..=10_000)),
            replication: section.or("replication", -1, replication),
            retention: section.or("retention", Retention::Forever, retention),
        };
        topics.report_shared_names(&section);
        section.end();
        topics
    }

    /// Every topic with the key of its name.
    pub fn names(&self) -> [(&'static str, &str); 7] {
        [
            ("touches", &self.touches),
            ("orders", &self.orders),
            ("material_requests", &self.material_requests),
            ("material_results", &self.material_results),
            ("dead_letters", &self.dead_letters),
            ("registry", &self.registry),
            ("state", &self.state),
        ]
    }

    fn report_shared_names(&self, section: &Section) {
        let mut keys: HashMap<String, &str> = HashMap::new();
        for (key, name) in self.names() {
            // Kafka refuses two topics that differ only in these two characters: its metrics would collide.
            if let Some(other) = keys.insert(name.replace('.', "_"), key) {
                let what = format!("is the same topic as topics.{other}, or as good as the same to Kafka");
                section.problem(key, Mistake::new(what, "give each topic its own name"));
            }
        }
    }
}

/// Kafka's limit for the name of a topic.
const NAME_BYTES_MAX: usize = 249;
/// Leaves room for the longest name that is put behind it.
const PREFIX_BYTES_MAX: usize = 200;

/// A name that Kafka allows.
pub fn topic_name(value: &Value) -> Result<String, Mistake> {
    match quoted(value)? {
        name if legal(name, NAME_BYTES_MAX) && name != "." && name != ".." => Ok(name.to_owned()),
        _ => Err(Mistake::new("can't be the name of a topic", name_remedy(NAME_BYTES_MAX))),
    }
}

fn prefix(value: &Value) -> Result<String, Mistake> {
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

fn replication(value: &Value) -> Result<i32, Mistake> {
    let count = number(-1..=i32::from(i16::MAX))(value).ok().filter(|count| *count != 0);
    count.ok_or_else(|| Mistake::new("is not a replication factor", "write -1 for the broker's default, or 1 or more"))
}

fn retention(value: &Value) -> Result<Retention, Mistake> {
    match value {
        Value::Text(text) if text == "forever" => Ok(Retention::Forever),
        _ => duration("1h", "36500d")(value)
            .map(Retention::For)
            .map_err(|_| Mistake::new("is not a retention", "write \"forever\" or a duration from \"1h\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_kafka_allows() {
        let allowed = |name: &str| topic_name(&Value::Text(name.to_owned())).is_ok();
        assert!(allowed("a") && allowed("A.b_c-9") && allowed(&"x".repeat(249)));
        for name in ["", ".", "..", "a b", "a/b", "é", &"x".repeat(250)] {
            assert!(!allowed(name), "{name}");
        }
    }

    #[test]
    fn a_replication_factor_is_the_brokers_or_at_least_one() {
        let allowed = |count| replication(&Value::Integer(count)).is_ok();
        assert!(allowed(-1) && allowed(1) && allowed(3));
        assert!(!allowed(0) && !allowed(-2) && !allowed(40_000));
    }
}
