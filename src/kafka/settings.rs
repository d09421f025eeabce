//! What the Kafka side is made of: the user's librdkafka properties, names, and the properties the promise rests on.

use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

/// The most that a produce request holds for a partition: librdkafka's default.
pub const BATCH_BYTES: usize = 1_000_000;

/// The topics, by what they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicNames {
    pub touches: String,
    pub orders: String,
    pub dead_letters: String,
    pub registry: String,
    pub state: String,
}

/// The topics of the commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandTopics {
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
    /// Taken as they are, for a broker that answers no admin requests: the demo's stand-in.
    Trust,
}

#[derive(Clone)]
pub struct Settings {
    /// librdkafka's properties as the user gave them; they win over the defaults here.
    pub properties: Vec<(String, String)>,
    /// The consumer group, and the stem of `transactional.id`.
    pub name: String,
    /// Stable over restarts, different for each instance.
    pub instance_id: String,
    pub topics: TopicNames,
    pub topic_policy: TopicPolicy,
}

impl fmt::Debug for Settings {
    /// Property values stay out: there are passwords among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("instance_id", &self.instance_id)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

impl Settings {
    pub fn transactional_id(&self) -> String {
        format!("{}-{}", self.name, self.instance_id)
    }

    /// The consumer group of the commands.
    pub fn command_group(&self) -> String {
        format!("{}.commands", self.name)
    }

    /// Of the producer of replies.
    pub fn command_transactional_id(&self) -> String {
        format!("{}-commands", self.transactional_id())
    }

    /// Whether librdkafka takes the properties. The text names the property, and never its value.
    pub fn check(&self) -> Result<(), String> {
        for config in [
            self.producer_config(self.transactional_id(), BATCH_BYTES),
            self.member_config(&self.name),
            self.reader_config(),
        ] {
            match config.create_native_config() {
                Ok(_) => {}
                Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _)) => {
                    return Err(format!("kafka.\"{key}\" is not a property of librdkafka; remove or correct it"));
                }
                Err(KafkaError::ClientConfig(_, _, key, _)) => {
                    return Err(format!("kafka.\"{key}\" has a value that librdkafka refuses; correct it"));
                }
                Err(_) => return Err("kafka: librdkafka refuses the properties".to_owned()),
            }
        }
        Ok(())
    }

    /// By either of librdkafka's two names for them.
    pub fn bootstrap_servers(&self) -> &str {
        let names = ["bootstrap.servers", "metadata.broker.list"];
        let found = self.properties.iter().find(|(key, _)| names.contains(&key.as_str()));
        found.map_or("", |(_, value)| value)
    }

    /// For admin requests and offset questions.
    pub fn plain_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", format!("{}-{}", self.name, self.instance_id));
        // Idle connections come and go; that is no news.
        config.set("log.connection.close", "false");
        config.set("topic.metadata.refresh.interval.ms", "60000");
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
    }

    /// For a transactional producer. `limit` is the smallest `max.message.bytes` of its topics: a broker judges by it
    /// the size of the whole batch that a produce request holds for a partition.
    pub fn producer_config(&self, transactional_id: String, limit: usize) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("compression.type", "lz4");
        // An instance that dies leaves its transaction open that long at most, and readers wait for it.
        config.set("transaction.timeout.ms", "30000");
        config.extend_from(&self.plain_config());
        config.set("transactional.id", transactional_id);
        config.set("enable.idempotence", "true");
        config.set("partitioner", "murmur2_random");
        // librdkafka takes one record into a batch in any case.
        config.set("batch.size", limit.clamp(1, BATCH_BYTES).to_string());
        // The topic's limit is the one that counts; it is checked record by record before sending.
        config.set("message.max.bytes", "1000000000");
        config
    }

    /// For membership in a group that says who owns what.
    pub fn member_config(&self, group: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("session.timeout.ms", "15000");
        config.extend_from(&self.plain_config());
        config.set("group.id", group);
        // A restarted instance takes its own place again at once, instead of waiting until its former self times out.
        config.set("group.instance.id", &self.instance_id);
        // All partitions change hands together, which is what ownership expects.
        config.set("partition.assignment.strategy", "range");
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "earliest");
        config
    }

    /// For reading what is committed. Nothing of it is stored as an offset of `group` by itself.
    fn committed_config(&self, group: &str) -> ClientConfig {
        let mut config = self.plain_config();
        config.set("group.id", group);
        config.set("isolation.level", "read_committed");
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config
    }

    /// For reading the state topic as far as it is committed.
    pub fn reader_config(&self) -> ClientConfig {
        let mut config = self.committed_config(&self.name);
        config.set("enable.partition.eof", "true");
        config.set("auto.offset.reset", "error");
        config.set("fetch.wait.max.ms", "50");
        config
    }

    /// For putting one request, once.
    pub fn request_producer_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("message.timeout.ms", "10000");
        config.extend_from(&self.plain_config());
        config.set("enable.idempotence", "true");
        config.set("partitioner", "murmur2_random");
        config
    }

    /// For reading requests as far as they are committed, and how far they are answered. It is no member of the group,
    /// whose offsets it only asks for; as a `read_committed` reader it is told them when no transaction holds them open.
    pub fn command_reader_config(&self) -> ClientConfig {
        let mut config = self.committed_config(&self.command_group());
        // Requests that their topic has dropped meanwhile can't be answered; those after them can.
        config.set("auto.offset.reset", "earliest");
        config.set("fetch.wait.max.ms", "100");
        // However many requests wait in the topic, few of them wait in memory.
        config.set("queued.min.messages", "64");
        config.set("queued.max.messages.kbytes", "4096");
        config
    }
}

