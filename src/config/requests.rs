//! `[commands]`: requests for material that come by Kafka.

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::{boolean, number};
use super::topics::{TopicsSection, topic_name};
use crate::kafka::client::settings::RequestTopics;

/// How requests for material are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSettings {
    pub topics: RequestTopics,
    /// How many calls each app makes at once: 1 to 256.
    pub concurrency: usize,
}

/// `None` where they are off.
pub fn read(mut section: Section, topics: &TopicsSection) -> Option<RequestSettings> {
    let enabled = section.or("enabled", true, boolean);
    let concurrency = section.or("concurrency", 16, number(1..=256));
    let reply_topic = |value: &TomlValue| reply_topic(value, topics);
    let reply_topics = section.list("reply_topics", reply_topic).into_iter().map(|item| item.value).collect();
    section.end();
    let (requests, results) = (topics.material_requests.clone(), topics.material_results.clone());
    enabled.then_some(RequestSettings { topics: RequestTopics { requests, results, reply_topics }, concurrency })
}

/// A reply among the connector's own records would be read as something else.
///
/// # Errors
/// [`Mistake`] where Kafka allows no such name, or it is one of the connector's topics but that of the results.
fn reply_topic(value: &TomlValue, topics: &TopicsSection) -> Result<String, Mistake> {
    let name = topic_name(value)?;
    let own = topics.by_key().find(|(_, own)| **own == name);
    match own {
        Some((key, _)) if key != "material_results" => {
            Err(Mistake::new(format!("is the connector's own topic, topics.{key}"), "name a topic that takes replies"))
        }
        _ => Ok(name),
    }
}
