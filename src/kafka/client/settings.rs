//! What the Kafka side is made of: the user's librdkafka properties, and the names of everything.

use std::fmt;
use std::time::Duration;

use super::credentials::BrokerCredentials;
use crate::model::feed::PerEventTopic;

/// The topics, by what they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicNames {
    pub events: PerEventTopic<String>,
    pub dead_letters: String,
    pub registry: String,
    pub state: String,
    /// Absent where none is wanted. It may be missing all the same.
    pub ledger: Option<String>,
}

impl TopicNames {
    /// What `name` makes of the usual end of each name.
    pub fn new(name: impl Fn(&str) -> String) -> TopicNames {
        TopicNames {
            events: PerEventTopic::new(|topic| name(topic.name())),
            dead_letters: name("dead-letters"),
            registry: name("registry"),
            state: name("state"),
            ledger: Some(name("ledger")),
        }
    }

    /// Those without which nothing runs.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.events.values().chain([&self.dead_letters, &self.registry, &self.state])
    }
}

/// The topics of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestTopics {
    pub requests: String,
    pub results: String,
    /// The names that a request may give in its header `reply-topic`.
    pub reply_topics: Vec<String>,
}

/// How missing topics are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    pub partitions: i32,
    /// −1 is the broker's default.
    pub replication: i32,
    /// Of the event topics and the dead letters; nothing is for ever.
    pub retention: Option<Duration>,
}

/// What is done about topics at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicPolicy {
    /// Missing ones are created, all are checked.
    Create(TopicDefaults),
    /// A missing one stops the start, all are checked.
    Check,
    /// Taken as they are, for a broker that answers no admin requests and knows no generations: the demo's mock cluster.
    Trust,
}

#[derive(Clone)]
pub struct Settings {
    /// librdkafka's properties as the user gave them; they win over the defaults here.
    pub properties: Vec<(String, String)>,
    /// What of the login changes while the process lives: tokens, or a password that stands in a file.
    pub credentials: Option<BrokerCredentials>,
    /// The consumer group, and the stem of `transactional.id`.
    pub name: String,
    /// Stable over restarts, different for each instance.
    pub instance_id: String,
    pub topics: TopicNames,
    pub topic_policy: TopicPolicy,
}

impl fmt::Debug for Settings {
    /// Of the properties the names alone: there are passwords among the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("instance_id", &self.instance_id)
            .field("topics", &self.topics)
            .field("topic_policy", &self.topic_policy)
            .field("properties", &self.properties.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Joins names. No name can hold it, so two pairs of names never make the same id.
const SEPARATOR: char = ':';

impl Settings {
    pub fn transactional_id(&self) -> String {
        format!("{}{SEPARATOR}{}", self.name, self.instance_id)
    }

    /// The instance of this connector that writes what it polls under this id; nothing where it is no such id.
    pub(crate) fn instance_of<'a>(&self, transactional_id: &'a str) -> Option<&'a str> {
        let instance = transactional_id.strip_prefix(&self.name)?.strip_prefix(SEPARATOR)?;
        (!instance.is_empty() && !instance.contains(SEPARATOR)).then_some(instance)
    }

    /// The consumer group of the requests.
    pub(crate) fn requests_group(&self) -> String {
        format!("{}{SEPARATOR}commands", self.name)
    }

    /// Of the producer of replies.
    pub(crate) fn requests_transactional_id(&self) -> String {
        format!("{}{SEPARATOR}commands", self.transactional_id())
    }

    /// Of whoever only tries whether transactions work.
    pub(crate) fn probe_transactional_id(&self) -> String {
        format!("{}{SEPARATOR}check", self.transactional_id())
    }

    /// `group`, where the brokers have to show that they look at its generations.
    pub(crate) fn tried_group<'a>(&self, group: &'a str) -> Option<&'a str> {
        (self.topic_policy != TopicPolicy::Trust).then_some(group)
    }

    /// By either of librdkafka's two names for them.
    pub fn bootstrap_servers(&self) -> &str {
        self.property(&["bootstrap.servers", "metadata.broker.list"]).unwrap_or_default()
    }

    /// As the user gave it, under any of librdkafka's `names` for it.
    pub(crate) fn property(&self, names: &[&str]) -> Option<&str> {
        let found = self.properties.iter().find(|(key, _)| names.contains(&key.as_str()));
        found.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
pub(in crate::kafka) mod tests {
    use super::*;

    /// Settings with `properties`, for topics that are checked and not made.
    pub fn settings(properties: &[(&str, &str)]) -> Settings {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Settings {
            properties: properties.iter().map(owned).collect(),
            credentials: None,
            name: "connector".into(),
            instance_id: "one".into(),
            topics: TopicNames::new(|topic| format!("promoter.{topic}")),
            topic_policy: TopicPolicy::Check,
        }
    }

    fn named(name: &str, instance_id: &str) -> Settings {
        Settings { name: name.into(), instance_id: instance_id.into(), ..settings(&[]) }
    }

    #[test]
    fn the_instance_of_an_id_is_told_only_for_the_polls_of_the_same_connector() {
        let shop = named("shop", "one");
        assert_eq!(shop.instance_of(&shop.transactional_id()), Some("one"));
        assert_eq!(shop.instance_of(&named("shop", "eu-2").transactional_id()), Some("eu-2"));
        for other in [named("shop-eu", "one"), named("sho", "one")] {
            assert_eq!(shop.instance_of(&other.transactional_id()), None);
        }
        assert_eq!(shop.instance_of(&shop.requests_transactional_id()), None);
        assert_eq!(shop.instance_of("shop:"), None);
    }

    #[test]
    fn no_two_connectors_or_instances_share_an_id_whatever_their_names() {
        let names = ["shop", "shop-eu", "b", "b-commands", "b.commands", "commands"];
        let instances = ["eu-1", "1", "commands", "1-commands", "check", "x"];
        let mut ids = std::collections::HashSet::new();
        let mut groups = std::collections::HashSet::new();
        for name in names {
            assert!(groups.insert(named(name, "x").requests_group()) && groups.insert(name.to_owned()), "{name}");
            for instance in instances {
                let settings = named(name, instance);
                let own =
                    [Settings::transactional_id, Settings::requests_transactional_id, Settings::probe_transactional_id];
                for id in own.map(|id| id(&settings)) {
                    assert!(ids.insert(id.clone()), "{id} is made twice");
                }
            }
        }
    }

    #[test]
    fn properties_with_their_passwords_are_not_shown() {
        let shown = format!("{:?}", settings(&[("sasl.password", "hidden")]));
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