trait Extend {
    fn extend_from(&mut self, other: &ClientConfig);
}

impl Extend for ClientConfig {
    fn extend_from(&mut self, other: &ClientConfig) {
        for (key, value) in other.config_map() {
            self.set(key.to_string(), value.to_string());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Settings with `properties`, for topics that are checked and not made.
    pub fn settings(properties: &[(&str, &str)]) -> Settings {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let name = |topic: &str| format!("promoter.{topic}");
        Settings {
            properties: properties.iter().map(owned).collect(),
            name: "connector".into(),
            instance_id: "one".into(),
            topics: TopicNames {
                touches: name("touches"),
                orders: name("orders"),
                dead_letters: name("dead-letters"),
                registry: name("registry"),
                state: name("state"),
            },
            topic_policy: TopicPolicy::Check,
        }
    }

    #[test]
    fn properties_that_librdkafka_takes_pass() {
        assert_eq!(settings(&[("bootstrap.servers", "a:1"), ("security.protocol", "sasl_ssl")]).check(), Ok(()));
    }

    #[test]
    fn a_property_that_librdkafka_does_not_take_is_named_and_its_value_is_not() {
        let unknown = settings(&[("linger.mss", "hidden")]).check().unwrap_err();
        assert!(unknown.contains("linger.mss") && !unknown.contains("hidden"), "{unknown}");
        let invalid = settings(&[("security.protocol", "hidden")]).check().unwrap_err();
        assert!(invalid.contains("security.protocol") && !invalid.contains("hidden"), "{invalid}");
    }

    #[test]
    fn what_the_promise_rests_on_stands_whatever_the_properties_say() {
        let settings =
            settings(&[("enable.idempotence", "false"), ("transactional.id", "x"), ("partitioner", "random")]);
        let producer = settings.producer_config(settings.command_transactional_id(), 1000);
        assert_eq!(producer.get("enable.idempotence"), Some("true"));
        assert_eq!(producer.get("transactional.id"), Some("connector-one-commands"));
        assert_eq!(producer.get("partitioner"), Some("murmur2_random"));
        assert_eq!(settings.reader_config().get("isolation.level"), Some("read_committed"));
        assert_eq!(settings.command_reader_config().get("isolation.level"), Some("read_committed"));
        assert_eq!(settings.member_config("x").get("enable.auto.commit"), Some("false"));
    }

    #[test]
    fn properties_with_their_passwords_are_not_shown() {
        let shown = format!("{:?}", settings(&[("sasl.password", "hidden")]));
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
