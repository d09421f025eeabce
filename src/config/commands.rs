//! `[commands]`: requests for material that come by Kafka.

use super::reader::document::Value;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::{boolean, number};
use super::topics::{Topics, topic_name};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    pub enabled: bool,
    /// How many calls each app makes at once: 1 to 256.
    pub concurrency: usize,
    /// The names that a request may give in its header `reply-topic`.
    pub reply_topics: Vec<String>,
}

impl Commands {
    pub fn read(mut section: Section, topics: &Topics) -> Commands {
        let reply_topic = |value: &Value| reply_topic(value, topics);
        let commands = Commands {
            enabled: section.or("enabled", true, boolean),
            concurrency: section.or("concurrency", 16, number(1..=256)),
            reply_topics: section.list("reply_topics", reply_topic).into_iter().map(|item| item.value).collect(),
        };
        section.end();
        commands
    }
}

/// A reply among the connector's own records would be read as something else.
fn reply_topic(value: &Value, topics: &Topics) -> Result<String, Mistake> {
    let name = topic_name(value)?;
    let own = topics.names().into_iter().find(|(_, own)| *own == name);
    match own {
        Some((key, _)) if key != "material_results" => {
            Err(Mistake::new(format!("is the connector's own topic, topics.{key}"), "name a topic that takes replies"))
        }
        _ => Ok(name),
    }
}
