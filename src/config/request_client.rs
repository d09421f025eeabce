//! What of the configuration the commands need that have to do with Kafka alone: where the topics stand. The rest of the file is
//! somebody else's, as are the secrets of the apps, which need not be there.

use std::path::Path;

use super::reader::environment::Environment;
use super::reader::problem::{ConfigError, Problems};
use super::reader::section::Section;
use super::requests::{self, RequestSettings};
use super::topics::TopicsSection;
use super::{connector, kafka, load, log, read, schema_registry};
use crate::avro::schema_registry::SchemaRegistrySettings;
use crate::kafka::client::settings::{Settings, TopicDefaults};
use crate::telemetry::log::LogSettings;

const SECTIONS: [&str; 6] = ["connector", "kafka", "topics", "schema_registry", "commands", "log"];

/// What these sections say: a part of what the connector is told.
#[derive(Clone, Debug)]
pub struct RequestClientConfig {
    pub kafka: Settings,
    pub schema_registry: Option<SchemaRegistrySettings>,
    /// Absent where requests are not taken.
    pub requests: Option<RequestSettings>,
    pub log: LogSettings,
    /// How topics are made, also where `run` makes none.
    pub topic_defaults: TopicDefaults,
}

impl RequestClientConfig {
    /// Reads these sections of the file at `path`. What is wrong elsewhere in it is passed over, unless it is not TOML.
    ///
    /// # Errors
    /// With every problem of these sections.
    pub fn load(path: &Path, environment: Environment) -> Result<RequestClientConfig, ConfigError> {
        load(path, |text, problems| RequestClientConfig::parse(text, path, environment, problems))
    }

    fn parse(text: &str, path: &Path, environment: Environment, problems: &Problems) -> Option<RequestClientConfig> {
        read(text, path, environment, problems, |mut root| {
            problems.keep_below(&SECTIONS);
            Some(RequestClientConfig::read(&mut root))
        })
    }

    pub(super) fn read(root: &mut Section) -> RequestClientConfig {
        let (name, instance_id) = connector::read(root.section("connector"));
        let (properties, credentials) = kafka::read(root.section("kafka"));
        let topics = TopicsSection::read(root.section("topics"));
        let schema_registry = root.given("schema_registry").map(schema_registry::read);
        let requests = requests::read(root.section("commands"), &topics);
        let log = log::read(root.section("log"));
        let TopicsSection { names: topics, policy: topic_policy, defaults: topic_defaults, .. } = topics;
        let kafka = Settings { properties, credentials, name, instance_id, topics, topic_policy };
        RequestClientConfig { kafka, schema_registry, requests, log, topic_defaults }
    }
}
#[cfg(test)]
mod tests {
    use super::super::without_problems;
    use super::*;

    fn parse(text: &str) -> Result<RequestClientConfig, ConfigError> {
        let problems = Problems::default();
        let path = Path::new("connector.toml");
        without_problems(RequestClientConfig::parse(text, path, &|_| None, &problems), problems, path)
    }

    #[test]
    fn no_app_and_no_secret_is_needed_to_ask() {
        let kafka = "[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n[topics]\nprefix = \"shop\"\n";
        assert_eq!(parse(kafka).unwrap().requests.unwrap().topics.requests, "shop.material.requests");
        let apps = "[[apps]]\napp_id = \"wx1\"\nsecret = \"${NOT_SET}\"\n[http]\ntimeout = \"never\"\n";
        parse(&[kafka, apps].concat()).unwrap();
    }

    #[test]
    fn what_is_needed_is_checked_as_ever() {
        for (text, key) in [
            ("[topics]\nprefix = \"shop\"\n", "kafka.bootstrap.servers"),
            ("[kafka]\n\"bootstrap.servers\" = \"${NOT_SET}\"\n", "kafka.bootstrap.servers"),
            ("[kafka]\n\"bootstrap.servers\" = \"a:1\"\n[topics]\nprefixx = \"shop\"\n", "topics.prefixx"),
            ("[kafka", "TOML"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
